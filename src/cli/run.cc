// SPDX-License-Identifier: PostgreSQL
// Sets LD_PRELOAD and becomes the program.

#include "cli/run.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace {

// LD_PRELOAD is a list that blanks and colons part: a path with one of them cannot stand in it.
bool can_stand_in_ld_preload(const char* path) {
  return strpbrk(path, " :") == nullptr;
}

bool names(const char* list, const char* path) {
  const size_t length = strlen(path);
  for (const char* at = list; *at;) {
    const size_t entry = strcspn(at, " :");
    if (entry == length && strncmp(at, path, length) == 0) return true;
    at += entry;
    at += strspn(at, " :");
  }
  return false;
}

// Ours first: what the user preloads (an allocator, faketime) keeps its place behind it.
bool put_into_ld_preload(const char* library) {
  const char* own = getenv("LD_PRELOAD");
  if (own == nullptr || *own == '\0') return setenv("LD_PRELOAD", library, 1) == 0;
  if (names(own, library)) return true;
  const size_t size = strlen(library) + strlen(own) + 2;
  char* both = static_cast<char*>(malloc(size));
  if (both == nullptr) return false;
  snprintf(both, size, "%s:%s", library, own);
  const bool set = setenv("LD_PRELOAD", both, 1) == 0;
  free(both);
  return set;
}

}  // namespace

int run_program(const char* prefix, char* const argv[]) {
  char library[PATH_MAX];
  snprintf(library, sizeof library, "%s/lib/libpqmint.so", prefix);
  if (access(library, R_OK) != 0) {
    fprintf(stderr, "pqmint: cannot read %s: %s; reinstall pqmint\n", library, strerror(errno));
    return 126;
  }
  if (!can_stand_in_ld_preload(library)) {
    fprintf(stderr,
            "pqmint: %s cannot be preloaded, because its path has a blank or a colon in it; install pqmint elsewhere\n",
            library);
    return 126;
  }
  if (!put_into_ld_preload(library)) {
    fprintf(stderr, "pqmint: out of memory\n");
    return 126;
  }
  execvp(argv[0], argv);
  const int status = errno == ENOENT ? 127 : 126;
  fprintf(stderr, "pqmint: cannot run %s: %s\n", argv[0], strerror(errno));
  return status;
}
