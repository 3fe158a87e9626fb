// SPDX-License-Identifier: PostgreSQL
// Preloaded into pg_dump -j and pg_restore -j by the tests: before the first worker is forked, $PQMINT_TEST_LATER is
// run (it moves the clocks), so that the token that the worker is handed is dead before the worker can use it.
#include <dlfcn.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

extern "C" __attribute__((visibility("default"))) pid_t fork() {
  static bool done = false;
  const char* command = getenv("PQMINT_TEST_LATER");
  if (!done && command) {
    done = true;
    char* const argv[] = {const_cast<char*>("sh"), const_cast<char*>("-c"), const_cast<char*>(command), nullptr};
    char* const no_preload[] = {const_cast<char*>("PATH=/usr/bin:/bin"), nullptr};
    pid_t pid = 0;
    if (posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv, no_preload) == 0) waitpid(pid, nullptr, 0);
  }
  return reinterpret_cast<pid_t (*)()>(dlsym(RTLD_NEXT, "fork"))();
}
