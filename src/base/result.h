// SPDX-License-Identifier: PostgreSQL
// Errors as values: what every step of pqmint returns instead of throwing.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace pqmint {

/// A sentence for a person: what was tried, why it failed, what to do next. Holds no secret, no prefix, no newline.
struct Error {
  std::string text;
};

/// Either a value or an Error. `if (!r) return r.error();` hands a failure on.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return held_.index() == 0; }
  T& operator*() { return std::get<0>(held_); }
  const T& operator*() const { return std::get<0>(held_); }
  T* operator->() { return &std::get<0>(held_); }
  const T* operator->() const { return &std::get<0>(held_); }
  const Error& error() const { return std::get<1>(held_); }

 private:
  std::variant<T, Error> held_;
};

}  // namespace pqmint
