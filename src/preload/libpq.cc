// SPDX-License-Identifier: PostgreSQL
// Finds the real libpq: a return address comes in, a table of that libpq's functions goes out.

#include "preload/libpq.h"

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

#include "preload/memory.h"

namespace pqmint {
namespace {

// Every connect function of libpq ends in this one's code, and every libpq since 9.0 has it: it stands for its libpq.
constexpr const char* kLandmark = "PQconnectStartParams";

struct Symbol {
  const char* name;
  size_t offset;
};

#define PQMINT_SYMBOL(pq_name, member) \
  { #pq_name, offsetof(Libpq, member) }
constexpr Symbol kSymbols[] = {
    PQMINT_SYMBOL(PQconnectdb, connectdb),
    PQMINT_SYMBOL(PQconnectdbParams, connectdb_params),
    PQMINT_SYMBOL(PQconnectStart, connect_start),
    PQMINT_SYMBOL(PQconnectStartParams, connect_start_params),
    PQMINT_SYMBOL(PQsetdbLogin, setdb_login),
    PQMINT_SYMBOL(PQconnectPoll, connect_poll),
    PQMINT_SYMBOL(PQreset, reset),
    PQMINT_SYMBOL(PQresetStart, reset_start),
    PQMINT_SYMBOL(PQresetPoll, reset_poll),
    PQMINT_SYMBOL(PQping, ping),
    PQMINT_SYMBOL(PQpingParams, ping_params),
    PQMINT_SYMBOL(PQfinish, finish),
    PQMINT_SYMBOL(PQconninfo, conninfo),
    PQMINT_SYMBOL(PQconninfoFree, conninfo_free),
    PQMINT_SYMBOL(PQlibVersion, lib_version),
    PQMINT_SYMBOL(PQerrorMessage, error_message),
    PQMINT_SYMBOL(PQstatus, status),
    PQMINT_SYMBOL(PQsocket, socket),
    PQMINT_SYMBOL(PQconsumeInput, consume_input),
    PQMINT_SYMBOL(PQencryptPasswordConn, encrypt_password_conn),
    PQMINT_SYMBOL(PQconnectionUsedPassword, connection_used_password),
    PQMINT_SYMBOL(PQpass, pass),
    PQMINT_SYMBOL(PQhost, host),
    PQMINT_SYMBOL(PQhostaddr, hostaddr),
    PQMINT_SYMBOL(PQport, port),
};
#undef PQMINT_SYMBOL
static_assert(sizeof kSymbols / sizeof *kSymbols == offsetof(Libpq, begin) / sizeof(void*));

const link_map* object_of(const void* address) {
  Dl_info info;
  void* map = nullptr;
  if (dladdr1(address, &info, &map, RTLD_DL_LINKMAP) == 0) return nullptr;
  return static_cast<const link_map*>(map);
}

// A handle on an object that is loaded already; "" is the main program.
void* handle_of(const link_map* object) {
  return dlopen(object->l_name[0] ? object->l_name : nullptr, RTLD_LAZY | RTLD_NOLOAD);
}

// Where the object begins and ends that this is linked into, as the linker says it. dladdr() would walk the symbol
// tables of two objects at every connect to say the same.
extern "C" {
extern const char kObjectBegin[] __asm__("__ehdr_start") __attribute__((visibility("hidden")));
extern const char kObjectEnd[] __asm__("_end") __attribute__((visibility("hidden")));
}

bool lies_between(const void* address, uintptr_t begin, uintptr_t end) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  return at >= begin && at < end;
}

bool is_ours(const void* address) {
  return lies_between(address, reinterpret_cast<uintptr_t>(kObjectBegin), reinterpret_cast<uintptr_t>(kObjectEnd));
}

// The object that an address lies in, from its first segment to its last.
struct Extent {
  const void* of;
  uintptr_t begin = UINTPTR_MAX, end = 0;
};

int find_extent(dl_phdr_info* info, size_t, void* data) {
  auto& wanted = *static_cast<Extent*>(data);
  Extent found = {wanted.of};
  for (size_t i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const uintptr_t begin = info->dlpi_addr + segment.p_vaddr, end = begin + segment.p_memsz;
    if (begin < found.begin) found.begin = begin;
    if (end > found.end) found.end = end;
  }
  if (!lies_between(wanted.of, found.begin, found.end)) return 0;
  wanted = found;
  return 1;
}

// What `scope` (a handle or RTLD_NEXT) binds the landmark to, unless that is ourselves.
void* landmark_in(void* scope) {
  void* found = dlsym(scope, kLandmark);
  return found != nullptr && !is_ours(found) ? found : nullptr;
}

// Who binds to a libpq.so.5 that is our stand-in finds us first, and means the libpq that stands behind it.
void* landmark_behind_stand_in() {
  void* handle = dlopen("libpq-real.so.5", RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return nullptr;
  void* found = landmark_in(handle);
  dlclose(handle);
  return found;
}

void* landmark_of_caller(const void* return_address) {
  const link_map* caller = object_of(return_address);
  // The main program binds in the global scope, as RTLD_NEXT does, without opening a handle.
  if (caller == nullptr || caller->l_name[0] == '\0') return nullptr;
  void* handle = handle_of(caller);
  if (handle == nullptr) return nullptr;
  void* found = dlsym(handle, kLandmark);
  dlclose(handle);
  return found != nullptr && is_ours(found) ? landmark_behind_stand_in() : found;
}

// The callers that neither way finds: a foreign-function interface whose return address lies in libffi, or a tail call.
struct Scan {
  static constexpr size_t kMost = 16;
  Text paths[kMost];
  size_t count = 0;
};

int note_libpq(dl_phdr_info* info, size_t, void* data) {
  auto& scan = *static_cast<Scan*>(data);
  if (scan.count == Scan::kMost || info->dlpi_name == nullptr) return 0;
  const char* slash = strrchr(info->dlpi_name, '/');
  // Renamed copies (wheels ship libpq-3f2a....so.5.15) keep the stem. Folders may be named after it too.
  if (strstr(slash ? slash : info->dlpi_name, "libpq")) scan.paths[scan.count++] = copy_text(info->dlpi_name);
  return 0;
}

void* only_landmark_loaded() {
  Scan scan;
  // Opening a handle inside the callback could deadlock with a dlopen in another thread: collect first.
  dl_iterate_phdr(note_libpq, &scan);
  void* only = nullptr;
  for (size_t i = 0; i < scan.count; ++i) {
    void* handle = scan.paths[i] ? dlopen(scan.paths[i].get(), RTLD_LAZY | RTLD_NOLOAD) : nullptr;
    if (handle == nullptr) continue;
    void* found = landmark_in(handle);
    dlclose(handle);
    if (found == nullptr || found == only) continue;
    if (only != nullptr) return nullptr;
    only = found;
  }
  return only;
}

struct Known {
  Libpq libpq;
  Known* next;
};

constinit Known* g_known = nullptr;  // grows only; read without a lock

const Libpq* known_libpq(void* landmark) {
  for (Known* k = __atomic_load_n(&g_known, __ATOMIC_ACQUIRE); k; k = k->next) {
    if (reinterpret_cast<void*>(k->libpq.connect_start_params) == landmark) return &k->libpq;
  }
  return nullptr;
}

const Libpq* learn_libpq(void* landmark) {
  const link_map* object = object_of(landmark);
  void* handle = object ? handle_of(object) : nullptr;  // never closed: our table points into it
  auto* fresh = static_cast<Known*>(calloc(1, sizeof(Known)));
  if (handle == nullptr || fresh == nullptr) return free(fresh), nullptr;
  for (const Symbol& symbol : kSymbols) {
    void* address = dlsym(handle, symbol.name);
    if (address == nullptr) return free(fresh), nullptr;
    memcpy(reinterpret_cast<char*>(&fresh->libpq) + symbol.offset, &address, sizeof address);
  }
  Extent extent = {landmark};
  dl_iterate_phdr(find_extent, &extent);
  fresh->libpq.begin = extent.begin;
  fresh->libpq.end = extent.end;
  // Two threads may both learn the same libpq; the list then holds it twice, which harms nobody.
  fresh->next = __atomic_load_n(&g_known, __ATOMIC_ACQUIRE);
  while (!__atomic_compare_exchange_n(&g_known, &fresh->next, fresh, true, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
  }
  return &fresh->libpq;
}

const Libpq* libpq_with(void* landmark) {
  if (landmark == nullptr) return nullptr;
  const Libpq* libpq = known_libpq(landmark);
  return libpq ? libpq : learn_libpq(landmark);
}

// initial-exec: a preloaded object has its TLS in the static block, and a lazy __tls_get_addr could allocate in a
// signal handler.
__attribute__((tls_model("initial-exec"))) thread_local constinit Inside* t_inside = nullptr;
__attribute__((tls_model("initial-exec"))) thread_local constinit bool t_is_out = false;

constexpr uintptr_t kAlive = 0x9e3779b97f4a7c15u;

}  // namespace

const Libpq* libpq_of(const void* return_address) {
  void* landmark = landmark_of_caller(return_address);
  if (landmark == nullptr) landmark = landmark_in(RTLD_NEXT);
  if (landmark == nullptr) landmark = only_landmark_loaded();
  return libpq_with(landmark);
}

const Libpq* libpq_at(void* handle) {
  return libpq_with(dlsym(handle, kLandmark));
}

Inside::Inside(const Libpq& libpq)
    : libpq_(&libpq), outer_(t_inside), outer_is_out_(t_is_out), mark_(reinterpret_cast<uintptr_t>(this) ^ kAlive) {
  t_is_out = false;
  t_inside = this;
}
Inside::~Inside() {
  t_inside = outer_;
  t_is_out = outer_is_out_;
  mark_ = 0;
}
Inside::Out::Out() : outer_(t_is_out) {
  t_is_out = true;
}
Inside::Out::~Out() {
  t_is_out = outer_;
}
bool Inside::is_alive(const void* frame) const {
  return reinterpret_cast<uintptr_t>(this) > reinterpret_cast<uintptr_t>(frame) &&
         mark_ == (reinterpret_cast<uintptr_t>(this) ^ kAlive);
}
const Libpq* Inside::current(const void* frame, const void* caller) {
  if (t_inside && !t_inside->is_alive(frame)) t_inside = nullptr;
  if (t_inside == nullptr) return nullptr;
  const Libpq* libpq = t_inside->libpq_;
  // The caller lies in ours where libpq ended in a jump.
  return t_is_out && !lies_between(caller, libpq->begin, libpq->end) && !is_ours(caller) ? nullptr : libpq;
}

}  // namespace pqmint
