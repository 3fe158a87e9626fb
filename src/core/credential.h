// SPDX-License-Identifier: PostgreSQL
// AWS credentials that lie at rest: environment keys and the static keys of the shared config and credentials files.
//
// In: the environment, the two files, and a profile if the token spec names one. Out: keys, or one sentence.
// Follows the order of AWS CLI v2. A source that is configured and cannot be used is an error, never a fall-through
// to a different identity.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace pqmint {

struct Credentials {
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;  // empty: none
  int64_t expires = 0;   // seconds since the epoch, 0: never
  std::string source;    // "environment", "profile", ...
  std::string name;      // the profile's name, empty for the environment

  Credentials clone() const;
};

/// "AKIAIOSFODNN7EXAMPLE" -> "AKIA...MPLE": enough to tell identities apart in an error text.
std::string masked(std::string_view access_key_id);

/// Seconds since the epoch of an ISO 8601 instant as AWS's tools write it: "2026-01-15T12:34:56Z", with a fraction, a
/// blank for the T, "+00:00" or "UTC" for the Z, or no zone at all, which means UTC. Nothing if it is none.
std::optional<int64_t> parse_instant(std::string_view text);

/// What a token spec may say about credentials. An empty `profile` leaves it to AWS_PROFILE, then AWS_DEFAULT_PROFILE.
struct CredentialWish {
  std::string profile;
};

/// Finds credentials at `now` (seconds since the epoch). Files are read again when they have changed. Thread-safe.
Result<Credentials> find_credentials(const CredentialWish& wish, int64_t now);

/// The region that a profile sets, empty if none; an error as for find_credentials when the named profile is missing.
Result<std::string> profile_region(const CredentialWish& wish);

}  // namespace pqmint
