// SPDX-License-Identifier: PostgreSQL
// Programs and scripts as they lie on disk. Nothing is read beyond the file, every text of a file ends within it, and
// whatever a script says, what lies behind it is found, or nothing is.
//
// Input: the file. "SELF/" in a script stands for the folder that it lies in, and it is called "program" there.

#include "cli/program.h"

#include <string.h>
#include <sys/stat.h>

#include <fstream>

#include "cli/elf_file.h"
#include "cli/loader.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

void promise_text(const ElfFile& file, const char* text) {
  if (text == nullptr) return;
  PROMISE(text >= file.bytes() && text < file.bytes() + file.size(), "a text lies in its file");
  const auto room = static_cast<size_t>(file.bytes() + file.size() - text);
  PROMISE(memchr(text, '\0', room) != nullptr, "a text ends in its file");
}

void promise_elf(const ElfFile& file) {
  promise_text(file, file.interpreter());
  promise_text(file, file.rpath());
  promise_text(file, file.runpath());
  size_t count = 0;
  while (const char* name = file.needed(count)) {
    promise_text(file, name);
    PROMISE(++count <= file.size() / sizeof(ElfW(Dyn)), "no more than there is room for");
    PROMISE(file.names_symbol(name), name);
  }
  PROMISE(!file.names_symbol("a name that no file has"), "a name");
}

}  // namespace

void program(std::string_view input) {
  static const std::string place = folder() + "/programs";
  static const std::string path = place + "/program";
  mkdir(place.c_str(), 0700);
  std::string text(input);
  if (input.starts_with("#!")) {
    for (size_t at = 0; (at = text.find("SELF/", at)) != text.npos; at += place.size()) {
      text.replace(at, 5, place + "/");
      if (text.size() > 20'000) return;
    }
  }
  std::ofstream(path, std::ios::binary) << text;
  chmod(path.c_str(), 0700);

  const ElfFile file(path.c_str());
  PROMISE(file.kind() != ElfFile::Kind::kUnreadable, path);
  PROMISE(file.size() == text.size(), path);
  PROMISE((file.kind() == ElfFile::Kind::kScript) == text.starts_with("#!"), text);
  const bool is_elf = text.starts_with("\177ELF");
  PROMISE(is_elf == (file.kind() == ElfFile::Kind::kNative || file.kind() == ElfFile::Kind::kForeign ||
                     file.kind() == ElfFile::Kind::kBroken),
          text);
  PROMISE(text.empty() || file.holds(text.substr(0, 8).c_str()), text);
  promise_elf(file);
  if (file.kind() != ElfFile::Kind::kNative) {
    PROMISE(file.interpreter() == nullptr && file.needed(0) == nullptr && file.rpath() == nullptr, text);
  }

  const Program found = behind(path.c_str());
  if (file.kind() != ElfFile::Kind::kScript) {
    PROMISE(found.way == Program::Way::kItself && found.binary && found.binary.get() == path, path);
  } else {
    PROMISE(found.way != Program::Way::kItself, text);
    // What it names is a program that is there; an interpreter is whatever the script says.
    if (found.binary && found.way == Program::Way::kWrapper) {
      struct stat info;
      PROMISE(stat(found.binary.get(), &info) == 0 && S_ISREG(info.st_mode), found.binary.get());
    }
    PROMISE(!found.binary || found.binary.get() != path, "a script is no binary");
  }

  if (file.kind() != ElfFile::Kind::kNative) return;
  const LoadedTree tree(path.c_str(), place.c_str(), LoadedTree::Extent::kUpToLibpq);
  size_t objects = 0;
  for (const LoadedTree::Object* object = tree.first(); object; object = object->next) {
    PROMISE(++objects < 1000, "a tree has an end");
    PROMISE((object->needed_by == nullptr) == (object == tree.first()), object->path.get());
  }
  const LoadedTree::Object* libpq = tree.libpq();
  PROMISE(libpq == nullptr || strncmp(base_name(libpq->path.get()), "libpq", 5) == 0, libpq->path.get());
}

}  // namespace pqmint::fuzz
