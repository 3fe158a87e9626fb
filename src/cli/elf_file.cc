// SPDX-License-Identifier: PostgreSQL
// Reads ELF headers out of a mapped file.

#include "cli/elf_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pqmint {
namespace {

// The machine that this code itself was built for.
extern "C" const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

}  // namespace

ElfFile::ElfFile(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    error_ = errno;
    return;
  }
  struct stat file;
  if (fstat(fd, &file) != 0) {
    error_ = errno;
  } else if (!S_ISREG(file.st_mode)) {
    error_ = S_ISDIR(file.st_mode) ? EISDIR : EINVAL;
  } else {
    kind_ = Kind::kOther;
    size_ = static_cast<size_t>(file.st_size);
    void* mapped = size_ > 0 ? mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (mapped == MAP_FAILED) {
      size_ = 0;
    } else {
      bytes_ = static_cast<const char*>(mapped);
    }
  }
  close(fd);
  if (size_ >= 2 && memcmp(bytes_, "#!", 2) == 0) kind_ = Kind::kScript;
  if (size_ >= SELFMAG && memcmp(bytes_, ELFMAG, SELFMAG) == 0) read_headers();
}

ElfFile::~ElfFile() {
  if (bytes_) munmap(const_cast<char*>(bytes_), size_);
}

bool ElfFile::within(const void* begin, size_t size) const {
  const auto offset = reinterpret_cast<uintptr_t>(begin) - reinterpret_cast<uintptr_t>(bytes_);
  return offset <= size_ && size <= size_ - offset;
}

const char* ElfFile::at_address(ElfW(Addr) address) const {
  for (size_t i = 0; i < segment_count_; ++i) {
    const ElfW(Phdr)& segment = segments_[i];
    if (segment.p_type != PT_LOAD || address < segment.p_vaddr || address - segment.p_vaddr >= segment.p_filesz) {
      continue;
    }
    const size_t offset = segment.p_offset + (address - segment.p_vaddr);
    return offset < size_ ? bytes_ + offset : nullptr;
  }
  return nullptr;
}

void ElfFile::read_headers() {
  kind_ = Kind::kBroken;
  if (size_ < EI_NIDENT + 2 * sizeof(uint16_t)) return;
  const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(bytes_);
  if (header->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] ||
      header->e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA] || header->e_machine != __ehdr_start.e_machine) {
    kind_ = Kind::kForeign;
    return;
  }
  if (size_ < sizeof *header || header->e_phentsize != sizeof *segments_ ||
      header->e_phoff % alignof(ElfW(Phdr)) != 0 || header->e_phoff > size_) {
    return;
  }
  segments_ = reinterpret_cast<const ElfW(Phdr)*>(bytes_ + header->e_phoff);
  segment_count_ = header->e_phnum;
  if (!within(segments_, segment_count_ * sizeof *segments_)) {
    segment_count_ = 0;
    return;
  }
  kind_ = Kind::kNative;
  for (size_t i = 0; i < segment_count_; ++i) {
    const ElfW(Phdr)& segment = segments_[i];
    if (segment.p_offset > size_ || segment.p_filesz > size_ - segment.p_offset) continue;
    const char* begin = bytes_ + segment.p_offset;
    if (segment.p_type == PT_INTERP && memchr(begin, '\0', segment.p_filesz)) interpreter_ = begin;
    if (segment.p_type == PT_DYNAMIC && segment.p_offset % alignof(ElfW(Dyn)) == 0) {
      dynamic_ = reinterpret_cast<const ElfW(Dyn)*>(begin);
      dynamic_count_ = segment.p_filesz / sizeof *dynamic_;
    }
  }
  ElfW(Addr) address = 0;
  size_t length = 0;
  for (size_t i = 0; i < dynamic_count_; ++i) {
    if (dynamic_[i].d_tag == DT_STRTAB) address = dynamic_[i].d_un.d_ptr;
    if (dynamic_[i].d_tag == DT_STRSZ) length = dynamic_[i].d_un.d_val;
  }
  strings_ = at_address(address);
  // The last byte of a string table is 0: whatever begins in it ends in it.
  if (strings_ && length > 0 && within(strings_, length) && strings_[length - 1] == '\0') strings_size_ = length;
}

const char* ElfFile::text_of(ElfW(Sxword) tag, size_t index) const {
  for (size_t i = 0; i < dynamic_count_ && dynamic_[i].d_tag != DT_NULL; ++i) {
    if (dynamic_[i].d_tag != tag || index-- > 0) continue;
    const size_t offset = dynamic_[i].d_un.d_val;
    return offset < strings_size_ ? strings_ + offset : nullptr;
  }
  return nullptr;
}

const char* ElfFile::needed(size_t index) const {
  return text_of(DT_NEEDED, index);
}

bool ElfFile::names_symbol(const char* name) const {
  const size_t length = strlen(name) + 1;
  return strings_size_ > 0 && memmem(strings_, strings_size_, name, length) != nullptr;
}

bool ElfFile::holds(const char* text) const {
  return bytes_ && memmem(bytes_, size_, text, strlen(text)) != nullptr;
}

}  // namespace pqmint
