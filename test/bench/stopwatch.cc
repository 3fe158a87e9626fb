// SPDX-License-Identifier: PostgreSQL
// The hands of `make bench` and of test/bench/gates: does one thing COUNT times; prints the wall and CPU time of each,
// in nanoseconds.
//
//   stopwatch spawn COUNT [NAME=VALUE...] PROGRAM [ARG...]   starts a program, with its stdout closed off, and waits
//   stopwatch connect COUNT ok|refused CONNINFO              PQconnectdb and PQfinish
//   stopwatch query COUNT CONNINFO                           PQexec("select 1") on one connection
//   stopwatch threads COUNT CONNINFO                         COUNT threads that connect at once: one time, to the last
//   stopwatch mint COUNT REPEATS CORE HOST PORT USER         asks core.so for a token, as libpqmint.so does
//   stopwatch sign COUNT REPEATS HOST PORT USER              the signing alone (core/token.cc, compiled into this)
//   stopwatch blocks COUNT REPEATS BLOCKS                    SHA-256 of so many blocks, and nothing else
//   stopwatch idle [CONNINFO]                                connects, says "idle" and waits until stdin ends
//   stopwatch versions                                       of the libraries that it runs with
//
// What takes less than a clock can tell is done REPEATS times for each time that is printed, which is one's share.
// After the times of `connect` stands whether core.so is in the process then: "core.so mapped" or "core.so not mapped".
// Under callgrind with --collect-atstart=no all but the first of the COUNT are counted, and nothing else.
// Exit status 1 and a sentence on stderr when the thing itself goes wrong: what fails is not worth timing.

#include <dlfcn.h>
#include <fcntl.h>
#include <libpq-fe.h>
#define OPENSSL_SUPPRESS_DEPRECATED  // SHA256_Transform: the only way to the blocks alone
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barrier>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT
#endif

#include "core/token.h"
#include "pqmint/abi.h"

namespace {

struct Sample {
  int64_t wall, cpu;  // nanoseconds
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "stopwatch: %s\n", why.c_str());
  std::exit(1);
}

int64_t now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

int64_t nanoseconds(const timeval& time) {
  return (int64_t{time.tv_sec} * 1'000'000 + time.tv_usec) * 1'000;
}

/// Times `act` in this process, `count` times; `tidy` takes what it gave, and is not timed.
template <typename Act, typename Tidy>
std::vector<Sample> times(int count, Act act, Tidy tidy) {
  std::vector<Sample> samples(static_cast<size_t>(count));
  for (Sample& sample : samples) {
    if (&sample == samples.data() + 1) CALLGRIND_TOGGLE_COLLECT;
    const int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
    auto result = act();
    sample.wall = now(CLOCK_MONOTONIC) - wall;
    sample.cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    tidy(result);
  }
  if (count > 1) CALLGRIND_TOGGLE_COLLECT;
  return samples;
}

/// What leaves nothing to tidy, `repeats` times for each sample.
template <typename Act>
std::vector<Sample> shares(int count, int repeats, Act act) {
  const auto all = [&] {
    for (int i = 0; i < repeats; ++i) act();
    return 0;
  };
  std::vector<Sample> samples = times(count, all, [](int) {});
  for (Sample& sample : samples) sample = {sample.wall / repeats, sample.cpu / repeats};
  return samples;
}

/// Here the CPU time is the child's alone.
std::vector<Sample> spawn(int count, char** words) {
  std::vector<char*> environment;
  for (char** variable = environ; *variable; ++variable) environment.push_back(*variable);
  for (; *words && std::strchr(*words, '='); ++words) environment.push_back(*words);
  environment.push_back(nullptr);
  if (!*words) give_up("spawn needs a program");
  posix_spawn_file_actions_t quietly;
  posix_spawn_file_actions_init(&quietly);
  posix_spawn_file_actions_addopen(&quietly, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<Sample> samples(static_cast<size_t>(count));
  for (Sample& sample : samples) {
    pid_t child;
    int status;
    rusage used;
    const int64_t wall = now(CLOCK_MONOTONIC);
    if (posix_spawn(&child, *words, &quietly, nullptr, words, environment.data()) != 0 ||
        wait4(child, &status, 0, &used) != child) {
      give_up("cannot run " + std::string(*words));
    }
    sample.wall = now(CLOCK_MONOTONIC) - wall;
    sample.cpu = nanoseconds(used.ru_utime) + nanoseconds(used.ru_stime);
    if (status != 0) give_up(std::string(*words) + " failed");
  }
  posix_spawn_file_actions_destroy(&quietly);
  return samples;
}

std::vector<Sample> connect(int count, bool should_succeed, const char* conninfo) {
  // PQfinish belongs to what is timed, and takes the error text with it.
  const auto connect_and_finish = [&] {
    PGconn* conn = PQconnectdb(conninfo);
    const bool expected = (PQstatus(conn) == CONNECTION_OK) == should_succeed;
    if (!expected) give_up(should_succeed ? PQerrorMessage(conn) : "a connection that should be refused was not");
    PQfinish(conn);
    return 0;
  };
  return times(count, connect_and_finish, [](int) {});
}

PGconn* logged_in(const char* conninfo) {
  PGconn* conn = PQconnectdb(conninfo);
  if (PQstatus(conn) != CONNECTION_OK) give_up(PQerrorMessage(conn));
  return conn;
}

std::vector<Sample> query(int count, const char* conninfo) {
  PGconn* conn = logged_in(conninfo);
  const auto samples = times(
      count, [&] { return PQexec(conn, "select 1"); },
      [&](PGresult* result) {
        if (PQresultStatus(result) != PGRES_TUPLES_OK) give_up(PQerrorMessage(conn));
        PQclear(result);
      });
  PQfinish(conn);
  return samples;
}

std::vector<Sample> threads(int count, const char* conninfo) {
  std::vector<PGconn*> connections(static_cast<size_t>(count));
  std::vector<std::thread> running;
  std::barrier start(count + 1);
  for (PGconn*& conn : connections) {
    running.emplace_back([&] {
      start.arrive_and_wait();
      conn = logged_in(conninfo);
    });
  }
  const int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
  start.arrive_and_wait();
  for (std::thread& thread : running) thread.join();
  const Sample sample = {now(CLOCK_MONOTONIC) - wall, now(CLOCK_PROCESS_CPUTIME_ID) - cpu};
  for (PGconn* conn : connections) PQfinish(conn);
  return {sample};
}

std::vector<Sample> blocks(int count, int repeats, int number) {
  const std::vector<unsigned char> data(SHA256_CBLOCK * static_cast<size_t>(number), 'x');
  SHA256_CTX state;
  SHA256_Init(&state);
  return shares(count, repeats, [&] { SHA256_Update(&state, data.data(), data.size()); });
}

std::vector<Sample> sign(int count, int repeats, const char* host, const char* port, const char* user) {
  const pqmint::Credentials keys = {"AKIAIOSFODNN7EXAMPLE", pqmint::Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                                    pqmint::Secret()};
  const int64_t now = time(nullptr);
  return shares(count, repeats, [&] {
    if (pqmint::mint_rds_token(keys, host, std::atoi(port), user, "eu-west-1", now).reveal().empty())
      give_up("no token");
  });
}

void idle(const char* conninfo) {
  PGconn* conn = conninfo ? logged_in(conninfo) : nullptr;
  std::puts("idle");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  PQfinish(conn);
}

std::vector<Sample> mint(int count, int repeats, const char* path, const pqmint_host& host, const char* user) {
  void* object = dlopen(path, RTLD_NOW);
  void* symbol = object ? dlsym(object, "pqmint_core") : nullptr;
  if (!symbol) give_up(dlerror());
  const auto* core = reinterpret_cast<decltype(&pqmint_core)>(symbol)();
  if (core->abi != PQMINT_ABI_VERSION) give_up("core.so has another ABI: build both from the same sources");
  pqmint_request request = {};
  request.libpq_version = PQlibVersion();
  request.user = user;
  request.user_is_given = 1;
  request.dbname = "app";
  request.sslmode = "verify-full";
  request.sslrootcert = "/nowhere/root.crt";  // the user's choice is not looked at
  request.hosts = &host;
  request.host_count = 1;
  return shares(count, repeats, [&] {
    const pqmint_answer* answer = core->mint(&request);
    if (!answer) give_up("out of memory");
    if (answer->error || !answer->grants[0].token) give_up(answer->error ? answer->error : "there is no token");
    core->release(answer);
  });
}

void print(const std::vector<Sample>& samples) {
  for (const Sample& sample : samples) {
    std::printf("%lld %lld\n", static_cast<long long>(sample.wall), static_cast<long long>(sample.cpu));
  }
}

bool core_is_mapped() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with("/pqmint/core.so")) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string word = argc > 1 ? argv[1] : "";
  const int count = argc > 2 ? std::atoi(argv[2]) : 0;
  if (word == "versions" && argc == 2) {
    const int libpq = PQlibVersion();
    std::printf("libpq %d.%d, %s\n", libpq / 10000, libpq % 10000, OpenSSL_version(OPENSSL_VERSION));
  } else if (word == "spawn" && argc >= 4) {
    print(spawn(count, argv + 3));
  } else if (word == "connect" && argc == 5) {
    print(connect(count, std::strcmp(argv[3], "ok") == 0, argv[4]));
    std::puts(core_is_mapped() ? "core.so mapped" : "core.so not mapped");
  } else if (word == "query" && argc == 4) {
    print(query(count, argv[3]));
  } else if (word == "threads" && argc == 4) {
    print(threads(count, argv[3]));
  } else if (word == "blocks" && argc == 5) {
    print(blocks(count, std::atoi(argv[3]), std::atoi(argv[4])));
  } else if (word == "sign" && argc == 7) {
    print(sign(count, std::atoi(argv[3]), argv[4], argv[5], argv[6]));
  } else if (word == "idle" && argc <= 3) {
    idle(argc == 3 ? argv[2] : nullptr);
  } else if (word == "mint" && argc == 8) {
    const pqmint_host host = {argv[5], nullptr, argv[6], nullptr, 0, 1};
    print(mint(count, std::atoi(argv[3]), argv[4], host, argv[7]));
  } else {
    std::fputs("stopwatch: unknown words; they stand at the head of stopwatch.cc\n", stderr);
    return 2;
  }
  return 0;
}
