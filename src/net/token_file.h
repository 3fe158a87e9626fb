// SPDX-License-Identifier: PostgreSQL
// A file with one token in it, which somebody else keeps fresh: read at each fetch, never kept.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace pqmint {

/// Its bytes as they are, at most `most`. An error says why it cannot be read, without a remedy.
Result<Secret> read_small_file(const std::string& path, size_t most);

/// The same without surrounding white space; an empty file is an error.
Result<Secret> read_token_file(const std::string& path, size_t most);

}  // namespace pqmint
