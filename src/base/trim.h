// SPDX-License-Identifier: PostgreSQL
#pragma once

#include <string_view>

namespace pqmint {

/// Without the white space at its ends. Borrows.
inline std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace pqmint
