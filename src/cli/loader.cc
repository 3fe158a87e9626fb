// SPDX-License-Identifier: PostgreSQL
// Walks a program's DT_NEEDED entries as ld.so would.

#include "cli/loader.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <new>
#include <utility>

namespace pqmint {
namespace {

constexpr const char* kUsualFolders[] = {
#if defined(__x86_64__)
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
#elif defined(__aarch64__)
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
#endif
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
};

// The file that ldconfig(8) writes: this header, the entries, and the strings that they point to.
struct CacheHeader {
  char magic[20];
  uint32_t count, strings_size;
  uint32_t flags, extensions, unused[3];
};
struct CacheEntry {
  int32_t flags;
  uint32_t name, path;  // counted from the header
  uint32_t os_version;
  uint64_t hardware;
};
constexpr char kCacheMagic[] = "glibc-ld.so.cache1.1";

bool is_native(const char* path) {
  return ElfFile(path).kind() == ElfFile::Kind::kNative;
}

Text joined(const char* folder, size_t folder_length, const char* name) {
  Text out(static_cast<char*>(malloc(folder_length + strlen(name) + 2)));
  if (!out) return out;
  memcpy(out.get(), folder, folder_length);
  stpcpy(stpcpy(out.get() + folder_length, "/"), name);
  return out;
}

// One folder of a search path, with $ORIGIN written out. Null when it holds another of the loader's tokens.
Text folder_of(const char* entry, size_t length, const char* origin) {
  constexpr const char* kNames[] = {"$ORIGIN", "${ORIGIN}"};
  size_t most = length + 1;
  for (size_t i = 0; i < length; ++i) most += entry[i] == '$' ? strlen(origin) : 0;
  Text out(static_cast<char*>(malloc(most)));
  if (!out) return out;
  char* at = out.get();
  for (size_t i = 0; i < length;) {
    const char* name = nullptr;
    for (const char* each : kNames) {
      if (length - i >= strlen(each) && strncmp(entry + i, each, strlen(each)) == 0) name = each;
    }
    if (name) {
      at = stpcpy(at, origin);
      i += strlen(name);
    } else if (entry[i] == '$') {
      return nullptr;
    } else {
      *at++ = entry[i++];
    }
  }
  *at = '\0';
  return out;
}

Text find_in_path(const char* list, const char* separators, const char* origin, const char* name) {
  if (!given(list)) return nullptr;
  for (const char* at = list;; ++at) {
    const size_t length = strcspn(at, separators);
    Text folder = length > 0 ? folder_of(at, length, origin) : copy_text(".");
    Text path = folder ? joined(folder.get(), strlen(folder.get()), name) : nullptr;
    if (path && is_native(path.get())) return path;
    at += length;
    if (*at == '\0') return nullptr;
  }
}

Text folder_of_file(const char* path) {
  const char* name = base_name(path);
  return Text(name > path + 1 ? strndup(path, static_cast<size_t>(name - path - 1)) : strdup(name > path ? "/" : "."));
}

bool is_libpq(const LoadedTree::Object* object) {
  const char* name = base_name(object->path.get());
  return object->needed_by && (strncmp(name, "libpq.so", 8) == 0 || strncmp(name, "libpq-", 6) == 0);
}

}  // namespace

const char* base_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

LoadedTree::LoadedTree(const char* program, const char* library_path, Extent extent)
    : library_path_(library_path), cache_("/etc/ld.so.cache") {
  // A program's own $ORIGIN is where it really lies; a library's is where it was found.
  add(Text(realpath(program, nullptr)), nullptr, FoundBy::kName);
  for (const Object* object = first_; object; object = object->next) {
    for (size_t i = 0; const char* name = object->file.needed(i); ++i) {
      // The loader looks a name up once, whoever needs it.
      if (has(base_name(name))) continue;
      FoundBy by;
      Text path = find(name, object, by);
      add(std::move(path), object, by);
      if (extent == Extent::kUpToLibpq && is_libpq(last_)) return;
    }
  }
}

LoadedTree::~LoadedTree() {
  while (first_) {
    Object* next = first_->next;
    first_->~Object();
    free(first_);
    first_ = next;
  }
}

void LoadedTree::add(Text path, const Object* parent, FoundBy by) {
  void* room = path ? malloc(sizeof(Object)) : nullptr;
  if (!room) return;
  auto* object = new (room) Object(std::move(path), parent, by);
  (last_ ? last_->next : first_) = object;
  last_ = object;
}

bool LoadedTree::has(const char* name) const {
  for (const Object* object = first_; object; object = object->next) {
    if (object->needed_by && strcmp(base_name(object->path.get()), name) == 0) return true;
  }
  return false;
}

Text LoadedTree::find(const char* name, const Object* by, FoundBy& found_by) const {
  found_by = FoundBy::kName;
  if (strchr(name, '/')) return copy_text(name);
  found_by = FoundBy::kRpath;
  // An RPATH is inherited, and an object's RUNPATH puts RPATHs out of force.
  for (const Object* object = by; object && !by->file.runpath(); object = object->needed_by) {
    if (object->file.runpath()) continue;
    Text origin = folder_of_file(object->path.get());
    if (Text path = origin ? find_in_path(object->file.rpath(), ":", origin.get(), name) : nullptr) return path;
  }
  Text program_origin = folder_of_file(first_->path.get());
  if (!program_origin) return nullptr;
  found_by = FoundBy::kLibraryPath;
  if (Text path = find_in_path(library_path_, ":;", program_origin.get(), name)) return path;
  found_by = FoundBy::kRunpath;
  Text origin = folder_of_file(by->path.get());
  if (Text path = origin ? find_in_path(by->file.runpath(), ":", origin.get(), name) : nullptr) return path;
  found_by = FoundBy::kSystem;
  if (Text path = find_in_cache(name)) return path;
  for (const char* folder : kUsualFolders) {
    Text path = joined(folder, strlen(folder), name);
    if (path && is_native(path.get())) return path;
  }
  found_by = FoundBy::kNowhere;
  return nullptr;
}

Text LoadedTree::find_in_cache(const char* name) const {
  if (cache_.kind() != ElfFile::Kind::kOther) return nullptr;
  // An old format may stand in front of it.
  const char* begin =
      static_cast<const char*>(memmem(cache_.bytes(), cache_.size(), kCacheMagic, sizeof kCacheMagic - 1));
  if (!begin) return nullptr;
  const size_t size = cache_.size() - static_cast<size_t>(begin - cache_.bytes());
  CacheHeader header;
  if (size < sizeof header) return nullptr;
  memcpy(&header, begin, sizeof header);
  if (header.count > (size - sizeof header) / sizeof(CacheEntry)) return nullptr;
  const auto text_at = [&](uint32_t offset) {
    return offset < size && memchr(begin + offset, '\0', size - offset) ? begin + offset : "";
  };
  for (uint32_t i = 0; i < header.count; ++i) {
    CacheEntry entry;
    memcpy(&entry, begin + sizeof header + i * sizeof entry, sizeof entry);
    // Copies for better processors stand beside one for all: the same library.
    if (entry.hardware != 0 || strcmp(text_at(entry.name), name) != 0) continue;
    if (is_native(text_at(entry.path))) return copy_text(text_at(entry.path));
  }
  return nullptr;
}

const LoadedTree::Object* LoadedTree::libpq() const {
  for (const Object* object = first_; object; object = object->next) {
    if (is_libpq(object)) return object;
  }
  return nullptr;
}

Text LoadedTree::libpq_for_dlopen(FoundBy& by) const {
  return first_ ? find("libpq.so.5", first_, by) : nullptr;
}

}  // namespace pqmint
