// SPDX-License-Identifier: PostgreSQL
// A string that must not be seen: secret keys, session tokens, minted tokens.
#pragma once

#include <string.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace pqmint {

/// Holds a secret, wipes it when it goes, and cannot be printed, compared or copied by accident.
/// `reveal()` is the one way to the bytes, so that every use can be found by its name. Not thread-safe by itself.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view text) : text_(text) {}
  Secret(Secret&& other) noexcept { take(other); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe();
      take(other);
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(); }

  Secret clone() const { return Secret(text_); }
  /// Puts more at the end; what is outgrown is wiped. `more` must not be part of this.
  Secret& append(std::string_view more) {
    if (more.size() > text_.capacity() - text_.size()) reserve(std::max(2 * text_.capacity(), size() + more.size()));
    text_.append(more);
    return *this;
  }
  /// Room for so many bytes in all, for who knows how many will come.
  void reserve(size_t room) {
    if (room <= text_.capacity()) return;
    std::string larger;
    larger.reserve(room);
    larger = text_;
    wipe();  // first: a short text lies in the string itself, and a swap leaves its end there
    text_.swap(larger);
  }
  std::string_view reveal() const { return text_; }
  const char* c_str() const { return text_.c_str(); }
  bool empty() const { return text_.empty(); }
  size_t size() const { return text_.size(); }

 private:
  // A moved-from short std::string keeps its bytes in place, so a move is a copy and a wipe.
  void take(Secret& other) {
    text_.swap(other.text_);
    other.wipe();
  }
  void wipe() {
    explicit_bzero(text_.data(), text_.capacity());
    text_.clear();
  }

  std::string text_;
};

}  // namespace pqmint
