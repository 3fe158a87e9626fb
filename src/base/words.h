// SPDX-License-Identifier: PostgreSQL
// A command as people write it (credential_process, command=) comes in; its words go out. No shell is asked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pqmint {

/// The words of a command, split as a POSIX shell would: blanks, quotes, backslashes. Never empty, and nothing is
/// expanded: `*`, `?` and `[` are characters like others, as they are to botocore. What only a shell could mean (a
/// pipe, a variable, ...) is an error that shows how to ask for one; it quotes no more than the one character, for
/// arguments may hold secrets.
Result<std::vector<std::string>> split_command(std::string_view command);

}  // namespace pqmint
