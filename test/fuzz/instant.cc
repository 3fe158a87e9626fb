// SPDX-License-Identifier: PostgreSQL
// Times. What is one lies within the years that can be written, agrees with libc's calendar, and reads the same again.

#include "base/instant.h"

#include <time.h>

#include "promise.h"

namespace pqmint::fuzz {

void instant(std::string_view input) {
  const auto seconds = parse_instant(input);
  if (!seconds) return;
  constexpr int64_t kDay = 86'400;
  PROMISE(*seconds >= -62'167'219'200 - kDay && *seconds <= 253'402'300'800 + kDay, input);  // years 0 to 9999
  tm parts = {};
  const std::string digits(input.substr(0, 19));
  PROMISE(sscanf(digits.c_str(), "%d-%d-%d%*c%d:%d:%d", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
                 &parts.tm_min, &parts.tm_sec) == 6,
          input);
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const int64_t offset = timegm(&parts) - *seconds;
  PROMISE(offset % 60 == 0 && offset > -kDay && offset < kDay, input);
  const bool says_zone = input.substr(19).find_first_of("+-") != input.npos;
  PROMISE(says_zone || offset == 0, input);
  if (*seconds < -62'167'219'200 || *seconds >= 253'402'300'800) return;  // an offset has led out of the calendar
  const std::string text = instant_text(*seconds);
  if (text.size() == 20) PROMISE(parse_instant(text) == seconds, text);  // years below 1000 are written shorter
}

}  // namespace pqmint::fuzz
