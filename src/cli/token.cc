// SPDX-License-Identifier: PostgreSQL
// `pqmint token`: the token of the first host that is ours, and a newline, on stdout.

#include <cstdio>
#include <string>

#include "cli/commands.h"
#include "preload/inquiry.h"

int token_command(int argc, char** argv) {
  using namespace pqmint;
  const bool at_terminal = argc > 1 && std::string_view(argv[1]) == "--device-code";
  if (at_terminal) ++argv, --argc;
  if (argc > 2) return wrong_usage("token takes one CONNINFO; put quotes around it");
  if (argc == 2 && argv[1][0] == '-') return wrong_usage("token has no option \"" + std::string(argv[1]) + "\"");
  Text why;
  const Libpq* libpq = some_libpq(why);
  if (!libpq) return complain(why ? why.get() : "out of memory");
  const Inquiry inquiry(*libpq, argc == 2 ? argv[1] : nullptr,
                        at_terminal ? Inquiry::Purpose::kDeviceCode : Inquiry::Purpose::kToken);
  if (inquiry.error()) return complain(inquiry.error());
  const size_t host = inquiry.first_managed();
  if (host == inquiry.answer().grant_count) {
    const Text none = inquiry.no_host_is_ours();
    return complain(none ? none.get() : "out of memory");
  }
  const pqmint_grant& grant = inquiry.answer().grants[host];
  if (grant.error) return complain(grant.error);
  // Only the token matters here: who prints it takes it elsewhere, and sees to TLS there.
  std::puts(grant.token);
  return std::fflush(stdout) == 0 ? 0 : complain("cannot write to stdout");
}
