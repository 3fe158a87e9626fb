// SPDX-License-Identifier: PostgreSQL
// Shortens the list where it stands: nothing is allocated.

#include "base/loader_list.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

namespace pqmint {
namespace {

bool is_our_library(const char* entry, size_t length) {
  constexpr char kName[] = "libpqmint.so";
  constexpr size_t kLength = sizeof kName - 1;
  return length >= kLength && memcmp(entry + length - kLength, kName, kLength) == 0 &&
         (length == kLength || entry[length - kLength - 1] == '/');
}

// A link that leads nowhere any more was still ours.
bool is_our_folder(const char* entry, size_t length) {
  char path[PATH_MAX];
  const int written = snprintf(path, sizeof path, "%.*s/%s", static_cast<int>(length), entry, kRealLibpq);
  struct stat st;
  return length > 0 && written > 0 && static_cast<size_t>(written) < sizeof path && lstat(path, &st) == 0;
}

}  // namespace

bool take_out_ours(char* list, LoaderList kind) {
  const char* const separators = kind == LoaderList::kPreload ? ": " : ":;";  // ld.so(8)
  bool found = false;
  char* kept = list;
  size_t entries = 0;
  char before = '\0';  // what parts the next entry from the one before it
  for (const char* at = list;;) {
    const size_t length = strcspn(at, separators);
    const char after = at[length];
    if (length < PATH_MAX && (kind == LoaderList::kPreload ? is_our_library(at, length) : is_our_folder(at, length))) {
      found = true;
    } else {
      if (entries++ > 0) *kept++ = before;
      memmove(kept, at, length);
      kept += length;
      before = after;
    }
    if (after == '\0') break;
    at += length + 1;
  }
  if (!found) return false;
  // An empty list has no entries, and this one had one: the current folder, which may as well stand there twice.
  if (kept == list && entries == 1) *kept++ = ':';
  *kept = '\0';
  return true;
}

}  // namespace pqmint
