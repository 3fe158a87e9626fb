// SPDX-License-Identifier: PostgreSQL
// pqmint-tool: all words of the command but `run`. bin/pqmint starts it.

#include <limits.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "cli/commands.h"
#include "preload/core_module.h"

int complain(std::string_view sentence) {
  std::fprintf(stderr, "pqmint: %.*s\n", static_cast<int>(sentence.size()), sentence.data());
  return 1;
}

int wrong_usage(std::string_view sentence) {
  complain(std::string(sentence) + "; see pqmint --help");
  return 2;
}

int main(int argc, char** argv) {
  char self[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  if (length <= 0) return complain("cannot tell where it is installed: /proc/self/exe cannot be read");
  const std::string path(self, static_cast<size_t>(length));
  static const std::string core = path.substr(0, path.rfind('/')) + "/core.so";
  pqmint::core_module_is_at(core.c_str());

  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word == "token") return token_command(argc - 1, argv + 1);
  if (word == "check") return check_command(argc - 1, argv + 1);
  if (word == "doctor") return doctor_command(argc - 1, argv + 1);
  if (word == "--version") {
    std::puts("pqmint " PQMINT_VERSION);
    return 0;
  }
  return wrong_usage("there is no command \"" + std::string(word) + "\"");
}
