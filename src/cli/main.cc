// SPDX-License-Identifier: PostgreSQL
// The command `pqmint`: starts programs itself, and hands every other word on to pqmint-tool.

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/run.h"

namespace {

constexpr char kUsage[] =
    "usage: pqmint run [--preload-only] [--] PROGRAM [ARG...]\n"
    "                                        start PROGRAM so that it logs in with cloud tokens\n"
    "       pqmint doctor PROGRAM            say whether PROGRAM can be reached so, and how\n"
    "       pqmint token [--device-code] [CONNINFO]\n"
    "                                        print a token, for programs that cannot be reached;\n"
    "                                        --device-code: log in to Microsoft Entra with a browser\n"
    "       pqmint check [--connect] [--json] [--color=WHEN] [CONNINFO]\n"
    "                                        say what would be done for a connection, and why\n"
    "       pqmint --version\n"
    "\n"
    "CONNINFO is a conninfo string or URI; left out, PG* and PGSERVICE decide, as for psql.\n"
    "Exit status: 0 done, 1 could not, 2 usage; of `run`, the program's own, or 127/126 when it did not start.\n";

int usage() {
  fputs(kUsage, stderr);
  return 2;
}

// The folder above bin/, wherever it was put.
bool find_prefix(char* prefix, size_t size) {
  const ssize_t length = readlink("/proc/self/exe", prefix, size - 1);
  if (length <= 0) return false;
  prefix[length] = '\0';
  for (int level = 0; level < 2; ++level) {
    char* slash = strrchr(prefix, '/');
    if (slash == nullptr) return false;
    *slash = '\0';
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return usage();
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
    fputs(kUsage, stdout);
    return 0;
  }
  char prefix[PATH_MAX];
  if (!find_prefix(prefix, sizeof prefix)) {
    fprintf(stderr, "pqmint: cannot tell where it is installed: /proc/self/exe: %s\n", strerror(errno));
    return 1;
  }
  if (strcmp(argv[1], "run") == 0) {
    char** program = argv + 2;
    const bool preload_only = *program && strcmp(*program, "--preload-only") == 0;
    if (preload_only) ++program;
    const bool ends_options = *program && strcmp(*program, "--") == 0;
    if (ends_options) ++program;
    if (*program == nullptr || (!ends_options && **program == '-')) return usage();
    return pqmint::run_program(prefix, program, preload_only);
  }
  char tool[PATH_MAX + 32];
  snprintf(tool, sizeof tool, "%s/lib/pqmint/pqmint-tool", prefix);
  // Inside of `pqmint run sh`, say: the tool walks our road itself, and wants a plain libpq at its end.
  pqmint::leave_no_trace();
  execv(tool, argv);
  fprintf(stderr, "pqmint: cannot run %s: %s; reinstall pqmint\n", tool, strerror(errno));
  return 1;
}
