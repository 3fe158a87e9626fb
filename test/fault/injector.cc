// SPDX-License-Identifier: PostgreSQL
// Preloaded into the victim: stands before libc's allocation and file functions, and lets the n-th call of them fail.
//
// A caller is told by its return address. What libc calls within itself (the loader's own reading, getaddrinfo's
// sockets, the mmap of malloc) cannot be reached this way.

// Both names of open() and its like are wanted, not one for the other, and no inline stand-ins for them.
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include "injector.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <initializer_list>

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void __libc_free(void* block);
}

namespace {

int g_kind = 0;  // 0: not armed
int g_scope, g_error, g_and_all_after;
long g_nth, g_count;
pthread_t g_thread;
long g_live = 0;

bool is_ours(const void* caller) {
  dl_find_object found;
  if (_dl_find_object(const_cast<void*>(caller), &found) != 0) return false;
  const char* path = found.dlfo_link_map->l_name;
  const char* slash = strrchr(path, '/');
  const char* name = slash ? slash + 1 : path;
  for (const char* own : {"libpqmint.so", "core.so", "net.so", "libstdc++.so", "libjsoncpp.so"}) {
    if (strncmp(name, own, strlen(own)) == 0) return true;
  }
  return false;
}

bool fails(int kind, const void* caller) {
  if (g_kind != kind || !pthread_equal(g_thread, pthread_self())) return false;
  if (g_scope == kFaultOurs && !is_ours(caller)) return false;
  const long number = ++g_count;
  if (number != g_nth && !(g_and_all_after && g_nth != 0 && number > g_nth)) return false;
  errno = kind == kFaultMemory ? ENOMEM : g_error;
  return true;
}

void count(const void* block, long change) {
  if (block != nullptr) __atomic_add_fetch(&g_live, change, __ATOMIC_RELAXED);
}

}  // namespace

#define NO_MEMORY fails(kFaultMemory, __builtin_return_address(0))
#define FAULT fails(kFaultFiles, __builtin_return_address(0))
#define EXPORTED __attribute__((visibility("default")))

extern "C" {

EXPORTED void fault_arm(int kind, int scope, long nth, int error, int and_all_after) {
  g_scope = scope;
  g_nth = nth;
  g_error = error;
  g_and_all_after = and_all_after;
  g_count = 0;
  g_thread = pthread_self();
  g_kind = kind;
}

EXPORTED long fault_disarm() {
  g_kind = 0;
  return g_count;
}

EXPORTED long fault_live_blocks() {
  return __atomic_load_n(&g_live, __ATOMIC_RELAXED);
}

// --- memory

EXPORTED void* malloc(size_t size) {
  if (NO_MEMORY) return nullptr;
  void* block = __libc_malloc(size);
  count(block, 1);
  return block;
}

EXPORTED void* calloc(size_t each, size_t size) {
  if (NO_MEMORY) return nullptr;
  void* block = __libc_calloc(each, size);
  count(block, 1);
  return block;
}

EXPORTED void* realloc(void* old, size_t size) {
  if (NO_MEMORY) return nullptr;
  void* block = __libc_realloc(old, size);
  if (old == nullptr) count(block, 1);
  return block;
}

EXPORTED void free(void* block) {
  count(block, -1);
  __libc_free(block);
}

EXPORTED char* strndup(const char* text, size_t most) {
  if (NO_MEMORY) return nullptr;
  const size_t size = strnlen(text, most);
  char* copy = static_cast<char*>(__libc_malloc(size + 1));
  count(copy, 1);
  if (copy == nullptr) return nullptr;
  memcpy(copy, text, size);
  copy[size] = '\0';
  return copy;
}

EXPORTED char* strdup(const char* text) {
  if (NO_MEMORY) return nullptr;
  const size_t size = strlen(text) + 1;
  char* copy = static_cast<char*>(__libc_malloc(size));
  count(copy, 1);
  return copy ? static_cast<char*>(memcpy(copy, text, size)) : nullptr;
}

// --- files, pipes, sockets: by bare system calls behind the fault. Not fstat(): of a descriptor that is open it does
// not fail, and of one that is not, pqmint believes it.

EXPORTED int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return FAULT ? -1 : static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

EXPORTED int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return FAULT ? -1 : static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

EXPORTED ssize_t read(int fd, void* room, size_t size) {
  return FAULT ? -1 : syscall(SYS_read, fd, room, size);
}

EXPORTED ssize_t pread64(int fd, void* room, size_t size, off64_t at) {
  return FAULT ? -1 : syscall(SYS_pread64, fd, room, size, at);
}

EXPORTED ssize_t write(int fd, const void* bytes, size_t size) {
  return FAULT ? -1 : syscall(SYS_write, fd, bytes, size);
}

EXPORTED ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t at) {
  return FAULT ? -1 : syscall(SYS_pwrite64, fd, bytes, size, at);
}

EXPORTED int stat64(const char* path, struct stat64* out) noexcept {
  return FAULT ? -1 : static_cast<int>(syscall(SYS_stat, path, out));
}

EXPORTED int access(const char* path, int mode) noexcept {
  return FAULT ? -1 : static_cast<int>(syscall(SYS_access, path, mode));
}

EXPORTED int ftruncate64(int fd, off64_t size) noexcept {
  return FAULT ? -1 : static_cast<int>(syscall(SYS_ftruncate, fd, size));
}

EXPORTED int memfd_create(const char* name, unsigned flags) noexcept {
  return FAULT ? -1 : static_cast<int>(syscall(SYS_memfd_create, name, flags));
}

EXPORTED int fcntl64(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  void* argument = va_arg(more, void*);
  va_end(more);
  return FAULT ? -1 : static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}

EXPORTED int dup2(int from, int to) noexcept {
  return FAULT ? -1 : static_cast<int>(syscall(SYS_dup2, from, to));
}

EXPORTED int dup3(int from, int to, int flags) noexcept {
  return FAULT ? -1 : static_cast<int>(syscall(SYS_dup3, from, to, flags));
}

EXPORTED int pipe2(int ends[2], int flags) noexcept {
  return FAULT ? -1 : static_cast<int>(syscall(SYS_pipe2, ends, flags));
}

EXPORTED int socket(int domain, int type, int protocol) noexcept {
  return FAULT ? -1 : static_cast<int>(syscall(SYS_socket, domain, type, protocol));
}

EXPORTED int connect(int fd, const sockaddr* address, socklen_t size) {
  return FAULT ? -1 : static_cast<int>(syscall(SYS_connect, fd, address, size));
}

EXPORTED int poll(pollfd* fds, nfds_t count, int timeout) {
  return FAULT ? -1 : static_cast<int>(syscall(SYS_poll, fds, count, timeout));
}
}
