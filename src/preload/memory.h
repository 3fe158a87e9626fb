// SPDX-License-Identifier: PostgreSQL
// Owning pointers for an object that has no C++ runtime: malloc in, free out, nothing thrown.
#pragma once

#include <stdlib.h>
#include <string.h>

#include <memory>

namespace pqmint {

struct Free {
  void operator()(const void* p) const { free(const_cast<void*>(p)); }
};

/// A malloc'ed C string or array, freed when it goes. Null when memory was out: callers must look.
using Text = std::unique_ptr<char, Free>;
template <typename T>
using Array = std::unique_ptr<T[], Free>;

inline Text copy_text(const char* text) {
  return Text(text ? strdup(text) : nullptr);
}

/// `count` zeroed elements; T must be happy with all bits zero.
template <typename T>
Array<T> zeroed_array(size_t count) {
  return Array<T>(static_cast<T*>(calloc(count ? count : 1, sizeof(T))));
}

/// libpq's own view of a setting: an empty value is no value.
inline bool given(const char* text) {
  return text != nullptr && *text != '\0';
}

inline bool same_text(const char* a, const char* b) {
  return strcmp(a ? a : "", b ? b : "") == 0;
}

}  // namespace pqmint
