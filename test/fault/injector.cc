// SPDX-License-Identifier: PostgreSQL
// Preloaded into the victim: stands before libc's allocation and file functions, and lets the n-th call of them fail.
//
// A caller is told by its return address. What libc calls within itself (getaddrinfo's sockets, say) cannot be reached
// this way; the loader's maps and malloc's are reached by seccomp.

// Both names of open() and its like are wanted, not one for the other, and no inline stand-ins for them.
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include "injector.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
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
size_t g_given_back;  // the size of the block that was freed last, 0 if another one was taken since
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
  return g_scope == kFaultWithCurl && strncmp(name, "libcurl.so", strlen("libcurl.so")) == 0;
}

bool is_loader(const void* caller) {
  dl_find_object found;
  return _dl_find_object(const_cast<void*>(caller), &found) == 0 &&
         strstr(found.dlfo_link_map->l_name, "/ld-linux") != nullptr;
}

bool is_due(int kind) {
  if (g_kind != kind || !pthread_equal(g_thread, pthread_self())) return false;
  const long number = ++g_count;
  return number == g_nth || (g_and_all_after && g_nth != 0 && number > g_nth);
}

bool fails(int kind, const void* caller) {
  if (g_kind != kind || (g_scope != kFaultAnyone && !is_ours(caller)) || !is_due(kind)) return false;
  errno = kind == kFaultMemory ? ENOMEM : g_error;
  return true;
}

size_t portion(size_t size, const void* caller) {
  const int error = errno;
  if (size < 2 || !fails(kFaultPortions, caller)) return size;
  errno = error;
  return g_error == 0 ? size / 2 : 1;
}

/// libc's own syscall(), for ours stands before it.
template <typename... Arguments>
long kernel(long number, Arguments... arguments) {
  using Function = long (*)(long, ...);
  static Function function = nullptr;
  if (function == nullptr) function = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "syscall"));
  return function(number, arguments...);
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// --- maps: the kernel asks us before it does what it is told

#if defined(__x86_64__)

extern "C" __attribute__((visibility("hidden"))) const char fault_gate_begin[], fault_gate_end[];
extern "C" __attribute__((visibility("hidden"))) long fault_gate(long number, const greg_t* arguments);

// The one place from which such a call goes through: fault_gate(number, {r8, r9, r10, rdi, rsi, rdx}).
asm(R"(
.pushsection .text
.hidden fault_gate
.globl fault_gate
.type fault_gate, @function
.hidden fault_gate_begin
.globl fault_gate_begin
.hidden fault_gate_end
.globl fault_gate_end
fault_gate:
fault_gate_begin:
  mov %rdi, %rax
  mov %rsi, %r11
  mov 0(%r11), %r8
  mov 8(%r11), %r9
  mov 16(%r11), %r10
  mov 24(%r11), %rdi
  mov 40(%r11), %rdx
  mov 32(%r11), %rsi
  syscall
  ret
fault_gate_end:
.size fault_gate, . - fault_gate
.popsection
)");

void on_call(int, siginfo_t* info, void* context) {
  const int before = errno;
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const int number = info->si_syscall;
  if (is_due(kFaultMaps)) {
    const bool is_map = number == SYS_mmap || number == SYS_mprotect || number == SYS_mremap;
    registers[REG_RAX] = is_map ? -ENOMEM : -g_error;
  } else {
    const greg_t arguments[] = {registers[REG_R8],  registers[REG_R9],  registers[REG_R10],
                                registers[REG_RDI], registers[REG_RSI], registers[REG_RDX]};
    registers[REG_RAX] = fault_gate(number, arguments);
  }
  errno = before;
}

struct Range {
  uintptr_t begin = 0, end = 0;
};

int find_loader(dl_phdr_info* object, size_t, void* out) {
  if (strstr(object->dlpi_name, "/ld-linux") == nullptr) return 0;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = object->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
    const uintptr_t begin = object->dlpi_addr + part.p_vaddr;
    *static_cast<Range*>(out) = {begin, begin + part.p_memsz};
  }
  return 1;
}

bool watch_maps() {
  static bool is_watched = false;
  if (is_watched) return true;
  Range loader;
  dl_iterate_phdr(find_loader, &loader);
  const auto gate = reinterpret_cast<uintptr_t>(fault_gate_begin), behind = reinterpret_cast<uintptr_t>(fault_gate_end);
  // The filter compares halves of addresses, and the upper ones must be one.
  if (loader.begin == 0 || loader.begin >> 32 != loader.end >> 32 || gate >> 32 != behind >> 32) return false;
  const auto low = [](uintptr_t address) { return static_cast<uint32_t>(address); };
  const auto high = [](uintptr_t address) { return static_cast<uint32_t>(address >> 32); };
  constexpr unsigned kNumber = offsetof(seccomp_data, nr), kArch = offsetof(seccomp_data, arch),
                     kPlace = offsetof(seccomp_data, instruction_pointer);
  const auto load = [](unsigned at) { return sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at); };
  const auto jump = [](unsigned how, uint32_t value, int yes, int no) {
    return sock_filter BPF_JUMP(BPF_JMP | how | BPF_K, value, static_cast<uint8_t>(yes), static_cast<uint8_t>(no));
  };
  const auto give = [](uint32_t what) { return sock_filter BPF_STMT(BPF_RET | BPF_K, what); };
  sock_filter program[] = {
      load(kArch),  // 0
      jump(BPF_JEQ, AUDIT_ARCH_X86_64, 0, 20),
      // From our own gate?
      load(kPlace + 4),  // 2
      jump(BPF_JEQ, high(gate), 0, 3),
      load(kPlace),  // 4
      jump(BPF_JGE, low(gate), 0, 1), jump(BPF_JGE, low(behind), 0, 15),
      // A map?
      load(kNumber),  // 7
      jump(BPF_JEQ, SYS_mmap, 12, 0), jump(BPF_JEQ, SYS_mprotect, 11, 0), jump(BPF_JEQ, SYS_mremap, 10, 0),
      // A file of the loader's?
      jump(BPF_JEQ, SYS_open, 4, 0),  // 11
      jump(BPF_JEQ, SYS_openat, 3, 0), jump(BPF_JEQ, SYS_read, 2, 0), jump(BPF_JEQ, SYS_pread64, 1, 0),
      jump(BPF_JEQ, SYS_newfstatat, 0, 6),
      load(kPlace + 4),  // 16
      jump(BPF_JEQ, high(loader.begin), 0, 4),
      load(kPlace),  // 18
      jump(BPF_JGE, low(loader.begin), 0, 2), jump(BPF_JGE, low(loader.end), 1, 0),
      give(SECCOMP_RET_TRAP),   // 21
      give(SECCOMP_RET_ALLOW),  // 22
  };
  const sock_fprog filter = {sizeof program / sizeof *program, program};
  struct sigaction action = {};
  action.sa_sigaction = on_call;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  is_watched = sigaction(SIGSYS, &action, nullptr) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
               prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
  return is_watched;
}

#else

bool watch_maps() {
  return false;
}

#endif

/// Memory that was given back a moment ago is there. The loader cannot be told that it is not: it ends the process
/// where there is none for a thread-local variable, so whoever is careful frees a block before he touches one.
bool has_no_memory(size_t size, const void* caller) {
  const size_t given_back = g_given_back;
  g_given_back = 0;
  if (g_kind != kFaultMemory || (given_back >= size && is_loader(caller))) return false;
  return fails(kFaultMemory, caller);
}

void count(const void* block, long change) {
  if (block != nullptr) __atomic_add_fetch(&g_live, change, __ATOMIC_RELAXED);
}

}  // namespace

#define NO_MEMORY(size) has_no_memory(size, __builtin_return_address(0))
// For want of a descriptor, only what makes one fails; nor does what puts one in another's place.
#define FAULT (g_error != EMFILE && fails(kFaultFiles, __builtin_return_address(0)))
#define NO_DESCRIPTOR fails(kFaultFiles, __builtin_return_address(0))
// For calls that may wait.
#define SIGNAL fails(kFaultInterrupts, __builtin_return_address(0))
#define NO_PROCESS fails(kFaultProcesses, __builtin_return_address(0))
#define PORTION(size) portion(size, __builtin_return_address(0))
#define EXPORTED __attribute__((visibility("default")))

extern "C" {

EXPORTED void fault_arm(int kind, int scope, long nth, int error, int and_all_after) {
  g_scope = scope;
  g_nth = nth;
  g_error = error;
  g_and_all_after = and_all_after;
  g_count = 0;
  g_thread = pthread_self();
  if (kind == kFaultMaps) watch_maps();
  g_kind = kind;
}

EXPORTED int fault_can_map() {
  return watch_maps();
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
  if (NO_MEMORY(size)) return nullptr;
  void* block = __libc_malloc(size);
  count(block, 1);
  return block;
}

EXPORTED void* calloc(size_t each, size_t size) {
  if (NO_MEMORY(each * size)) return nullptr;
  void* block = __libc_calloc(each, size);
  count(block, 1);
  return block;
}

EXPORTED void* realloc(void* old, size_t size) {
  if (NO_MEMORY(size)) return nullptr;
  void* block = __libc_realloc(old, size);
  if (old == nullptr) count(block, 1);
  return block;
}

EXPORTED void free(void* block) {
  count(block, -1);
  if (g_kind == kFaultMemory && block != nullptr && pthread_equal(g_thread, pthread_self())) {
    g_given_back = malloc_usable_size(block);
  }
  __libc_free(block);
}

EXPORTED char* strndup(const char* text, size_t most) {
  const size_t size = strnlen(text, most);
  if (NO_MEMORY(size)) return nullptr;
  char* copy = static_cast<char*>(__libc_malloc(size + 1));
  count(copy, 1);
  if (copy == nullptr) return nullptr;
  memcpy(copy, text, size);
  copy[size] = '\0';
  return copy;
}

EXPORTED char* strdup(const char* text) {
  const size_t size = strlen(text) + 1;
  if (NO_MEMORY(size)) return nullptr;
  char* copy = static_cast<char*>(__libc_malloc(size));
  count(copy, 1);
  return copy ? static_cast<char*>(memcpy(copy, text, size)) : nullptr;
}

// --- files, pipes, sockets: by bare system calls behind the fault. Not fstat(): of a descriptor that is open it does
// not fail, and of one that is not, pqmint believes it. Nor close(), after whose failure the descriptor is closed.

EXPORTED int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return NO_DESCRIPTOR || SIGNAL ? -1 : static_cast<int>(kernel(SYS_openat, AT_FDCWD, path, flags, mode));
}

EXPORTED int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return NO_DESCRIPTOR || SIGNAL ? -1 : static_cast<int>(kernel(SYS_openat, AT_FDCWD, path, flags, mode));
}

EXPORTED FILE* fopen(const char* path, const char* mode) {
  return NO_DESCRIPTOR || SIGNAL ? nullptr : next<decltype(&fopen)>("fopen")(path, mode);
}

EXPORTED FILE* fopen64(const char* path, const char* mode) {
  return NO_DESCRIPTOR || SIGNAL ? nullptr : next<decltype(&fopen64)>("fopen64")(path, mode);
}

EXPORTED int mkostemp64(char* path, int flags) {
  return NO_DESCRIPTOR || SIGNAL ? -1 : next<decltype(&mkostemp64)>("mkostemp64")(path, flags);
}

EXPORTED ssize_t read(int fd, void* room, size_t size) {
  return FAULT || SIGNAL ? -1 : kernel(SYS_read, fd, room, PORTION(size));
}

EXPORTED ssize_t pread64(int fd, void* room, size_t size, off64_t at) {
  return FAULT || SIGNAL ? -1 : kernel(SYS_pread64, fd, room, PORTION(size), at);
}

EXPORTED ssize_t write(int fd, const void* bytes, size_t size) {
  return FAULT || SIGNAL ? -1 : kernel(SYS_write, fd, bytes, PORTION(size));
}

EXPORTED ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t at) {
  return FAULT || SIGNAL ? -1 : kernel(SYS_pwrite64, fd, bytes, PORTION(size), at);
}

EXPORTED int stat64(const char* path, struct stat64* out) noexcept {
  return FAULT ? -1 : static_cast<int>(kernel(SYS_stat, path, out));
}

EXPORTED int access(const char* path, int mode) noexcept {
  return FAULT ? -1 : static_cast<int>(kernel(SYS_access, path, mode));
}

EXPORTED int rename(const char* from, const char* to) noexcept {
  return FAULT ? -1 : static_cast<int>(kernel(SYS_rename, from, to));
}

EXPORTED int fsync(int fd) {
  return FAULT ? -1 : static_cast<int>(kernel(SYS_fsync, fd));
}

EXPORTED int faulty_flock(int fd, int operation) noexcept __asm__("flock");  // a struct has the name
int faulty_flock(int fd, int operation) noexcept {
  return FAULT || SIGNAL ? -1 : static_cast<int>(kernel(SYS_flock, fd, operation));
}

EXPORTED int ftruncate64(int fd, off64_t size) noexcept {
  return FAULT ? -1 : static_cast<int>(kernel(SYS_ftruncate, fd, size));
}

EXPORTED int memfd_create(const char* name, unsigned flags) noexcept {
  return NO_DESCRIPTOR ? -1 : static_cast<int>(kernel(SYS_memfd_create, name, flags));
}

EXPORTED int fchmod(int fd, mode_t mode) noexcept {
  return FAULT ? -1 : static_cast<int>(kernel(SYS_fchmod, fd, mode));
}

EXPORTED int fcntl64(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  void* argument = va_arg(more, void*);
  va_end(more);
  const bool is_copy = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
  if (is_copy ? NO_DESCRIPTOR : FAULT) return -1;
  return static_cast<int>(kernel(SYS_fcntl, fd, command, argument));
}

EXPORTED int dup2(int from, int to) noexcept {
  return FAULT ? -1 : static_cast<int>(kernel(SYS_dup2, from, to));
}

EXPORTED int dup3(int from, int to, int flags) noexcept {
  return FAULT ? -1 : static_cast<int>(kernel(SYS_dup3, from, to, flags));
}

EXPORTED int pipe2(int ends[2], int flags) noexcept {
  return NO_DESCRIPTOR ? -1 : static_cast<int>(kernel(SYS_pipe2, ends, flags));
}

EXPORTED int socket(int domain, int type, int protocol) noexcept {
  return NO_DESCRIPTOR ? -1 : static_cast<int>(kernel(SYS_socket, domain, type, protocol));
}

EXPORTED int socketpair(int domain, int type, int protocol, int ends[2]) noexcept {
  return NO_DESCRIPTOR ? -1 : static_cast<int>(kernel(SYS_socketpair, domain, type, protocol, ends));
}

// Of a socket that does not block, it is not interrupted.
EXPORTED int connect(int fd, const sockaddr* address, socklen_t size) {
  return FAULT ? -1 : static_cast<int>(kernel(SYS_connect, fd, address, size));
}

EXPORTED ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  return FAULT || SIGNAL ? -1 : kernel(SYS_sendto, fd, bytes, PORTION(size), flags, nullptr, 0);
}

EXPORTED ssize_t recv(int fd, void* room, size_t size, int flags) {
  return FAULT || SIGNAL ? -1 : kernel(SYS_recvfrom, fd, room, PORTION(size), flags, nullptr, nullptr);
}

EXPORTED int poll(pollfd* fds, nfds_t count, int timeout) {
  if (FAULT || SIGNAL) return -1;
  // A pause before the next try tests nothing.
  if (g_kind != 0 && count == 0 && is_ours(__builtin_return_address(0))) timeout = 0;
  return static_cast<int>(kernel(SYS_poll, fds, count, timeout));
}

// --- processes

EXPORTED pid_t waitpid(pid_t pid, int* status, int options) {
  return SIGNAL ? -1 : static_cast<pid_t>(kernel(SYS_wait4, pid, status, options, nullptr));
}

EXPORTED pid_t fork() noexcept {
  return NO_PROCESS ? -1 : next<decltype(&fork)>("fork")();
}

EXPORTED int pthread_create(pthread_t* out, const pthread_attr_t* how, void* (*run)(void*), void* with) noexcept {
  return NO_PROCESS ? g_error : next<decltype(&pthread_create)>("pthread_create")(out, how, run, with);
}

EXPORTED long syscall(long number, ...) noexcept {
  va_list more;
  va_start(more, number);
  long a[6];
  for (long& argument : a) argument = va_arg(more, long);
  va_end(more);
  const bool is_wait = number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT;
  if (number == SYS_clone ? NO_PROCESS : is_wait ? SIGNAL : number == SYS_close_range && FAULT) return -1;
  return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
}
