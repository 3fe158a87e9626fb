// SPDX-License-Identifier: PostgreSQL
// IAM Identity Center's access token: the CLI's cache file comes in; a token that lives goes out, refreshed if that is
// due.
#pragma once

#include "base/result.h"
#include "base/secret.h"
#include "net/source.h"

namespace pqmint {

/// Settings as for fetch_sso(). Blocks no longer than the deadline.
Result<Secret> sso_access_token(const Query& query);

/// What is said of a token that is not accepted any more, in botocore's words, with the command that mends it.
Error sso_session_expired(const Settings& settings);

}  // namespace pqmint
