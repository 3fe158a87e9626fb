// SPDX-License-Identifier: PostgreSQL
// ISO 8601 as AWS's tools write it.

#include "base/instant.h"

#include <time.h>

#include <string>

namespace pqmint {

std::optional<int64_t> parse_instant(std::string_view text) {
  using namespace std::chrono;
  bool good = true;
  const auto number = [&](size_t digits) {
    int value = 0;
    good = good && text.size() >= digits;
    for (size_t i = 0; good && i < digits; ++i) {
      good = text[i] >= '0' && text[i] <= '9';
      value = value * 10 + (text[i] - '0');
    }
    if (good) text.remove_prefix(digits);
    return value;
  };
  const auto literal = [&](std::string_view any_of) {
    good = good && !text.empty() && any_of.find(text[0]) != std::string_view::npos;
    if (good) text.remove_prefix(1);
  };

  const int years = number(4);
  literal("-");
  const int months = number(2);
  literal("-");
  const int days = number(2);
  literal("Tt ");
  const int hour = number(2);
  literal(":");
  const int minute = number(2);
  literal(":");
  const int second = number(2);
  if (good && !text.empty() && text[0] == '.') {  // a fraction only makes it later than we say
    literal(".");
    number(1);
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') text.remove_prefix(1);
  }
  int offset = 0;  // minutes east of Greenwich
  if (good && !text.empty() && (text[0] == '+' || text[0] == '-')) {
    const int sign = text[0] == '-' ? -1 : 1;
    literal("+-");
    const int hours_east = number(2);
    if (good && !text.empty() && text[0] == ':') literal(":");
    const int minutes_east = number(2);
    good = good && hours_east < 24 && minutes_east < 60;
    offset = sign * (hours_east * 60 + minutes_east);
  } else if (text == "Z" || text == "z" || text == "UTC" || text == " UTC") {
    text = {};
  }
  const year_month_day date(year(years), month(static_cast<unsigned>(months)), day(static_cast<unsigned>(days)));
  if (!good || !text.empty() || !date.ok() || hour > 23 || minute > 59 || second > 60) {
    return std::nullopt;
  }
  return (sys_days(date).time_since_epoch() / seconds(1)) + (hour * 60 + minute - offset) * 60 + second;
}

std::string instant_text(int64_t seconds) {
  const time_t time = seconds;
  tm parts = {};
  char text[32];
  gmtime_r(&time, &parts);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace pqmint
