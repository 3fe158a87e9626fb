// SPDX-License-Identifier: PostgreSQL
// From the word that a user types to the file that the kernel starts in the end: PATH, scripts, wrappers.
#pragma once

#include "preload/memory.h"

namespace pqmint {

/// The file that execvp(3) would start for `word`; null when there is none.
Text find_program(const char* word);

/// What lies behind a file: itself, or for a script the program that it is a wrapper of, or else its interpreter.
struct Program {
  enum class Way { kItself, kWrapper, kInterpreter };
  Text binary;  // null: a script whose interpreter is not there, or a chain without end
  Way way = Way::kItself;
};

/// Follows `path` through scripts: Debian's pg_wrapper, shell scripts that `exec` an absolute path, #! lines, env(1).
Program behind(const char* path);

}  // namespace pqmint
