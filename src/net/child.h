// SPDX-License-Identifier: PostgreSQL
// Programs that pqmint asks for a credential: a command comes in, what it wrote to stdout goes out.
//
// The host program must not notice. Its SIGCHLD handler hears nothing, its waitpid(-1) finds nothing, no zombie is
// left, and the child has neither our preload nor a descriptor of the host's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/instant.h"
#include "base/secret.h"

namespace pqmint {

struct ChildOutcome {
  enum class Fault : uint8_t { kNone, kNotFound, kNotExecutable, kTimeout, kTooMuch, kNoProcess, kUnread, kTooDeep };
  Fault fault = Fault::kNone;
  int status = 0;    // exit status, or 128 + signal
  Secret output;     // stdout
  Secret complaint;  // the first 16 KiB of stderr: to be searched for what is known, never to be shown

  /// "exit status 3", "was killed by signal 9", "was not done after its time": what became of it, without its output.
  std::string description() const;
  /// The same of a command that the user wrote himself, and what to do about it.
  std::string description_for(const std::vector<std::string>& argv) const;
  bool succeeded() const { return fault == Fault::kNone && status == 0; }
};

/// Where a program starts. The host's own folder is for commands that the user wrote; the tools that pqmint looks for
/// by itself start in "/", where nobody can leave a file for them to find.
enum class Folder : uint8_t { kHosts, kRoot };

/// Runs `argv` to its end: found by PATH, with nothing on stdin.
/// Its environment is the host's own, all of it but for our preload and stand-in, and token specs in PGPASSWORD and
/// PGPASSFILE; `more` are variables (NAME=value) beside or in place of those, and names of such that it must not have
/// (NAME). PQMINT_DEPTH counts how many such
/// programs stand above one another, and the fifth is not started. Killed with all that it has started at the deadline,
/// or when it writes more than 1 MiB; what it leaves running at its own end goes on, and is not waited for.
/// Thread-safe.
ChildOutcome run_child(const std::vector<std::string>& argv, const std::vector<std::string>& more, Folder folder,
                       const Deadline& deadline);

}  // namespace pqmint
