// SPDX-License-Identifier: PostgreSQL
// What was fetched is kept: a plan comes in; its credentials, from memory or fetched now, go out.
#pragma once

#include <chrono>
#include <memory>

#include "base/instant.h"
#include "base/result.h"
#include "core/net.h"

namespace pqmint {

/// How long the caller waits, and since when: a fetch that failed after that moment was made for this caller too,
/// unless it had less time than the caller still has.
struct Patience {
  Deadline deadline;
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
};

/// The credentials of a plan without keys of its own; of a chain of roles, each link is kept by itself. One thread
/// fetches for all that want the same identity. In the last 15 minutes of their life (the advisory window) one thread
/// renews them while the others go on; in the last 5 (the mandatory one) all wait for it. If that fails, or the
/// source is absent by then, what still lives is used. That no metadata service answers is remembered for a minute. A
/// command's token knows no window: it is used until the end of the life that the user gave it.
///
/// Kept per plan, so other keys, files or settings are another entry. A child of fork() keeps what the parent had.
/// Thread-safe; blocks no longer than the deadline.
Result<std::shared_ptr<const FetchedCredentials>> stored_credentials(const CredentialPlan& plan,
                                                                     const Patience& patience);

/// Forgets what was fetched for a plan at that moment (FetchedCredentials::at), because a server refused it. What has
/// been fetched since stays: of many threads whose token was refused, the last must not throw away what the first has
/// renewed.
void forget_credentials(const CredentialPlan& plan, std::chrono::steady_clock::time_point fetched_at);

}  // namespace pqmint
