// SPDX-License-Identifier: PostgreSQL
// Preloaded into a program: looks into each block of memory that is given back for secrets that nobody has wiped, notes
// down who gives it back, and wipes it. So what a search of the program's memory finds is what somebody holds, never
// what chance has not overwritten yet.
//
// PQMINT_TEST_FREED names the file that findings are appended to; what is looked for stands in a file of that name with
// ".secrets" behind it, a line each. Besides those: any signature of AWS's in a token, and any signed web token.
//
// A finding is a line: what (the number of the secret's line from 0, "signature" or "web-token"), the object that gave
// the block back (libc and libstdc++ are nobody: whoever called them is), the block's size, and the callers.
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern "C" {
void __libc_free(void* block);
void* __libc_realloc(void* block, size_t size);
void* __libc_malloc(size_t size);
}

namespace {

constexpr size_t kMost = 16, kLongest = 256, kFrames = 24;
constexpr unsigned char kMask = 0x5A;
constexpr int kWiped = 0xDB;

// Masked: who searches this memory too must not find them here.
struct Needle {
  unsigned char masked[kLongest];
  size_t size;
};
constinit Needle g_needles[kMost] = {};
constinit size_t g_count = 0;
constinit char g_path[512] = "";
__attribute__((tls_model("initial-exec"))) constinit thread_local bool t_is_inside = false;

__attribute__((constructor)) void prepare() {
  // The programs that it starts have secrets of their own.
  const char* path = strcmp(program_invocation_short_name, "client") == 0 ? getenv("PQMINT_TEST_FREED") : nullptr;
  if (path == nullptr) return;
  char name[600];
  snprintf(name, sizeof name, "%s.secrets", path);
  const int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  char byte = 0;
  while (g_count < kMost && read(fd, &byte, 1) == 1) {
    Needle& needle = g_needles[g_count];
    if (byte == '\n') {
      g_count += needle.size > 0;
    } else if (needle.size < kLongest) {
      needle.masked[needle.size++] = static_cast<unsigned char>(byte) ^ kMask;
    }
  }
  close(fd);
  void* frames[2];
  backtrace(frames, 2);  // loads what it needs, while nobody is in our way
  snprintf(g_path, sizeof g_path, "%s", path);
}

bool is_digit_of_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}
bool is_of_a_web_token(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
}

template <typename Is>
bool has_run(const char* at, const char* end, size_t size, Is is) {
  if (static_cast<size_t>(end - at) < size) return false;
  for (size_t i = 0; i < size; ++i) {
    if (!is(at[i])) return false;
  }
  return true;
}

const char* base_name(const char* path) {
  const char* slash = path ? strrchr(path, '/') : nullptr;
  return slash ? slash + 1 : path ? path : "?";
}

bool begins_with(const char* text, const char* begin) {
  return strncmp(text, begin, strlen(begin)) == 0;
}

bool is_nobody(const char* name) {
  return begins_with(name, "libfreed") || begins_with(name, "libc.so") || begins_with(name, "libstdc++");
}

void note(const char* what, size_t size) {
  void* frames[kFrames];
  const int count = backtrace(frames, kFrames);
  char line[4096];
  const char* owner = "?";
  char chain[3500] = "";
  size_t length = 0;
  for (int i = 0; i < count; ++i) {
    Dl_info info = {};
    if (dladdr(frames[i], &info) == 0) continue;
    const char* name = base_name(info.dli_fname);
    if (*owner == '?' && !is_nobody(name)) owner = name;
    const auto offset = static_cast<const char*>(frames[i]) - static_cast<const char*>(info.dli_fbase);
    const int written = snprintf(chain + length, sizeof chain - length, " %s+0x%lx(%s)", name,
                                 static_cast<unsigned long>(offset), info.dli_sname ? info.dli_sname : "");
    if (written < 0 || length + static_cast<size_t>(written) >= sizeof chain) break;
    length += static_cast<size_t>(written);
  }
  const int written = snprintf(line, sizeof line, "%s %s %zu%s\n", what, owner, size, chain);
  const int fd = open(g_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (write(fd, line, static_cast<size_t>(written)) < 0) abort();
  close(fd);
}

// Each secret is noted down once for a block.
void look(const char* block, size_t size) {
  const char* const end = block + size;
  bool is_found[kMost + 2] = {};
  constexpr char kSignature[] = "X-Amz-Signature=";
  for (const char* at = block; at < end; ++at) {
    for (size_t i = 0; i < g_count; ++i) {
      const Needle& needle = g_needles[i];
      if ((static_cast<unsigned char>(*at) ^ kMask) != needle.masked[0] || is_found[i]) continue;
      if (static_cast<size_t>(end - at) < needle.size) continue;
      size_t same = 1;
      while (same < needle.size && (static_cast<unsigned char>(at[same]) ^ kMask) == needle.masked[same]) ++same;
      is_found[i] = same == needle.size;
    }
    if (*at == 'X' && static_cast<size_t>(end - at) > sizeof kSignature &&
        memcmp(at, kSignature, sizeof kSignature - 1) == 0) {
      is_found[kMost] |= has_run(at + sizeof kSignature - 1, end, 64, is_digit_of_hex);
    }
    if (*at == 'e' && has_run(at, end, 400, is_of_a_web_token) && at[1] == 'y' && at[2] == 'J')
      is_found[kMost + 1] = true;
  }
  for (size_t i = 0; i < kMost + 2; ++i) {
    if (!is_found[i]) continue;
    char number[8];
    snprintf(number, sizeof number, "%zu", i);
    note(i == kMost ? "signature" : i == kMost + 1 ? "web-token" : number, size);
  }
}

void look_and_wipe(void* block) {
  if (block == nullptr || t_is_inside || g_path[0] == '\0') return;
  t_is_inside = true;
  const size_t size = malloc_usable_size(block);
  look(static_cast<char*>(block), size);
  memset(block, kWiped, size);
  asm volatile("" : : "r"(block) : "memory");
  t_is_inside = false;
}

}  // namespace

extern "C" {

void free(void* block) {
  look_and_wipe(block);
  __libc_free(block);
}

// Always by a block of its own, so that the old one can be looked into.
void* realloc(void* block, size_t size) {
  if (block == nullptr || g_path[0] == '\0') return __libc_realloc(block, size);
  if (size == 0) return free(block), nullptr;
  const size_t old = malloc_usable_size(block);
  if (size <= old) return block;
  void* larger = __libc_malloc(size);
  if (larger == nullptr) return nullptr;
  memcpy(larger, block, old);
  free(block);
  return larger;
}
}
