// SPDX-License-Identifier: PostgreSQL
// Checks, loads and asks a module for its entry.

#include "base/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/transfer.h"

namespace pqmint {
namespace {

// More program headers than any linker writes; a file that claims more is no module.
constexpr size_t kMostSegments = 64;

// The loader maps what a file's headers say without asking whether the file is as long: a copy that broke off in the
// middle (a full disk, an upgrade under way) kills the program with SIGBUS. So its length is compared first.
const char* flaw_of_open_file(int fd) {
  struct stat file;
  ElfW(Ehdr) header;
  ElfW(Phdr) segments[kMostSegments];
  if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) return "it is not a regular file";
  if (read_all_at(fd, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header) ||
      memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return "it is not a shared object";
  }
  if (header.e_phentsize != sizeof *segments || header.e_phnum > kMostSegments) {
    return "it is not a shared object of this machine";
  }
  const size_t size = header.e_phnum * sizeof *segments;
  if (read_all_at(fd, segments, size, static_cast<off_t>(header.e_phoff)) != static_cast<ssize_t>(size)) {
    return "it is cut off";
  }
  for (size_t i = 0; i < header.e_phnum; ++i) {
    if (segments[i].p_offset + segments[i].p_filesz > static_cast<uint64_t>(file.st_size)) return "it is cut off";
  }
  return nullptr;
}

const char* flaw_of_file(const char* path) {
  const int fd = open_again(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return strerror(errno);
  const char* flaw = flaw_of_open_file(fd);
  close(fd);
  return flaw;
}

}  // namespace

bool path_beside(const void* inside, const char* name, char* out, size_t size) {
  Dl_info object;
  if (dladdr(inside, &object) == 0) return false;
  const char* slash = strrchr(object.dli_fname, '/');
  if (slash == nullptr) return false;
  const int written =
      snprintf(out, size, "%.*s/%s", static_cast<int>(slash - object.dli_fname), object.dli_fname, name);
  return written > 0 && static_cast<size_t>(written) < size;
}

void* module_entry(const char* path, const char* entry, ModuleFault& fault) {
  if (const char* flaw = flaw_of_file(path)) {
    snprintf(fault.text, sizeof fault.text, "cannot load %s (%s); reinstall pqmint", path, flaw);
    return nullptr;
  }
  void* module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    const char* reason = dlerror();
    snprintf(fault.text, sizeof fault.text, "cannot load %s (%s); reinstall pqmint", path,
             reason ? reason : "no reason given");
    return nullptr;
  }
  void* address = dlsym(module, entry);
  if (address == nullptr) {
    snprintf(fault.text, sizeof fault.text, "%s is not a module of pqmint: it has no %s; reinstall pqmint", path,
             entry);
    dlclose(module);
  }
  return address;
}

void fault_of_version(const char* path, uint32_t abi, ModuleFault& fault) {
  snprintf(fault.text, sizeof fault.text, "%s is of another version (ABI %u, where %u is due); reinstall pqmint", path,
           abi, PQMINT_ABI_VERSION);
}

}  // namespace pqmint
