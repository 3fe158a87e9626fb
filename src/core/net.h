// SPDX-License-Identifier: PostgreSQL
// The door to net.so: a plan comes in, what the module fetched for it goes out.
#pragma once

#include <chrono>
#include <string>

#include "base/instant.h"
#include "base/result.h"
#include "core/credential.h"

namespace pqmint {

/// What was fetched. `is_absent`: the source is not there at all, and `text` says how that was seen. Else AWS's sources
/// give `keys`, imds-region gives `text`, and Entra's give the rest.
struct FetchedCredentials {
  Credentials keys;
  Secret token;
  int64_t expires = 0;     // of keys or token, seconds since the epoch; 0: never
  int64_t refresh_at = 0;  // when the next token should be asked for; 0: nobody said
  std::string text;        // Entra's: the user name that the token's claims lead to, or empty
  std::string identity;    // Entra's: "oid=..., appid=..."
  bool is_absent = false;
  std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now();  // when it was fetched
};

/// Asks the plan's source. Loads net.so, which lies beside core.so, at the first use and keeps it. `signer` is NULL for
/// plans that have none. Learns the server's time. Blocks no longer than the deadline. Thread-safe.
Result<FetchedCredentials> fetch_credentials(const CredentialPlan& plan, const Credentials* signer,
                                             const Deadline& deadline);

}  // namespace pqmint
