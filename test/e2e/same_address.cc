// SPDX-License-Identifier: PostgreSQL
// Preloaded into a program of one thread: a block of a PGconn's size stands where the last one of that size stood that
// was given back, which is chance otherwise.
#include <malloc.h>
#include <stddef.h>
#include <string.h>

extern "C" {
void __libc_free(void* block);
void* __libc_calloc(size_t count, size_t size);
void* __libc_malloc(size_t size);
}

namespace {

// libpq 14 to 18, with room.
constexpr size_t kLeast = 700, kMost = 2500;
constexpr size_t kKept = 256;
// glibc rounds up to 16, and splits no block of which less than 32 would be left.
constexpr size_t kSlack = 48;
constinit void* g_kept[kKept] = {};
constinit size_t g_count = 0;

void* kept_for(size_t size) {
  for (size_t i = g_count; i-- > 0;) {
    const size_t room = malloc_usable_size(g_kept[i]);
    if (room < size || room >= size + kSlack) continue;
    void* const block = g_kept[i];
    memmove(g_kept + i, g_kept + i + 1, (--g_count - i) * sizeof *g_kept);
    return block;
  }
  return nullptr;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void free(void* block) {
  const size_t size = block ? malloc_usable_size(block) : 0;
  if (size < kLeast || size > kMost) return __libc_free(block);
  if (g_count == kKept) {
    __libc_free(g_kept[0]);
    memmove(g_kept, g_kept + 1, --g_count * sizeof *g_kept);
  }
  g_kept[g_count++] = block;
}

extern "C" __attribute__((visibility("default"))) void* malloc(size_t size) {
  void* const block = kept_for(size);
  return block ? block : __libc_malloc(size);
}

// gcc makes one call of malloc and memset.
extern "C" __attribute__((visibility("default"))) void* calloc(size_t count, size_t size) {
  void* const block = count == 1 || size == 1 ? kept_for(count * size) : nullptr;
  return block ? memset(block, 0, count * size) : __libc_calloc(count, size);
}
