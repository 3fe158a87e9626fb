/* SPDX-License-Identifier: PostgreSQL
 * Preloaded into the test PostgreSQL only: its PAM services are read from $FIXTURE_PAMDIR instead of /etc/pam.d, so
 * that nothing outside the fixture's folder is touched and no root is needed. */
#include <security/pam_appl.h>
#include <stdlib.h>

int pam_start(const char* service, const char* user, const struct pam_conv* conversation, pam_handle_t** handle) {
  return pam_start_confdir(service, user, conversation, getenv("FIXTURE_PAMDIR"), handle);
}
