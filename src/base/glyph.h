// SPDX-License-Identifier: PostgreSQL
// Text of any origin comes in; character by character, what a terminal would obey instead of showing goes out. Needs
// libc only.
#pragma once

#include <stddef.h>

namespace pqmint {

/// The first character of a text: how many bytes it has, and whether it is a control character.
struct Glyph {
  size_t length;
  bool is_control;
};

/// `size` is at least 1. Control characters are those of ASCII, and 0x80 to 0x9f, which begin a terminal's commands as
/// ESC does: as UTF-8, and as bytes that belong to no character (Unicode 15, tables 3-7 and 23.1).
inline Glyph first_glyph(const char* text, size_t size) {
  const auto byte = [&](size_t i) { return i < size ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](size_t i, unsigned from = 0x80, unsigned to = 0xbf) {
    return byte(i) >= from && byte(i) <= to;
  };
  const unsigned lead = byte(0);
  if (lead < 0xa0) return {1, lead < ' ' || lead >= 0x7f};
  if (lead >= 0xc2 && lead <= 0xdf && follows(1)) return {2, lead == 0xc2 && byte(1) < 0xa0};
  if (lead >= 0xe0 && lead <= 0xef && follows(1, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf) && follows(2))
    return {3, false};
  if (lead >= 0xf0 && lead <= 0xf4 && follows(1, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf) &&
      follows(2) && follows(3))
    return {4, false};
  return {1, false};
}

}  // namespace pqmint
