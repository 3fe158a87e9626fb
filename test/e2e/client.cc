// SPDX-License-Identifier: PostgreSQL
// A program that knows nothing of pqmint and does with libpq what it is told, a line at a time: a test's hands.
//
// In: words parted by tabs. Out: one line for each, newlines shown as "|". It is linked to libpq as any program is.
//
//   connectdb C | connectStart C | connectdbParams K V ... | connectdbParams0 K V ... | connectStartParams K V ...
//   setdbLogin HOST PORT OPTIONS DBNAME USER PASSWORD      (connect and poll; "-" is a null pointer)
//   query SQL | reset | resetStart | conninfo KEYWORD | conninfoAll | pass | host | address | status | ping C | finish
//   cancel C MS                                            (connects in a thread, which is cancelled after so long)
//   reconnect                                              (what psql's \c does: PQconninfo into PQconnectdbParams)
//   abandon C                                              (leaves PQconnectdb by an alarm and a long jump)
//   deep C                                                 (connectdb, from far down the stack)
//   watch | watched                                        (what PQconninfo says in event procedures of the connection)
//   again HOW C PLAIN                                      (a connection at another one's address; see again())
//   onSignal C | onSignalSaid                              (connects by C in a handler of SIGUSR1)
//   leave HOW C                                            (ends by HOW, whose exit handlers connect; see leave())
//   starve STEP MOST C                                     (with ever more room for memory; see starved())
//   repeat N C                                             (N times connects and finishes: by how much the heap grew)
//   send SQL                                               (asks, and reads nothing of the answer)
//   resetBeside N C D                                      (connects by C, resets N times; others connect by D)
//   threads N C SQL | fork C | needsPassword | fds | version | setenv NAME VALUE | terminate
#include <dlfcn.h>
#include <libpq-events.h>
#include <libpq-fe.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../descriptors.h"

namespace {

PGconn* g_conn = nullptr;

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', '|');
  return text;
}

std::string outcome(PGconn* conn) {
  if (!conn) return "NULL";
  if (PQstatus(conn) == CONNECTION_OK) return "OK";
  return "BAD " + one_line(PQerrorMessage(conn));
}

const char* nullable(const std::string& word) {
  return word == "-" ? nullptr : word.c_str();
}

template <typename Poll>
void drive(PGconn* conn, Poll poll_once) {
  if (!conn || PQstatus(conn) == CONNECTION_BAD) return;
  for (PostgresPollingStatusType status = PGRES_POLLING_WRITING;
       status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING; status = poll_once(conn)) {
    pollfd socket = {PQsocket(conn), static_cast<short>(status == PGRES_POLLING_READING ? POLLIN : POLLOUT), 0};
    poll(&socket, 1, 10000);
  }
}

std::string value_of(PGconn* conn, const std::string& sql) {
  PGresult* result = PQexec(conn, sql.c_str());
  std::string out = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0 ? PQgetvalue(result, 0, 0)
                    : PQresultStatus(result) == PGRES_COMMAND_OK                       ? "done"
                                                                 : "ERROR " + one_line(PQerrorMessage(conn));
  PQclear(result);
  return out;
}

std::string connect(PGconn* conn) {
  if (g_conn) PQfinish(g_conn);
  g_conn = conn;
  return outcome(conn);
}

struct Pairs {
  std::vector<const char*> keywords, values;
  explicit Pairs(const std::vector<std::string>& words) {
    for (size_t i = 1; i + 1 < words.size(); i += 2) {
      keywords.push_back(words[i].c_str());
      values.push_back(nullable(words[i + 1]));
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
  }
};

std::string conninfo(const std::string& keyword) {
  PQconninfoOption* options = PQconninfo(g_conn);
  std::string out;
  for (PQconninfoOption* o = options; o && o->keyword; ++o) {
    if (keyword.empty()) {
      if (o->val) out += std::string(o->keyword) + "=" + o->val + " ";
    } else if (keyword == o->keyword) {
      out = o->val ? o->val : "(null)";
    }
  }
  PQconninfoFree(options);
  return out;
}

// As psql does for \c: every setting of the old connection, as an array, not expanded.
std::string reconnect() {
  PQconninfoOption* options = PQconninfo(g_conn);
  std::vector<const char*> keywords, values;
  for (PQconninfoOption* o = options; o && o->keyword; ++o) {
    keywords.push_back(o->keyword);
    values.push_back(o->val);
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  PGconn* fresh = PQconnectdbParams(keywords.data(), values.data(), 0);
  PQconninfoFree(options);
  return connect(fresh);
}

std::string threads(int count, const std::string& conninfo, const std::string& sql) {
  std::vector<std::string> answers(static_cast<size_t>(count));
  std::vector<std::thread> running;
  for (std::string& answer : answers) {
    running.emplace_back([&answer, &conninfo, &sql] {
      PGconn* conn = PQconnectdb(conninfo.c_str());
      answer = PQstatus(conn) == CONNECTION_OK ? value_of(conn, sql) : outcome(conn);
      PQfinish(conn);
    });
  }
  for (std::thread& thread : running) thread.join();
  std::sort(answers.begin(), answers.end());
  answers.erase(std::unique(answers.begin(), answers.end()), answers.end());
  std::string out;
  for (const std::string& answer : answers) out += (out.empty() ? "" : " / ") + answer;
  return out;
}

// Cancels a thread while it connects, as old programs with threads end their workers.
std::string cancelled(const std::string& conninfo, int milliseconds) {
  std::string copy = conninfo;
  pthread_t thread;
  const auto connect = [](void* text) -> void* {
    PQfinish(PQconnectdb(static_cast<std::string*>(text)->c_str()));
    pthread_testcancel();
    return nullptr;
  };
  if (pthread_create(&thread, nullptr, connect, &copy) != 0) return "no thread";
  poll(nullptr, 0, milliseconds);
  pthread_cancel(thread);
  void* result = nullptr;
  pthread_join(thread, &result);
  return result == PTHREAD_CANCELED ? "cancelled" : "finished";
}

// The answer of `sql` must be long: it is waited for until much of it has come.
std::string send_only(const std::string& sql) {
  if (!PQsendQuery(g_conn, sql.c_str())) return outcome(g_conn);
  constexpr int kMuch = 50'000;  // some times what libpq reads at once
  for (int unread = 0, tries = 0; unread < kMuch && tries < 1000; ++tries) {
    usleep(10'000);
    ioctl(PQsocket(g_conn), FIONREAD, &unread);
  }
  return "done";
}

std::string reset_beside(int count, const std::string& conninfo, const std::string& others) {
  std::atomic<bool> is_over = false;
  std::vector<std::thread> beside;
  for (int i = 0; i < 2; ++i) {
    beside.emplace_back([&] {
      do PQfinish(PQconnectdb(others.c_str()));
      while (!is_over);
    });
  }
  PGconn* conn = PQconnectdb(conninfo.c_str());
  for (int i = 0; i < count; ++i) PQreset(conn);
  is_over = true;
  for (std::thread& thread : beside) thread.join();
  return connect(conn);
}

sigjmp_buf g_way_out;

// Leaves PQconnectdb by an alarm and a long jump, as programs do that bound it so.
std::string abandoned(const std::string& conninfo) {
  signal(SIGALRM, [](int) { siglongjmp(g_way_out, 1); });
  if (sigsetjmp(g_way_out, 1) != 0) return "abandoned";
  itimerval soon = {{0, 0}, {0, 300'000}};
  setitimer(ITIMER_REAL, &soon, nullptr);
  return outcome(PQconnectdb(conninfo.c_str()));
}

[[gnu::noinline]] std::string deep(const std::string& conninfo) {
  char unused[16384];
  asm volatile("" : : "r"(unused) : "memory");
  return connect(PQconnectdb(conninfo.c_str()));
}

std::string conninfo_of(PGconn* conn) {
  PGconn* const before = std::exchange(g_conn, conn);
  const std::string all = conninfo("");
  g_conn = before;
  return all;
}

std::string g_watched;

std::string watch() {
  const auto note = [](PGEventId event, void* info, void*) {
    if (event == PGEVT_CONNRESET) g_watched += "reset: " + conninfo_of(static_cast<PGEventConnReset*>(info)->conn);
    if (event == PGEVT_CONNDESTROY) g_watched += "end: " + conninfo_of(static_cast<PGEventConnDestroy*>(info)->conn);
    return 1;
  };
  return PQregisterEventProc(g_conn, note, "watch", nullptr) ? "done" : "ERROR no event procedure";
}

std::vector<PGconn*> g_to_finish;

// Connects some times and finishes: HOW is "event", in an event procedure of another connection, or "unseen", by
// libpq's own function. Then connects by `plain` until a PGconn stands where one of those stood.
std::string again(const std::string& how, const std::string& conninfo, const std::string& plain) {
  PGconn* other = PQconnectdb(conninfo.c_str());
  for (int i = 0; i < 8; ++i) g_to_finish.push_back(PQconnectdb(conninfo.c_str()));
  if (how == "event") {
    const auto finish_them = [](PGEventId event, void*, void*) {
      if (event == PGEVT_CONNDESTROY) std::for_each(g_to_finish.begin(), g_to_finish.end(), PQfinish);
      return 1;
    };
    PQregisterEventProc(other, finish_them, "finish", nullptr);
  } else {
    void* libpq = dlopen("libpq.so.5", RTLD_LAZY | RTLD_NOLOAD);
    const auto finish = reinterpret_cast<decltype(&PQfinish)>(dlsym(libpq, "PQfinish"));
    std::for_each(g_to_finish.begin(), g_to_finish.end(), finish);
  }
  PQfinish(other);
  std::vector<PGconn*> others;
  for (int i = 0; i < 100; ++i) {
    PGconn* conn = PQconnectStart(plain.c_str());
    if (std::find(g_to_finish.begin(), g_to_finish.end(), conn) != g_to_finish.end()) {
      std::for_each(others.begin(), others.end(), PQfinish);
      drive(conn, PQconnectPoll);
      return connect(conn);
    }
    others.push_back(conn);
  }
  return "elsewhere";
}

// Parent and child each connect, at the same time.
std::string forked(const std::string& conninfo) {
  int ends[2];
  if (pipe(ends) != 0) return "ERROR pipe";
  const pid_t child = fork();
  PGconn* conn = PQconnectdb(conninfo.c_str());
  const std::string answer = outcome(conn);
  if (child == 0) {
    if (write(ends[1], answer.data(), answer.size()) < 0) _exit(1);
    _exit(0);
  }
  PQfinish(conn);
  close(ends[1]);
  std::string from_child;
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) from_child.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return answer + " / " + from_child;
}

/// What `work` writes to a descriptor in a forked child, and "died" if the child did.
template <typename Work>
std::string in_child(Work work) {
  int ends[2];
  if (pipe(ends) != 0) return "ERROR pipe";
  const pid_t child = fork();
  if (child == 0) {
    work(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  std::string said;
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return status == 0 ? said : "died with status " + std::to_string(status) + " after: " + said;
}

std::string g_by_handler, g_handler_said;

std::string on_signal(const std::string& conninfo) {
  g_by_handler = conninfo;
  signal(SIGUSR1, [](int) {
    PGconn* conn = PQconnectdb(g_by_handler.c_str());
    g_handler_said = outcome(conn);
    PQfinish(conn);
  });
  return "done";
}

std::string g_at_exit;

void connect_at_exit() {
  PGconn* conn = PQconnectdb(g_at_exit.c_str());
  std::cout << outcome(conn) << std::endl;
  PQfinish(conn);
}

// Threads connect and end; then the process ends with a connection open, by "exit", "quick_exit", "_exit", or by
// "pthread_exit" of its first thread. All but _exit connect once more on their way out.
std::string leave(const std::string& how, const std::string& conninfo) {
  std::vector<std::thread> running;
  for (int i = 0; i < 4; ++i) running.emplace_back([&] { PQfinish(PQconnectdb(conninfo.c_str())); });
  for (std::thread& thread : running) thread.join();
  connect(PQconnectdb(conninfo.c_str()));
  g_at_exit = conninfo;
  // After OpenSSL's own handler, and so before it in the order of the end.
  std::atexit(connect_at_exit);
  std::at_quick_exit(connect_at_exit);
  if (how == "exit") std::exit(0);
  if (how == "quick_exit") std::quick_exit(0);
  if (how == "pthread_exit") pthread_exit(nullptr);
  _exit(0);
}

// Connects in a child that may have a little more memory than now, in a second one with `step` bytes more, and so on
// up to `most`: what they said, stderr included, each text once.
std::string starved(size_t step, size_t most, const std::string& conninfo) {
  std::vector<std::string> answers;
  for (size_t room = 0; room <= most; room += step) {
    const std::string said = in_child([&](int out) {
      static char words[4096];
      dup2(out, STDERR_FILENO);  // nobody shall say anything there
      size_t pages = 0;
      std::ifstream("/proc/self/statm") >> pages;
      const rlimit limit = {pages * 4096 + room, RLIM_INFINITY};
      setrlimit(RLIMIT_AS, &limit);
      PGconn* conn = PQconnectdb(conninfo.c_str());
      const int size = snprintf(words, sizeof words, "%s",
                                !conn                             ? "NULL"
                                : PQstatus(conn) == CONNECTION_OK ? "OK"
                                                                  : PQerrorMessage(conn));
      PQfinish(conn);
      if (write(out, words, std::min(sizeof words - 1, static_cast<size_t>(size))) < 0) _exit(1);
    });
    if (answers.empty() || answers.back() != said) answers.push_back(said);
  }
  std::string out;
  for (const std::string& answer : answers) out += (out.empty() ? "" : " / ") + one_line(answer);
  return out;
}

std::string repeated(int count, const std::string& conninfo) {
  const auto before = mallinfo2();
  for (int i = 0; i < count; ++i) PQfinish(PQconnectdb(conninfo.c_str()));
  const auto after = mallinfo2();
  return std::to_string(static_cast<long>(after.uordblks + after.hblkhd) -
                        static_cast<long>(before.uordblks + before.hblkhd));
}

std::string obey(const std::vector<std::string>& words) {
  const std::string& word = words[0];
  const auto arg = [&](size_t i) { return i < words.size() ? words[i] : std::string(); };
  if (word == "connectdb") return connect(PQconnectdb(arg(1).c_str()));
  if (word == "connectStart") {
    PGconn* conn = PQconnectStart(arg(1).c_str());
    drive(conn, PQconnectPoll);
    return connect(conn);
  }
  if (word == "connectdbParams" || word == "connectdbParams0") {
    const Pairs pairs(words);
    return connect(PQconnectdbParams(pairs.keywords.data(), pairs.values.data(), word == "connectdbParams"));
  }
  if (word == "connectStartParams") {
    const Pairs pairs(words);
    PGconn* conn = PQconnectStartParams(pairs.keywords.data(), pairs.values.data(), 1);
    drive(conn, PQconnectPoll);
    return connect(conn);
  }
  if (word == "setdbLogin") {
    return connect(PQsetdbLogin(nullable(words[1]), nullable(words[2]), nullable(words[3]), nullptr, nullable(words[4]),
                                nullable(words[5]), nullable(words[6])));
  }
  if (word == "ping") return std::to_string(PQping(arg(1).c_str()));
  if (word == "pingParams") {
    const Pairs pairs(words);
    return std::to_string(PQpingParams(pairs.keywords.data(), pairs.values.data(), 1));
  }
  if (word == "query") return value_of(g_conn, arg(1));
  if (word == "reset") return PQreset(g_conn), outcome(g_conn);
  if (word == "resetStart") {
    if (PQresetStart(g_conn)) drive(g_conn, PQresetPoll);
    return outcome(g_conn);
  }
  if (word == "reconnect") return reconnect();
  if (word == "conninfo") return conninfo(arg(1));
  if (word == "conninfoAll") return conninfo("");
  if (word == "pass") return PQpass(g_conn);
  if (word == "host") return PQhost(g_conn);
  if (word == "address") return PQhostaddr(g_conn);
  if (word == "status") return outcome(g_conn);
  if (word == "message") return one_line(PQerrorMessage(g_conn));
  if (word == "needsPassword") return std::to_string(PQconnectionNeedsPassword(g_conn));
  if (word == "threads") return threads(std::stoi(arg(1)), arg(2), arg(3));
  if (word == "resetBeside") return reset_beside(std::stoi(arg(1)), arg(2), arg(3));
  if (word == "send") return send_only(arg(1));
  if (word == "fork") return forked(arg(1));
  if (word == "onSignal") return on_signal(arg(1));
  if (word == "onSignalSaid") return g_handler_said;
  if (word == "leave") return leave(arg(1), arg(2));
  if (word == "starve") return starved(std::stoul(arg(1)), std::stoul(arg(2)), arg(3));
  if (word == "repeat") return repeated(std::stoi(arg(1)), arg(2));
  if (word == "cancel") return cancelled(arg(1), std::stoi(arg(2)));
  if (word == "abandon") return abandoned(arg(1));
  if (word == "deep") return deep(arg(1));
  if (word == "watch") return watch();
  if (word == "watched") return std::exchange(g_watched, "");
  if (word == "again") return again(arg(1), arg(2), arg(3));
  if (word == "fds") return std::to_string(pqmint::test::open_descriptors());
  if (word == "version") return std::to_string(PQlibVersion());
  if (word == "setenv") return setenv(arg(1).c_str(), arg(2).c_str(), 1), "done";
  if (word == "unsetenv") return unsetenv(arg(1).c_str()), "done";
  if (word == "finish") return PQfinish(g_conn), g_conn = nullptr, "done";
  return "ERROR unknown word " + word;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<std::string> words;
    std::istringstream parts(line);
    for (std::string word; std::getline(parts, word, '\t');) words.push_back(word);
    if (words.empty()) continue;
    std::cout << obey(words) << std::endl;
  }
  if (g_conn) PQfinish(g_conn);
}
