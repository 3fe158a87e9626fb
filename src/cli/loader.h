// SPDX-License-Identifier: PostgreSQL
// Which file the dynamic loader would take for a library, told from the files and the environment alone.
//
// The order is the loader's own (ld.so(8)): DT_RPATH, LD_LIBRARY_PATH, DT_RUNPATH, /etc/ld.so.cache, the usual folders.
#pragma once

#include <stddef.h>

#include "cli/elf_file.h"
#include "preload/memory.h"

namespace pqmint {

/// Where a library was found.
enum class FoundBy { kNowhere, kName, kRpath, kLibraryPath, kRunpath, kSystem };

/// A program and the libraries that come with it, in the order in which the loader maps them. Needs libc only.
class LoadedTree {
 public:
  enum class Extent { kWhole, kUpToLibpq };

  /// `program` is an ELF file of this machine; `library_path` what LD_LIBRARY_PATH will be (null: not set). Both are
  /// borrowed.
  LoadedTree(const char* program, const char* library_path, Extent extent);
  ~LoadedTree();
  LoadedTree(const LoadedTree&) = delete;
  LoadedTree& operator=(const LoadedTree&) = delete;

  struct Object {
    Text path;
    ElfFile file;
    const Object* needed_by;
    Object* next = nullptr;
    FoundBy found_by;

    Object(Text at, const Object* parent, FoundBy by)
        : path(std::move(at)), file(path.get()), needed_by(parent), found_by(by) {}
  };
  const Object* first() const { return first_; }

  /// The first object whose file name begins with "libpq.so" or "libpq-" (wheels rename their copies); null if none.
  const Object* libpq() const;

  /// What dlopen("libpq.so.5") would find for the program. Null: nothing.
  Text libpq_for_dlopen(FoundBy& by) const;

 private:
  Text find(const char* name, const Object* by, FoundBy& found_by) const;
  void add(Text path, const Object* parent, FoundBy by);
  bool has(const char* name) const;

  Text find_in_cache(const char* name) const;

  const char* library_path_;
  ElfFile cache_;
  Object* first_ = nullptr;
  Object* last_ = nullptr;
};

/// The part of a path after its last slash.
const char* base_name(const char* path);

}  // namespace pqmint
