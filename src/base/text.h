// SPDX-License-Identifier: PostgreSQL
// ASCII, whatever the host's locale: names of settings, regions, schemes and headers are no words of a language.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace pqmint {

/// Without the white space at its ends. Borrows.
inline std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

inline std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

inline bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Letters, digits and the characters of `marks`.
inline bool is_made_of(std::string_view text, std::string_view marks) {
  return std::ranges::all_of(text, [&](char c) { return is_alphanumeric(c) || marks.find(c) != marks.npos; });
}

}  // namespace pqmint
