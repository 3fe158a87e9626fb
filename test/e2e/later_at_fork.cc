// SPDX-License-Identifier: PostgreSQL
// Preloaded into pg_dump -j, pg_restore -j and vacuumdb -j by the tests: before the first worker is forked, or the
// first query of libpq's is asked, $PQMINT_TEST_LATER is run (it moves the clocks), so that the first connection's
// token is dead when the next one is opened. $PQMINT_TEST_LATER_AT says which: "fork" or "query".
#include <dlfcn.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace {

void let_time_pass_at(const char* moment) {
  static bool done = false;
  const char* command = getenv("PQMINT_TEST_LATER");
  const char* wanted = getenv("PQMINT_TEST_LATER_AT");
  if (done || !command || !wanted || strcmp(wanted, moment) != 0) return;
  done = true;
  char* const argv[] = {const_cast<char*>("sh"), const_cast<char*>("-c"), const_cast<char*>(command), nullptr};
  char* const no_preload[] = {const_cast<char*>("PATH=/usr/bin:/bin"), nullptr};
  pid_t pid = 0;
  if (posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv, no_preload) == 0) waitpid(pid, nullptr, 0);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) pid_t fork() {
  let_time_pass_at("fork");
  return reinterpret_cast<pid_t (*)()>(dlsym(RTLD_NEXT, "fork"))();
}

extern "C" __attribute__((visibility("default"))) void* PQexec(void* conn, const char* query) {
  let_time_pass_at("query");
  return reinterpret_cast<void* (*)(void*, const char*)>(dlsym(RTLD_NEXT, "PQexec"))(conn, query);
}
