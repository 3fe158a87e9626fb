// SPDX-License-Identifier: PostgreSQL
// The token caches that the AWS CLI and the SDKs share on disk: read, and rewritten without losing anything.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "net/json.h"

namespace pqmint {

/// The JSON object in the file at `path`. Nothing if there is no such file or it cannot be parsed: writers lock
/// nothing, so half a file is as good as none. Larger than 1 MiB counts as unparsable.
std::optional<Document> read_cache_file(const std::string& path);

/// Puts `object` in the place of the file: a temporary file in the same folder, mode 0600, fsync, rename. A failure
/// leaves the old file as it was and says why.
Result<bool> write_cache_file(const std::string& path, const Json::Value& object);

}  // namespace pqmint
