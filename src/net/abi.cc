// SPDX-License-Identifier: PostgreSQL
// net's side of the seam: a pqmint_fetch comes in, is handed to the source that it names, and what was found goes out.

#include <cxxabi.h>
#include <pqmint/abi.h>
#include <stdlib.h>

#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "net/openssl.h"
#include "net/source.h"

namespace pqmint {
namespace {

using Source = Result<Fetched> (*)(const Query&);

struct NamedSource {
  std::string_view name;
  Source fetch;
};

constexpr NamedSource kSources[] = {
    {"assume-role", fetch_assume_role},
    {"web-identity", fetch_web_identity},
    {"sso", fetch_sso},
    {"login", fetch_login},
    {"process", fetch_process},
    {"container", fetch_container},
    {"imds", fetch_imds},
    {"imds-region", fetch_imds_region},
    {"client-secret", fetch_client_secret},
    {"client-certificate", fetch_client_certificate},
    {"workload-identity", fetch_workload_identity},
    {"managed-identity", fetch_managed_identity},
    {"device-code", fetch_device_code},
    {"azure-cli", fetch_azure_cli},
    {"azure-powershell", fetch_azure_powershell},
    {"azure-developer-cli", fetch_azure_developer_cli},
    {"command", fetch_command},
};

/// What core sees as a pqmint_fetched, with the strings behind it.
struct Answer : pqmint_fetched {
  Fetched owned;
  std::string why;
};

Result<Fetched> ask(const pqmint_fetch& what, Clock& clock) {
  for (const NamedSource& source : kSources) {
    if (source.name != what.source) continue;
    return source.fetch({Settings({what.settings, what.setting_count}), what.signer,
                         Deadline::in(std::chrono::milliseconds(what.timeout_ms)), clock});
  }
  return Error{"net.so knows no credential source " + std::string(what.source) + "; reinstall pqmint"};
}

const char* or_null(const Secret& secret) {
  return secret.empty() ? nullptr : secret.c_str();
}

/// What libstdc++ keeps of exceptions for each thread, the loader allocates at the thread's first throw, and ends the
/// process if it cannot. So it is asked for here, after a look whether there is memory at all. False: there is none.
bool can_throw() {
  constexpr size_t kAmple = 4096;  // also for the loader's list of such things, which may have to grow
  void* probe = malloc(kAmple);
  if (probe == nullptr) return false;
  static_cast<char volatile*>(probe)[0] = 0;  // else the compiler takes it away
  free(probe);
  asm volatile("" : : "r"(abi::__cxa_get_globals()));  // declared const: a call whose value is not used is left out
  return true;
}

const pqmint_fetched* fetch(const pqmint_fetch* what) try {
  if (!can_throw()) return nullptr;
  const LogScope scope(what->connection);
  auto answer = std::make_unique<Answer>();
  Clock clock{what->skew};
  clock.is_corrected = !Settings({what->settings, what->setting_count}).is("skew_is_not_corrected");
  const QuietErrors quiet;
  auto fetched = ask(*what, clock);
  answer->skew_known = clock.learned;
  answer->skew = clock.skew;
  if (!fetched) {
    answer->why = fetched.error().text;
    answer->error = answer->why.c_str();
    return answer.release();
  }
  answer->owned = std::move(*fetched);
  const Fetched& found = answer->owned;
  answer->absent = found.is_absent;
  answer->expires = found.expires;
  answer->refresh_at = found.refresh_at;
  answer->text = found.text.c_str();
  answer->identity = found.identity.c_str();
  answer->token = or_null(found.token);
  if (found.is_absent) answer->error = found.text.c_str();
  answer->keys.access_key_id = found.access_key_id.empty() ? nullptr : found.access_key_id.c_str();
  answer->keys.secret_access_key = or_null(found.secret_access_key);
  answer->keys.session_token = or_null(found.session_token);
  return answer.release();
} catch (const std::exception&) {
  return nullptr;  // memory is out; nothing else throws
}

void release(const pqmint_fetched* fetched) {
  delete static_cast<const Answer*>(fetched);
}

}  // namespace
}  // namespace pqmint

extern "C" __attribute__((visibility("default"))) const pqmint_net_module* pqmint_net(void) {
  static constexpr pqmint_net_module kTable = {PQMINT_ABI_VERSION, pqmint::fetch, pqmint::release};
  return &kTable;
}
