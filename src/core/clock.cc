// SPDX-License-Identifier: PostgreSQL
// The time that servers go by.

#include "core/clock.h"

#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include <atomic>

namespace pqmint {
namespace {

constexpr int64_t kUnknown = INT64_MIN;
constinit std::atomic<int64_t> g_skew = kUnknown;

}  // namespace

int64_t server_now() {
  const int64_t skew = g_skew.load(std::memory_order_relaxed);
  return time(nullptr) + (skew == kUnknown || !is_skew_corrected() ? 0 : skew);
}

bool is_skew_corrected() {
  const char* value = getenv("AWS_DISABLE_CLOCK_SKEW_CORRECTION");
  return value == nullptr || strcasecmp(value, "true") != 0;
}

std::optional<int64_t> known_skew() {
  const int64_t skew = g_skew.load(std::memory_order_relaxed);
  return skew == kUnknown ? std::nullopt : std::optional(skew);
}

void learn_skew(int64_t seconds) {
  g_skew.store(seconds, std::memory_order_relaxed);
}

}  // namespace pqmint
