// SPDX-License-Identifier: PostgreSQL
// Reads scripts as far as it takes to know what they start.

#include "cli/program.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "cli/elf_file.h"
#include "cli/loader.h"

namespace pqmint {
namespace {

// More than anybody's wrappers of wrappers.
constexpr int kLongestChain = 8;

bool is_program(const char* path) {
  struct stat file;
  return stat(path, &file) == 0 && S_ISREG(file.st_mode) && access(path, X_OK) == 0;
}

// Debian's psql, pg_dump and the like are links to one Perl script that picks a version. All versions share one libpq.
Text behind_pg_wrapper(const char* path) {
  constexpr char kVersions[] = "/usr/lib/postgresql";
  Text real(realpath(path, nullptr));
  if (!real || strcmp(base_name(real.get()), "pg_wrapper") != 0) return nullptr;
  DIR* folder = opendir(kVersions);
  if (!folder) return nullptr;
  Text newest;
  int version = -1;
  while (const dirent* entry = readdir(folder)) {
    const int each = atoi(entry->d_name);
    char program[512];
    snprintf(program, sizeof program, "%s/%s/bin/%s", kVersions, entry->d_name, base_name(path));
    if (each <= version || !is_program(program)) continue;
    newest = copy_text(program);
    version = each;
  }
  closedir(folder);
  return newest;
}

// `exec /opt/pg/bin/psql "$@"` in a shell script, outside of its comments.
Text behind_exec(const ElfFile& script) {
  constexpr char kExec[] = "exec ";
  const char* end = script.bytes() + script.size();
  for (const char* at = script.bytes(); (at = static_cast<const char*>(memmem(at, static_cast<size_t>(end - at), kExec,
                                                                              sizeof kExec - 1))) != nullptr;) {
    const bool begins_a_word = strchr("\n\t ;&|", at[-1]) != nullptr;  // "#!" stands before it at least
    const char* line = at;
    while (line > script.bytes() && line[-1] != '\n') --line;
    const bool is_comment = line[strspn(line, " \t")] == '#';
    at += sizeof kExec - 1;
    while (at < end && strchr(" \t'\"", *at)) ++at;
    if (!begins_a_word || is_comment || at == end || *at != '/') continue;
    const char* stop = at;
    while (stop < end && !strchr(" \t\n'\";", *stop)) ++stop;
    Text path(strndup(at, static_cast<size_t>(stop - at)));
    if (path && is_program(path.get())) return path;
  }
  return nullptr;
}

bool is_shell(const char* interpreter) {
  for (const char* name : {"sh", "bash", "dash", "ksh", "mksh", "zsh", "ash", "busybox"}) {
    if (strcmp(base_name(interpreter), name) == 0) return true;
  }
  return false;
}

// "#!/usr/bin/perl -w" and "#!/usr/bin/env -S python3 -u": the interpreter.
Text interpreter_of(const ElfFile& script) {
  char line[256];
  const size_t size = script.size() - 2 < sizeof line - 1 ? script.size() - 2 : sizeof line - 1;
  memcpy(line, script.bytes() + 2, size);
  line[size] = '\0';
  line[strcspn(line, "\n")] = '\0';
  char* rest = line;
  const char* word = strtok_r(rest, " \t\r", &rest);
  if (!word || strcmp(base_name(word), "env") != 0) return copy_text(word);
  do {
    word = strtok_r(nullptr, " \t\r", &rest);
  } while (word && (*word == '-' || strchr(word, '=')));
  return word ? find_program(word) : nullptr;
}

}  // namespace

Text find_program(const char* word) {
  if (strchr(word, '/')) return is_program(word) ? copy_text(word) : nullptr;
  const char* path = getenv("PATH");
  for (const char* at = path ? path : "/bin:/usr/bin";; ++at) {
    const size_t length = strcspn(at, ":");
    char candidate[4096];
    const int written = length > 0
                            ? snprintf(candidate, sizeof candidate, "%.*s/%s", static_cast<int>(length), at, word)
                            : snprintf(candidate, sizeof candidate, "./%s", word);
    if (written > 0 && static_cast<size_t>(written) < sizeof candidate && is_program(candidate)) {
      return copy_text(candidate);
    }
    at += length;
    if (*at == '\0') return nullptr;
  }
}

Program behind(const char* path) {
  Program program;
  Text at = copy_text(path);
  for (int step = 0; at && step < kLongestChain; ++step) {
    const ElfFile file(at.get());
    if (file.kind() != ElfFile::Kind::kScript) {
      program.binary = std::move(at);
      return program;
    }
    Text interpreter = interpreter_of(file);
    Text next = behind_pg_wrapper(at.get());
    if (!next && interpreter && is_shell(interpreter.get())) next = behind_exec(file);
    program.way = next ? Program::Way::kWrapper : Program::Way::kInterpreter;
    at = next ? std::move(next) : std::move(interpreter);
  }
  return program;
}

}  // namespace pqmint
