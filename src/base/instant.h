// SPDX-License-Identifier: PostgreSQL
// Points in time: an ISO 8601 text comes in, seconds since the epoch go out; and how much of a time limit is left.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pqmint {

/// Seconds since the epoch of an ISO 8601 instant as AWS's tools write it: "2026-01-15T12:34:56Z", with a fraction, a
/// blank for the T, "+00:00" or "UTC" for the Z, or no zone at all, which means UTC. Nothing if it is none.
std::optional<int64_t> parse_instant(std::string_view text);

/// "2026-01-15T12:34:56Z".
std::string instant_text(int64_t seconds);

/// A moment after which nobody waits any more. Measured on the monotonic clock, so that no clock change moves it.
class Deadline {
 public:
  static Deadline in(std::chrono::milliseconds time) { return Deadline(std::chrono::steady_clock::now() + time); }

  /// What is left, never below zero.
  std::chrono::milliseconds left() const {
    const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(at_ - std::chrono::steady_clock::now());
    return std::max(time, std::chrono::milliseconds(0));
  }
  bool over() const { return left().count() == 0; }
  /// The earlier of this one and `time` from now.
  Deadline no_later_than(std::chrono::milliseconds time) const { return Deadline(std::min(at_, in(time).at_)); }
  std::chrono::steady_clock::time_point at() const { return at_; }

 private:
  explicit Deadline(std::chrono::steady_clock::time_point at) : at_(at) {}
  std::chrono::steady_clock::time_point at_;
};

}  // namespace pqmint
