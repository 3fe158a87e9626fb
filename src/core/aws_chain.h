// SPDX-License-Identifier: PostgreSQL
// The order in which AWS credentials are looked for: environment, files and what a token spec says come in; a plan goes
// out, which is either keys that lie at rest or the description of a fetch.
//
// The order is AWS CLI v2's, so that `aws sts get-caller-identity` on the same machine names the same identity. A
// source that is configured and cannot be used is an error, never a fall-through to a different identity.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "core/credential.h"

namespace pqmint {

/// What a token spec may say about credentials. Empty: nothing.
struct CredentialWish {
  std::string profile;   // else AWS_PROFILE, then AWS_DEFAULT_PROFILE
  std::string role_arn;  // assumed on top of what the chain finds
  std::string external_id;
  std::string role_session_name;
};

/// Why each source was used or passed over, in the order in which they were asked.
using Trail = std::vector<std::pair<std::string, std::string>>;

/// Finds out where credentials come from, at `now` (seconds since the epoch). Reads files if they have changed, and
/// asks nobody. `trail` gets a line for each source up to the one that is used, with an error too. Thread-safe.
Result<CredentialPlan> plan_credentials(const CredentialWish& wish, int64_t now, Trail& trail);

/// What to say when nothing was configured and the metadata service, the last of all, is not there: every source with
/// its reason.
Error nothing_found(const CredentialWish& wish, const Trail& trail);

/// The region that a profile sets, empty if none; an error as for plan_credentials when the named profile is missing.
Result<std::string> profile_region(const CredentialWish& wish);

/// How to ask the metadata service for the region; nothing if AWS_EC2_METADATA_DISABLED switches it off.
Result<std::optional<CredentialPlan>> plan_imds_region(const CredentialWish& wish);

}  // namespace pqmint
