// SPDX-License-Identifier: PostgreSQL
// Programs that pqmint asks for a credential: a command comes in, what it wrote to stdout goes out.
//
// The host program must not notice. Its SIGCHLD handler hears nothing, its waitpid(-1) finds nothing, no zombie is
// left, and the child has neither our preload nor a descriptor of the host's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/instant.h"
#include "base/result.h"
#include "base/secret.h"

namespace pqmint {

/// The words of a command, split as a POSIX shell would: blanks, quotes, backslashes. Nothing is expanded; what only a
/// shell could mean (a pipe, a variable, ...) is an error that shows how to ask for one.
Result<std::vector<std::string>> split_command(std::string_view command);

struct ChildOutcome {
  enum class Fault : uint8_t { kNone, kNotFound, kNotExecutable, kTimeout, kTooMuch, kNoProcess };
  Fault fault = Fault::kNone;
  int status = 0;  // exit status, or 128 + signal
  Secret output;   // stdout

  /// "exit status 3", "was killed by signal 9", "was not done after its time": what became of it, without its output.
  std::string description() const;
  bool succeeded() const { return fault == Fault::kNone && status == 0; }
};

/// Runs `argv` to its end: found by PATH, in the folder "/", with nothing on stdin and nobody to read its stderr, which
/// may hold secrets. `more` are variables (NAME=value) beside or in place of the host's own. Killed with all that it
/// has started at the deadline, or when it writes more than 1 MiB; what it leaves running at its own end goes on, and
/// is not waited for. Thread-safe.
ChildOutcome run_child(const std::vector<std::string>& argv, const std::vector<std::string>& more,
                       const Deadline& deadline);

}  // namespace pqmint
