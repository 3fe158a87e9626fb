// SPDX-License-Identifier: PostgreSQL
// A login of the AWS CLI that lies in a cache file: what the file holds comes in; a session that lives goes out,
// refreshed and written back if that is due.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/instant.h"
#include "base/result.h"
#include "net/json.h"

namespace pqmint {

struct CachedSession {
  std::string path;
  int64_t window;  // seconds before its end from which on it is refreshed
  /// When it ends, in seconds since the epoch by this machine's clock: who wrote the file has added the life that the
  /// service named to it. Nothing if the object cannot be used.
  std::function<std::optional<int64_t>(const Json::Value&)> expiry;
  /// The session after a refresh, with everything that the old one had. Spends the refresh token.
  std::function<Result<Document>(const Json::Value& old, const Deadline&)> refresh;
};

/// `cached` is what the file held a moment ago, and usable. An error is refresh()'s, and means that the session is dead
/// too. Processes that use pqmint refresh a session one after the other.
Result<Document> living_session(const CachedSession& session, Document cached, const Deadline& deadline);

/// Where the session called `key` lies: its digest ("SHA1", "SHA256") in hexadecimal digits and ".json".
Result<std::string> session_path(std::string_view directory, const char* algorithm, std::string_view key);

/// `seconds` from now, at most a year, as the cache files have it: "2026-01-15T20:00:00Z".
std::string instant_after(int64_t seconds);

}  // namespace pqmint
