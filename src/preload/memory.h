// SPDX-License-Identifier: PostgreSQL
// Owning pointers for an object that has no C++ runtime: malloc in, free out, nothing thrown.
#pragma once

#include <stdint.h>
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

/// The parts, one after another.
template <typename... Parts>
Text joined(Parts... parts) {
  const char* const all[] = {parts...};
  size_t size = 1;
  for (const char* part : all) size += strlen(part);
  Text out(static_cast<char*>(malloc(size)));
  if (!out) return out;
  char* end = out.get();
  for (const char* part : all) end = stpcpy(end, part);
  return out;
}

/// FNV-1a: not against an adversary, only against chance. `hash` is that of what stands before `text`.
inline uint64_t fingerprint_of(const char* text, uint64_t hash = 0xcbf29ce484222325u) {
  for (; *text; ++text) hash = (hash ^ static_cast<unsigned char>(*text)) * 0x100000001b3u;
  return hash;
}

inline Text copy_text(const char* text) {
  return Text(text ? strdup(text) : nullptr);
}

/// `count` zeroed elements; T must be happy with all bits zero.
template <typename T>
Array<T> zeroed_array(size_t count) {
  return Array<T>(static_cast<T*>(calloc(count ? count : 1, sizeof(T))));
}

/// libpq's messages end in a newline, ours do not. Null is let be.
inline void cut_last_newlines(char* text) {
  for (size_t end = text ? strlen(text) : 0; end > 0 && text[end - 1] == '\n';) text[--end] = '\0';
}

/// libpq's own view of a setting: an empty value is no value.
inline bool given(const char* text) {
  return text != nullptr && *text != '\0';
}

inline bool same_text(const char* a, const char* b) {
  return strcmp(a ? a : "", b ? b : "") == 0;
}

}  // namespace pqmint
