// SPDX-License-Identifier: PostgreSQL
// What a service says when it refuses, fit for an error text.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace pqmint {

/// At most `most` bytes of `text`, with "*" wherever one of `secrets` stands in it: what the request carried, the
/// answer may repeat (AWS does, when a signature is wrong). One shorter than 16 bytes is not looked for: tokens have
/// hundreds, and anything shorter may be a word of the message.
std::string said(std::string_view text, size_t most, std::initializer_list<std::string_view> secrets);

}  // namespace pqmint
