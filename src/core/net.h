// SPDX-License-Identifier: PostgreSQL
// The door to net.so: a credential source's name comes in, what the module fetched goes out.
#pragma once

#include <string_view>

#include "base/result.h"
#include "core/credential.h"

namespace pqmint {

/// Loads net.so, which lies beside core.so, at the first use and keeps it. `source` is a word of
/// pqmint_fetch's list; `profile` is the one that asked for it, empty if the environment did.
/// Thread-safe. May block on the network.
Result<Credentials> fetch_credentials(std::string_view source, std::string_view profile);

}  // namespace pqmint
