// SPDX-License-Identifier: PostgreSQL
// Why a server may have refused a token: what was signed, and the likely causes in order, each with its remedy.
#pragma once

#include <string>
#include <string_view>

#include "core/grant.h"

namespace pqmint {

/// A sentence without a prefix, and below it, a line for each, what is known and the likely causes. `said` is the
/// server's message; RDS answers every mistake with the same words.
std::string explain_refusal(const Grant& grant, std::string_view user, std::string_view said);

}  // namespace pqmint
