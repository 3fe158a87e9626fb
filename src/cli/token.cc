// SPDX-License-Identifier: PostgreSQL
// `pqmint token`: the token of the first host that is ours, and a newline, on stdout.

#include <cstdio>
#include <string>

#include "cli/commands.h"
#include "cli/inquiry.h"

int token_command(int argc, char** argv) {
  using namespace pqmint;
  const bool at_terminal = argc > 1 && std::string_view(argv[1]) == "--device-code";
  if (at_terminal) ++argv, --argc;
  if (argc > 2) return wrong_usage("token takes one CONNINFO; put quotes around it");
  if (argc == 2 && argv[1][0] == '-') return wrong_usage("token has no option \"" + std::string(argv[1]) + "\"");
  const auto libpq = open_libpq();
  if (!libpq) return complain(libpq.error().text);
  const auto inquiry = Inquiry::make(*libpq->libpq, argc == 2 ? argv[1] : nullptr, true, at_terminal);
  if (!inquiry) return complain(inquiry.error().text);
  const pqmint_answer& answer = (*inquiry)->answer();
  for (size_t i = 0; i < answer.grant_count; ++i) {
    const pqmint_grant& grant = answer.grants[i];
    if (!grant.managed) continue;
    if (grant.error) return complain(grant.error);
    // Only the token matters here: who prints it takes it elsewhere, and sees to TLS there.
    std::puts(grant.token);
    return std::fflush(stdout) == 0 ? 0 : complain("cannot write to stdout");
  }
  const char* host = (*inquiry)->target().hosts()[0].host;
  return complain("host \"" + std::string(host ? host : "") +
                  "\" is not an endpoint of RDS, Aurora, DSQL or Azure Database for PostgreSQL; for a tunnel or a "
                  "CNAME, name the real one: "
                  "passfile=pqmint:rds?endpoint=NAME.rds.amazonaws.com:5432");
}
