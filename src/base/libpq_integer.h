// SPDX-License-Identifier: PostgreSQL
// A setting of libpq's that is a number comes in as text; what libpq makes of it goes out. Needs libc only.
#pragma once

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

namespace pqmint {

/// False where libpq says "invalid integer value" (parse_int_param() of fe-connect.c, libpq 14 to 18): blanks may stand
/// on both sides, and nothing else. Leaves errno alone.
inline bool libpq_integer(const char* text, int& value) {
  const int saved = errno;
  errno = 0;
  char* end = nullptr;
  const long number = strtol(text, &end, 10);
  const bool is_number = end != text && errno == 0 && number >= INT_MIN && number <= INT_MAX;
  errno = saved;
  while (isspace(static_cast<unsigned char>(*end))) ++end;
  if (is_number) value = static_cast<int>(number);
  return is_number && *end == '\0';
}

}  // namespace pqmint
