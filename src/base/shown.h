// SPDX-License-Identifier: PostgreSQL
// Somebody else's text (a path, a profile's name) comes in; what may stand in one line of an error
// text goes out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/glyph.h"

namespace pqmint {

/// Control characters become question marks.
inline std::string without_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Glyph glyph = first_glyph(text.data(), text.size());
    glyph.is_control ? out.append("?") : out.append(text.substr(0, glyph.length));
    text.remove_prefix(glyph.length);
  }
  return out;
}

/// At most `most` bytes, cut between characters with "..." at the end; control characters become
/// question marks.
inline std::string shown(std::string_view text, size_t most) {
  constexpr std::string_view kCut = "...";
  const bool whole = text.size() <= most;
  size_t end = whole ? text.size() : most - kCut.size();
  while (!whole && end > 0 && (text[end] & 0xC0) == 0x80) --end;  // not within a UTF-8 sequence
  std::string out = without_controls(text.substr(0, end));
  return whole ? out : out.append(kCut);
}

/// The same of a URL, or of what should be one: what may be a user and a password in it is "*".
inline std::string shown_url(std::string_view url, size_t most) {
  const size_t at = url.rfind('@');
  if (at == url.npos) return shown(url, most);
  const size_t scheme = url.find("://");
  const std::string_view begin = scheme < at ? url.substr(0, scheme + 3) : std::string_view();
  return shown(std::string(begin).append("*").append(url.substr(at)), most);
}

/// The same in quotation marks: a name that a user has written.
inline std::string quoted(std::string_view text, size_t most = 60) {
  return "\"" + shown(text, most) + "\"";
}

/// How much of a path an error text shows: two of them and what is said about them fit on a page.
inline constexpr size_t kShownPath = 120;

}  // namespace pqmint
