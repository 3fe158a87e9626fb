// SPDX-License-Identifier: PostgreSQL
// A program that connects again and again, each time with another call failing under it.
//
//   victim cold STAGE KIND SCOPE ERROR REST MOST FAULTED GOOD
//     For n = 1, 2, ... a forked child, in which pqmint was never used: connects by the conninfo FAULTED with fault n
//     (STAGE connect), or connects by GOOD and resets with it (STAGE reset); then, without a fault, connects by GOOD. A
//     line for each: n, calls seen, descriptors open after all is finished and children that are not reaped, how the
//     second connect ended, how the first one did, parted by tabs. n = 0 goes first, without a fault, and tells how
//     many calls there are; of these, MOST are taken, evenly (0: all).
//   victim can-map
//     Ends with 0 if maps can be made to fail on this machine.
//   victim warm KIND SCOPE ERROR CONNINFO
//     All in one process. A line for each n: n, calls, blocks of memory that a third round with the same fault left
//     behind, descriptors open, how it ended.
#include <dlfcn.h>
#include <libpq-fe.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "../descriptors.h"
#include "injector.h"

using namespace pqmint;

namespace {

decltype(&fault_arm) g_arm;
decltype(&fault_disarm) g_disarm;
decltype(&fault_live_blocks) g_live_blocks;

// Told without memory of its own: a test of leaks counts it.
void copy_outcome(PGconn* conn, char* out, size_t size) {
  snprintf(out, size, "%s", conn == nullptr ? "NULL" : PQstatus(conn) == CONNECTION_OK ? "OK" : PQerrorMessage(conn));
  for (char* c = out; *c; ++c) {
    if (*c == '\n' || *c == '\t') *c = '|';
  }
}

/// A keeper's end raises no signal, so it is found by __WALL alone. (src/net/child.cc)
bool has_children() {
  return waitpid(-1, nullptr, WNOHANG | __WALL) >= 0;
}

struct Fault {
  char kind, scope;
  int error, rest;
};

long run_once(const std::string& stage, const Fault& fault, long n, const char* faulted, const char* good) {
  alarm(30);
  static char first[4096], second[4096];
  PGconn* conn = nullptr;
  if (stage == "reset") {
    conn = PQconnectdb(good);
    if (PQstatus(conn) != CONNECTION_OK) printf("no connection to reset: %s", PQerrorMessage(conn));
    g_arm(fault.kind, fault.scope, n, fault.error, fault.rest);
    PQreset(conn);
  } else {
    g_arm(fault.kind, fault.scope, n, fault.error, fault.rest);
    conn = PQconnectdb(faulted);
  }
  const long calls = g_disarm();
  copy_outcome(conn, first, sizeof first);
  PQfinish(conn);
  conn = PQconnectdb(good);
  copy_outcome(conn, second, sizeof second);
  PQfinish(conn);
  printf("%ld\t%ld\t%d\t%d\t%s\t%s\n", n, calls, test::open_descriptors(), has_children(), second, first);
  fflush(stdout);
  return calls;
}

/// How many calls the child saw, or -1 if it died.
long in_child(const std::string& stage, const Fault& fault, long n, const char* faulted, const char* good) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    const long calls = run_once(stage, fault, n, faulted, good);
    _exit(write(ends[1], &calls, sizeof calls) == sizeof calls ? 0 : 1);
  }
  close(ends[1]);
  long calls = -1;
  if (read(ends[0], &calls, sizeof calls) != sizeof calls) calls = -1;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) printf("%ld\tdied with status %d\n", n, status);
  fflush(stdout);
  return calls;
}

int cold(char** argv) {
  const Fault fault = {argv[3][0], argv[4][0], std::atoi(argv[5]), std::atoi(argv[6])};
  const long most = std::atol(argv[7]);
  const long calls = in_child(argv[2], fault, 0, argv[8], argv[9]);
  const long step = most > 0 ? std::max(1L, (calls + most - 1) / most) : 1;
  // Other series begin elsewhere.
  for (long n = 1 + (fault.kind + fault.error) % step; n <= calls; n += step) {
    in_child(argv[2], fault, n, argv[8], argv[9]);
  }
  return calls < 0;
}

int warm(char** argv) {
  const Fault fault = {argv[2][0], argv[3][0], std::atoi(argv[4]), 0};
  const char* conninfo = argv[5];
  static char outcome[4096];
  const auto once = [&](long n) {
    g_arm(fault.kind, fault.scope, n, fault.error, 0);
    PGconn* conn = PQconnectdb(conninfo);
    const long calls = g_disarm();
    copy_outcome(conn, outcome, sizeof outcome);
    PQfinish(conn);
    return calls;
  };
  // Until the memory of minted tokens is full, each connection leaves something there.
  for (int i = 0; i < 1100; ++i) once(0);
  const long calls = once(0);
  for (long n = 0; n <= calls; ++n) {
    alarm(30);
    long before = 0, left = 0;
    // What a cache keeps, it keeps once.
    for (int round = 0; round < 4; ++round) {
      before = g_live_blocks();
      once(n);
      left = g_live_blocks() - before;
      if (left == 0 && round > 0) break;
    }
    printf("%ld\t%ld\t%ld\t%d\t%s\n", n, calls, left, test::open_descriptors(), outcome);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "can-map") == 0) {
    const auto can_map = reinterpret_cast<decltype(&fault_can_map)>(dlsym(RTLD_DEFAULT, "fault_can_map"));
    return can_map == nullptr || !can_map();
  }
  g_arm = reinterpret_cast<decltype(g_arm)>(dlsym(RTLD_DEFAULT, "fault_arm"));
  g_disarm = reinterpret_cast<decltype(g_disarm)>(dlsym(RTLD_DEFAULT, "fault_disarm"));
  g_live_blocks = reinterpret_cast<decltype(g_live_blocks)>(dlsym(RTLD_DEFAULT, "fault_live_blocks"));
  if (!g_arm || !g_disarm || !g_live_blocks) return fprintf(stderr, "the injector is not preloaded\n"), 2;
  if (argc == 10 && strcmp(argv[1], "cold") == 0) return cold(argv);
  if (argc == 6 && strcmp(argv[1], "warm") == 0) return warm(argv);
  return 2;
}
