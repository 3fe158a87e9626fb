// SPDX-License-Identifier: PostgreSQL
// Percent-encoding (RFC 3986): bytes come in, text fit for a query goes out; and the way back.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pqmint {

/// Appends `text` to `out`, which is a std::string or a Secret, keeping the unreserved characters
/// (A-Z a-z 0-9 - _ . ~) and writing every other byte as %XX with upper-case digits. That is the one
/// spelling that AWS SigV4 signs; a blank is %20, never +.
template <typename Text>
void append_percent_encoded(Text& out, std::string_view text);

/// The bytes that `text` stands for; `+` is a plus. Nothing if a % is not followed by two
/// hexadecimal digits, or if it spells a NUL, which would cut the value short where it becomes a C
/// string.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace pqmint
