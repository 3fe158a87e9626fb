// SPDX-License-Identifier: PostgreSQL
// ASCII, whatever the host's locale: names of settings, regions, schemes and headers are no words of a language.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

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

/// A key or a token: printable characters, and no blank. Nothing cuts it off, and no line or header ends in it.
inline bool is_graphic(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

/// A line end among them would end a header and begin another one.
inline bool has_controls(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

/// The number that all of `text` is, in decimal digits. Nothing if it is none, or none of the type.
template <typename Number = int64_t>
std::optional<Number> whole_number(std::string_view text) {
  Number number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// The same as a count of something: at least 1, at most `most`; `usual` for what is none.
inline int count_in(std::string_view text, int usual, int most) {
  const auto number = whole_number<int>(text);
  return number && *number >= 1 ? std::min(*number, most) : usual;
}

/// Letters, digits and the characters of `marks`.
inline bool is_made_of(std::string_view text, std::string_view marks) {
  return std::ranges::all_of(text, [&](char c) { return is_alphanumeric(c) || marks.find(c) != marks.npos; });
}

}  // namespace pqmint
