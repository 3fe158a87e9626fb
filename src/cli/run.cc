// SPDX-License-Identifier: PostgreSQL
// Sets LD_PRELOAD and LD_LIBRARY_PATH, and becomes the program.

#include "cli/run.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/loader_list.h"
#include "cli/loader.h"
#include "cli/program.h"
#include "preload/memory.h"

namespace pqmint {
namespace {

constexpr const char* kStandIn = "libpq.so.5";

// The parts, one after another.
struct Path {
  char text[PATH_MAX];

  template <typename... Parts>
  explicit Path(Parts... parts) {
    const char* const all[] = {parts...};
    size_t length = 0;
    for (const char* part : all) length += strlen(part);
    char* end = text;
    if (length < sizeof text) {
      for (const char* part : all) end = stpcpy(end, part);
    }
    *end = '\0';  // too long: names no file
  }
};

bool is_there(const char* path) {
  return access(path, R_OK) == 0;
}

bool put_in_front(const char* variable, const char* ours, const char* others) {
  if (!given(others)) return setenv(variable, ours, 1) == 0;
  const Text both = joined(ours, ":", others);
  return both && setenv(variable, both.get(), 1) == 0;
}

bool can_stand_in_a_list(const char* path) {
  return strpbrk(path, " :;") == nullptr;
}

// --- a folder of links, for what the installed one cannot do: another libpq behind the stand-in, or a path without
// blanks. Programs may start others for months, so it is left behind; the same links are found again the next time.

bool is_private(const char* folder) {
  struct stat st;
  return lstat(folder, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
         (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool for_all_to_enter(const char* folder) {
  struct stat st;
  return geteuid() != 0 || (lstat(folder, &st) == 0 && (st.st_mode & S_IXOTH) != 0);
}

// For all to enter, whatever the umask: programs change their user. One that is there already serves if nobody else can
// have put anything into it.
bool make_folder(const char* path) {
  if (mkdir(path, 0755) != 0 && errno != EEXIST) return false;
  if (!is_private(path)) return errno = EPERM, false;
  return chmod(path, 0755) == 0;
}

bool leads_to(const char* link, const char* target) {
  char found[PATH_MAX];
  const ssize_t length = readlink(link, found, sizeof found);
  return length == static_cast<ssize_t>(strlen(target)) && memcmp(found, target, static_cast<size_t>(length)) == 0;
}

bool put_link(const char* link, const char* target) {
  if (leads_to(link, target) || symlink(target, link) == 0) return true;
  if (errno != EEXIST) return false;
  if (leads_to(link, target)) return true;  // another one was faster
  char mine[16];
  snprintf(mine, sizeof mine, ".%ld", static_cast<long>(getpid()));
  const Path fresh(link, mine);
  unlink(fresh.text);
  return symlink(target, fresh.text) == 0 && (rename(fresh.text, link) == 0 || (unlink(fresh.text), false));
}

// Links laid out as lib/ is, so that all find each other by their places. `real` may be null.
struct Links {
  const char* prefix;
  const char* real;

  template <typename Each>
  bool all(const char* folder, Each each) const {
    return each(Path(folder, "/libpqmint.so"), Path(prefix, "/lib/libpqmint.so")) &&
           each(Path(folder, "/pqmint/core.so"), Path(prefix, "/lib/pqmint/core.so")) &&
           each(Path(folder, "/pqmint/net.so"), Path(prefix, "/lib/pqmint/net.so")) &&
           (!real || (each(Path(folder, "/pqmint/", kStandIn), Path(prefix, "/lib/pqmint/", kStandIn)) &&
                      each(Path(folder, "/pqmint/", kRealLibpq), Path(real))));
  }
  bool stand_in(const char* folder) const {
    return is_private(folder) && is_private(Path(folder, "/pqmint").text) &&
           all(folder, [](const Path& link, const Path& target) { return leads_to(link.text, target.text); });
  }
  // One after another, in their place: programs that were started from here find each at any moment, another one may do
  // the same meanwhile, and what could not be done is done the next time.
  bool put_in(const char* folder) const {
    return make_folder(folder) && make_folder(Path(folder, "/pqmint").text) &&
           all(folder, [](const Path& link, const Path& target) { return put_link(link.text, target.text); });
  }
  void remove_from(const char* folder) const {
    all(folder, [](const Path& link, const Path&) { return unlink(link.text), true; });
    rmdir(Path(folder, "/pqmint").text);
    rmdir(folder);
  }
  // For a name; what is found under it is compared.
  uint64_t fingerprint() const {
    return fingerprint_of(real ? real : "", fingerprint_of("\n", fingerprint_of(prefix)));
  }
};

bool find_or_make(const Links& links, const char* base, Path& folder) {
  char name[17];
  snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(links.fingerprint()));
  folder = Path(base, "/", name);
  if (!can_stand_in_a_list(base)) return false;
  if (is_private(base) && links.stand_in(folder.text)) return true;
  return make_folder(base) && links.put_in(folder.text);
}

// What a message says of the places below.
constexpr const char* kPlaces =
    "RUNTIME_DIRECTORY, /run (root's), XDG_RUNTIME_DIR, XDG_CACHE_HOME (or ~/.cache), TMPDIR or /tmp";

bool find_or_make(const Links& links, Path& folder) {
  const auto serves = [&](const char* place) {
    return is_private(place) && find_or_make(links, Path(place, "/pqmint").text, folder);
  };
  // systemd made it for this service, and takes it away with it. It is the first of a list.
  if (const char* service = getenv("RUNTIME_DIRECTORY"); given(service) && *service == '/') {
    Path first(service);
    first.text[strcspn(first.text, ":")] = '\0';
    if (for_all_to_enter(first.text) && serves(first.text)) return true;
  }
  // Root's programs often change their user, who cannot enter root's own folders.
  if (geteuid() == 0 && find_or_make(links, "/run/pqmint", folder)) return true;
  if (const char* session = getenv("XDG_RUNTIME_DIR"); given(session) && *session == '/' && serves(session))
    return true;
  // What is cleared of old files is no good place: what a program loads next could by then be anybody's.
  const char* home = getenv("HOME");
  if (const char* cache = getenv("XDG_CACHE_HOME"); given(cache) && *cache == '/') {
    if (serves(cache)) return true;
  } else if (given(home) && *home == '/' && is_private(home)) {
    const Path usual(home, "/.cache");
    mkdir(usual.text, 0700);
    if (serves(usual.text)) return true;
  }
  char user[16];
  snprintf(user, sizeof user, "%u", static_cast<unsigned>(geteuid()));
  for (const char* temporary : {static_cast<const char*>(getenv("TMPDIR")), "/tmp"}) {
    // Programs change their folder, and lists of the loader's are parted by blanks.
    if (!given(temporary) || *temporary != '/' || !can_stand_in_a_list(temporary)) continue;
    if (find_or_make(links, Path(temporary, "/pqmint-", user).text, folder)) return true;
    // Somebody else sits on that name.
    Path other(temporary, "/pqmint-XXXXXX");
    if (!mkdtemp(other.text)) continue;
    if (chmod(other.text, 0755) == 0 && find_or_make(links, other.text, folder)) return true;
    links.remove_from(folder.text);
    rmdir(other.text);
  }
  return false;
}

// The libpq that the program would have had; null when the machine has none.
Text own_libpq(const char* word, const char* library_path) {
  Text path = find_program(word);
  Program program;
  if (path) program = behind(path.get());
  if (!program.binary) return nullptr;
  const LoadedTree tree(program.binary.get(), library_path, LoadedTree::Extent::kUpToLibpq);
  if (!tree.first()) return nullptr;
  FoundBy by;
  const LoadedTree::Object* linked = tree.libpq();
  // A copy under another name is its program's own affair.
  const bool usual = linked && strcmp(base_name(linked->path.get()), kStandIn) == 0;
  Text found = usual ? copy_text(linked->path.get()) : tree.libpq_for_dlopen(by);
  return Text(found ? realpath(found.get(), nullptr) : nullptr);
}

}  // namespace

void leave_no_trace() {
  const auto clean = [](const char* name, LoaderList kind) {
    Text list = copy_text(getenv(name));
    if (!list || !take_out_ours(list.get(), kind)) return;
    given(list.get()) ? setenv(name, list.get(), 1) : unsetenv(name);
  };
  clean("LD_PRELOAD", LoaderList::kPreload);
  clean("LD_LIBRARY_PATH", LoaderList::kLibraryPath);
}

int run_program(const char* prefix, char* const argv[], bool preload_only) {
  Path library(prefix, "/lib/libpqmint.so");
  if (!is_there(library.text)) {
    fprintf(stderr, "pqmint: cannot read %s: %s; reinstall pqmint\n", library.text, strerror(errno));
    return 126;
  }
  leave_no_trace();
  const char* library_path = getenv("LD_LIBRARY_PATH");
  Path folder(prefix, "/lib/pqmint");
  Text real;
  if (!preload_only && is_there(Path(folder.text, "/", kStandIn).text)) real = own_libpq(argv[0], library_path);
  const Text installed(realpath(Path(folder.text, "/", kRealLibpq).text, nullptr));
  const bool as_installed = !real || (installed && strcmp(installed.get(), real.get()) == 0);
  if (!as_installed || !can_stand_in_a_list(prefix)) {
    Path links("");
    if (find_or_make({prefix, real.get()}, links)) {
      library = Path(links.text, "/libpqmint.so");
      folder = Path(links.text, "/pqmint");
    } else if (can_stand_in_a_list(prefix)) {
      fprintf(stderr,
              "pqmint: cannot make a folder of links in %s (%s): programs that look libpq up past LD_PRELOAD are not "
              "reached; name a TMPDIR that can be written to\n",
              kPlaces, strerror(errno));
      real.reset();
    } else {
      fprintf(
          stderr,
          "pqmint: %s cannot be preloaded, because its path has a blank, a colon or a semicolon in it, and no folder "
          "of links can be made in %s (%s); name a TMPDIR that can be written to\n",
          library.text, kPlaces, strerror(errno));
      return 126;
    }
  }
  if (!put_in_front("LD_PRELOAD", library.text, getenv("LD_PRELOAD")) ||
      (real && !put_in_front("LD_LIBRARY_PATH", folder.text, library_path))) {
    fputs("pqmint: out of memory\n", stderr);
    return 126;
  }
  execvp(argv[0], argv);
  const int status = errno == ENOENT ? 127 : 126;
  fprintf(stderr, "pqmint: cannot run %s: %s\n", argv[0], strerror(errno));
  return status;
}

}  // namespace pqmint
