// SPDX-License-Identifier: PostgreSQL
// A small process-wide memory of what is dear to make: a key comes in, a shared value goes out.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

namespace pqmint {

/// Up to `kSize` values; the oldest makes room for the next.
///
/// Nobody ever waits for it: who finds the lock taken makes the value anew. That also settles fork:
/// a child whose parent held the lock in another thread finds it taken for good and is merely
/// slower, so no pthread_atfork handlers are needed. Not thread_local, because programs that start
/// a thread for each connection would never find anything in it, and because an exit handler may
/// connect after the main thread's thread_local objects are gone. For the same reason the memory is
/// never torn down: constinit to declare, trivial to destroy, made at first use.
template <typename Key, typename Value, size_t kSize>
class SmallCache {
 public:
  std::shared_ptr<const Value> find(const Key& key) {
    State& state = this->state();
    const std::unique_lock lock(state.mutex, std::try_to_lock);
    if (!lock) return nullptr;
    for (const Entry& entry : state.entries) {
      if (entry.value && entry.key == key) return entry.value;
    }
    return nullptr;
  }

  /// Remembers `value` in place of the one that `key` had.
  void put(const Key& key, std::shared_ptr<const Value> value) {
    State& state = this->state();
    // Leaves with what was here before, whose secrets are wiped after the lock is given back.
    Entry last{key, std::move(value)};
    const std::unique_lock lock(state.mutex, std::try_to_lock);
    if (!lock) return;
    Entry* place = nullptr;
    for (Entry& entry : state.entries) {
      if (entry.value && entry.key == key) place = &entry;
    }
    if (place == nullptr) place = &state.entries[state.oldest++ % kSize];
    std::swap(*place, last);
  }

 private:
  struct Entry {
    Key key{};
    std::shared_ptr<const Value> value;
  };
  struct State {
    std::mutex mutex;
    std::array<Entry, kSize> entries;
    size_t oldest = 0;
  };

  // Not a function-local static: its guard is a lock, which a fork could leave taken for good.
  State& state() {
    State* state = state_.load(std::memory_order_acquire);
    if (state != nullptr) return *state;
    auto made = std::make_unique<State>();
    return state_.compare_exchange_strong(state, made.get(), std::memory_order_acq_rel) ? *made.release() : *state;
  }

  std::atomic<State*> state_ = nullptr;
};

}  // namespace pqmint
