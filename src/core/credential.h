// SPDX-License-Identifier: PostgreSQL
// AWS credentials: what they are, and what is known of where they come from before anybody is asked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.h"

namespace pqmint {

struct Credentials {
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;  // empty: none
  int64_t expires = 0;   // seconds since the epoch, 0: never

  Credentials clone() const { return {access_key_id, secret_access_key.clone(), session_token.clone(), expires}; }
};

/// "AKIAIOSFODNN7EXAMPLE" -> "AKIA...MPLE": enough to tell identities apart in an error text. Shorter ids than AWS's
/// own (16 characters) would show most of themselves, and become "...".
inline std::string masked(std::string_view access_key_id) {
  if (access_key_id.size() < 12) return "...";
  return std::string(access_key_id.substr(0, 4)) + "..." + std::string(access_key_id.substr(access_key_id.size() - 4));
}

/// Where the credentials of one identity come from. Equal plans mean equal identities: it is what a cache goes by.
struct CredentialPlan {
  std::string source;  // "environment", "profile", "assume-role", ..., "imds"; "imds-region"; "command"
  std::string name;    // the profile's, or the program's; empty where the environment or the machine decides
  std::optional<Credentials> keys;  // those that lie at rest; without them they are fetched from `source`:
  std::vector<std::pair<std::string, Secret>> settings;  // what it must know (net/source.h lists the names)
  std::unique_ptr<CredentialPlan> signer;                // whose keys sign the request

  /// Leaves out what has no value.
  void set(std::string setting, std::string_view value) {
    if (!value.empty()) settings.emplace_back(std::move(setting), Secret(value));
  }
};

}  // namespace pqmint
