// SPDX-License-Identifier: PostgreSQL
// A program or library as it lies on disk: what its headers say, and nothing run.
#pragma once

#include <link.h>
#include <stddef.h>

namespace pqmint {

/// One file, mapped for reading as long as this lives. Every offset in it is checked: a broken file is kBroken, or
/// lacks what lies beyond its end. Needs libc only.
class ElfFile {
 public:
  enum class Kind {
    kUnreadable,  // error() tells why
    kScript,      // begins with #!
    kNative,      // ELF for this machine, of this program's own word size
    kForeign,     // ELF for another machine or word size
    kBroken,      // ELF that ends too early
    kOther,
  };

  explicit ElfFile(const char* path);
  ~ElfFile();
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;

  Kind kind() const { return kind_; }
  /// An errno, for kUnreadable.
  int error() const { return error_; }
  const char* bytes() const { return bytes_; }
  size_t size() const { return size_; }

  // The rest is for kNative. Strings belong to the file; null: it does not say.
  /// The loader that starts it. Null: linked statically (or a library).
  const char* interpreter() const { return interpreter_; }
  /// The `index`-th library that it needs, in order; null past the last.
  const char* needed(size_t index) const;
  const char* rpath() const { return text_of(DT_RPATH); }
  const char* runpath() const { return text_of(DT_RUNPATH); }
  /// Whether its dynamic symbol names include `name`, defined or not.
  bool names_symbol(const char* name) const;
  /// Whether the bytes of `text` stand anywhere in it.
  bool holds(const char* text) const;

 private:
  void read_headers();
  const char* text_of(ElfW(Sxword) tag, size_t index = 0) const;
  const char* at_address(ElfW(Addr) address) const;
  bool within(const void* begin, size_t size) const;

  Kind kind_ = Kind::kUnreadable;
  int error_ = 0;
  const char* bytes_ = nullptr;
  size_t size_ = 0;
  const ElfW(Phdr) * segments_ = nullptr;
  size_t segment_count_ = 0;
  const ElfW(Dyn) * dynamic_ = nullptr;
  size_t dynamic_count_ = 0;
  const char* strings_ = nullptr;
  size_t strings_size_ = 0;
  const char* interpreter_ = nullptr;
};

}  // namespace pqmint
