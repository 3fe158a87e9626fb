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

bool is_any_of(char c, const char* characters) {
  return c != '\0' && strchr(characters, c) != nullptr;
}

// Texts of a shell script that stand below the line which asks for them: `cat <<END`.
class HereDocuments {
 public:
  // `at` stands behind "<<". What comes behind the word goes out.
  const char* ask(const char* at, const char* end) {
    const bool strips_tabs = at < end && *at == '-';
    if (strips_tabs) ++at;
    while (at < end && is_any_of(*at, " \t'\"\\")) ++at;
    const char* word = at;
    while (at < end && !is_any_of(*at, " \t\n'\";&|()<>")) ++at;
    if (at > word && count_ < sizeof asked_ / sizeof *asked_) asked_[count_++] = {word, at, strips_tabs};
    return at < end && is_any_of(*at, "'\"") ? at + 1 : at;
  }
  // The line behind those that were asked for, if they are there: `$((1<<2))` asks for nothing.
  const char* skip(const char* line, const char* end) {
    const char* behind = line;
    for (size_t i = 0; i < count_ && behind; ++i) behind = behind_text(asked_[i], behind, end);
    count_ = 0;
    return behind ? behind : line;
  }

 private:
  struct Word {
    const char *begin, *end;
    bool strips_tabs;
  };
  static const char* behind_text(const Word& word, const char* line, const char* end) {
    const size_t length = static_cast<size_t>(word.end - word.begin);
    while (line < end) {
      const char* stop = static_cast<const char*>(memchr(line, '\n', static_cast<size_t>(end - line)));
      if (!stop) stop = end;
      while (word.strips_tabs && line < stop && *line == '\t') ++line;
      const bool is_last = static_cast<size_t>(stop - line) == length && memcmp(line, word.begin, length) == 0;
      line = stop < end ? stop + 1 : end;
      if (is_last) return line;
    }
    return nullptr;
  }

  Word asked_[4];  // more in one line than anybody writes
  size_t count_ = 0;
};

// `exec /opt/pg/bin/psql "$@"` in a shell script, outside of its comments, quotes and here-documents.
Text behind_exec(const ElfFile& script) {
  constexpr char kExec[] = "exec";
  constexpr size_t kLength = sizeof kExec - 1;
  const char* const end = script.bytes() + script.size();
  HereDocuments documents;
  char quote = '\0';
  bool begins_a_word = true;
  for (const char* at = script.bytes(); at < end;) {
    const char c = *at++;
    const bool stands_first = begins_a_word;
    begins_a_word = !quote && is_any_of(c, " \t\n;&|()`");
    if (c == '\\' && quote != '\'') {
      ++at;
    } else if (quote) {
      if (c == quote) quote = '\0';
    } else if (is_any_of(c, "'\"")) {
      quote = c;
    } else if (c == '#' && stands_first) {
      while (at < end && *at != '\n') ++at;
    } else if (c == '\n') {
      at = documents.skip(at, end);
    } else if (c == '<' && at < end && *at == '<') {
      const bool is_string = end - at > 1 && at[1] == '<';
      at = is_string ? at + 2 : documents.ask(at + 1, end);
    } else if (stands_first && static_cast<size_t>(end - at) > kLength && memcmp(at - 1, kExec, kLength) == 0 &&
               is_any_of(at[kLength - 1], " \t")) {
      const char* word = at + kLength;
      while (word < end && is_any_of(*word, " \t'\"")) ++word;
      const char* stop = word;
      while (stop < end && !is_any_of(*stop, " \t\n'\";")) ++stop;
      Text path(word < end && *word == '/' ? strndup(word, static_cast<size_t>(stop - word)) : nullptr);
      if (path && is_program(path.get())) return path;
    }
  }
  return nullptr;
}

bool is_shell(const char* interpreter) {
  for (const char* name : {"sh", "bash", "dash", "ksh", "mksh", "zsh", "ash", "busybox"}) {
    if (strcmp(base_name(interpreter), name) == 0) return true;
  }
  return false;
}

bool begins_with(const char* text, const char* beginning) {
  return strncmp(text, beginning, strlen(beginning)) == 0;
}

// The program among env(1)'s arguments, parted at blanks; null if there is none.
const char* program_of_env(char* rest) {
  while (char* word = strtok_r(nullptr, " \t\r", &rest)) {
    constexpr char kSplit[] = "--split-string=";
    if (begins_with(word, kSplit)) {
      word += sizeof kSplit - 1;
    } else if (begins_with(word, "-S") || begins_with(word, "-vS")) {
      word = strchr(word, 'S') + 1;
    }
    if (!*word || strchr(word, '=')) continue;
    if (*word != '-') return word;
    // With a value in the next word.
    bool has_value = false;
    for (const char* option : {"u", "C", "a", "unset", "chdir", "argv0"}) {
      has_value |= strcmp(word + strspn(word, "-"), option) == 0;
    }
    if (has_value) strtok_r(nullptr, " \t\r", &rest);
  }
  return nullptr;
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
  word = program_of_env(rest);
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
