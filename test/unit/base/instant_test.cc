// SPDX-License-Identifier: PostgreSQL
// Instants as AWS's tools write them, and deadlines.

#include "base/instant.h"

#include <gtest/gtest.h>

namespace pqmint {
namespace {

constexpr int64_t kNow = 1768480496;  // 2026-01-15T12:34:56Z

TEST(Instant, AcceptsWhatAwsWrites) {
  for (const char* text : {"2026-01-15T12:34:56Z", "2026-01-15T12:34:56.789Z", "2026-01-15T12:34:56+00:00",
                           "2026-01-15 12:34:56", "2026-01-15T12:34:56UTC", "2026-01-15T13:34:56+0100",
                           "2026-01-15T07:04:56-05:30", "2026-01-15T12:34:56.000000+00:00"}) {
    EXPECT_EQ(parse_instant(text), kNow) << text;
  }
  EXPECT_EQ(parse_instant("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_instant("2024-02-29T00:00:00Z"), 1709164800);
  EXPECT_EQ(parse_instant("2016-12-31T23:59:60Z"), 1483228800) << "a leap second is the next day's first";
  EXPECT_EQ(parse_instant("9999-12-31T23:59:59Z"), 253402300799);
  EXPECT_EQ(parse_instant("9999-12-31T23:59:59-23:59"), 253402387139);
  EXPECT_EQ(parse_instant("2026-01-16T12:33:56+23:59"), kNow);
  for (const char* text :
       {"", "now", "2026", "2026-01-15", "2026-01-15T12:34", "2026-13-15T12:34:56Z", "2026-02-30T12:34:56Z",
        "2026-01-15T24:00:00Z", "2026-01-15T12:34:56X", "2026-01-15T12:34:56.Z", "2026-01-15T12:34:56+1",
        "2026-01-15T12:34:56Z ", "20260115T123456Z", "1768480496"}) {
    EXPECT_EQ(parse_instant(text), std::nullopt) << text;
  }
}

TEST(Deadline, NeverHasLessThanNothingLeft) {
  using std::chrono::milliseconds;
  const Deadline past = Deadline::in(milliseconds(-5));
  EXPECT_EQ(past.left(), milliseconds(0));
  EXPECT_TRUE(past.over());
  const Deadline later = Deadline::in(milliseconds(60'000));
  EXPECT_FALSE(later.over());
  EXPECT_LE(later.no_later_than(milliseconds(10)).left(), milliseconds(10));
  EXPECT_GT(later.no_later_than(milliseconds(120'000)).left(), milliseconds(50'000));
}

}  // namespace
}  // namespace pqmint
