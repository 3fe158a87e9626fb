// SPDX-License-Identifier: PostgreSQL
// A program that lives long and connects from several threads: a soak's victim. It knows nothing of pqmint.
//
// In: "round COUNT MORE", a line; MORE, which may be missing, goes at the end of each conninfo. Out, a line of words
// parted by tabs: how many connects succeeded and failed, then KiB of resident memory, bytes of heap in use and open
// descriptors once all is finished, then each failure that was heard.
//
//   worker THREADS CONNINFO...       (each connect takes one of them)
#include <libpq-fe.h>
#include <malloc.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../descriptors.h"

namespace {

// More texts than a fault can have are one that holds a number; the first ones tell which.
constexpr size_t kMostTexts = 12;

class Round {
 public:
  Round(const std::vector<std::string>& conninfos, std::string more, long count, unsigned seed)
      : conninfos_(conninfos), more_(std::move(more)), left_(count), seed_(seed) {}

  void run(int threads) {
    std::vector<std::thread> running;
    for (int i = 0; i < threads; ++i) {
      running.emplace_back([this, i] {
        std::minstd_rand random(seed_ + static_cast<unsigned>(i));
        while (left_-- > 0) live(random);
      });
    }
    for (std::thread& thread : running) thread.join();
  }

  std::string report() const {
    std::string out = std::to_string(ok_) + "\t" + std::to_string(failed_);
    const auto heap = mallinfo2();
    out += "\t" + resident() + "\t" + std::to_string(heap.uordblks + heap.hblkhd) + "\t" +
           std::to_string(pqmint::test::open_descriptors());
    for (const auto& [text, count] : texts_) out += "\t" + std::to_string(count) + " x " + text;
    return out;
  }

 private:
  // One connection from its begin to its end; which turns it takes is chance.
  void live(std::minstd_rand& random) {
    const auto one_in = [&](unsigned n) { return random() % n == 0; };
    const std::string conninfo = conninfos_[random() % conninfos_.size()] + more_;
    const bool blocking = one_in(2);
    PGconn* conn = blocking ? PQconnectdb(conninfo.c_str()) : PQconnectStart(conninfo.c_str());
    if (!blocking && one_in(16)) return PQfinish(conn);  // a program that thinks better of it, half way
    if (!blocking) drive(conn, PQconnectPoll);
    bool good = note(conn);
    if (good && one_in(8)) {
      PQreset(conn);
      good = note(conn);
    }
    if (good && one_in(16)) {
      if (PQresetStart(conn)) drive(conn, PQresetPoll);
      good = note(conn);
    }
    if (good && one_in(4)) PQclear(PQexec(conn, "select 1"));
    PQfinish(conn);
  }

  template <typename Poll>
  static void drive(PGconn* conn, Poll poll_once) {
    if (!conn || PQstatus(conn) == CONNECTION_BAD) return;
    for (PostgresPollingStatusType status = PGRES_POLLING_WRITING;
         status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING; status = poll_once(conn)) {
      pollfd socket = {PQsocket(conn), static_cast<short>(status == PGRES_POLLING_READING ? POLLIN : POLLOUT), 0};
      poll(&socket, 1, 10000);
    }
  }

  bool note(PGconn* conn) {
    if (conn && PQstatus(conn) == CONNECTION_OK) return ++ok_, true;
    std::string text = conn ? PQerrorMessage(conn) : "NULL";
    while (!text.empty() && text.back() == '\n') text.pop_back();
    std::replace(text.begin(), text.end(), '\n', '|');
    std::replace(text.begin(), text.end(), '\t', ' ');
    ++failed_;
    const std::lock_guard lock(mutex_);
    if (texts_.count(text) || texts_.size() < kMostTexts) ++texts_[text];
    return false;
  }

  static std::string resident() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("VmRSS:", 0) == 0) return std::to_string(std::stol(line.substr(6)));
    }
    return "0";
  }

  const std::vector<std::string>& conninfos_;
  const std::string more_;
  std::atomic<long> left_;
  const unsigned seed_;
  std::atomic<long> ok_ = 0, failed_ = 0;
  std::mutex mutex_;
  std::map<std::string, long> texts_;
};

}  // namespace

int main(int argc, char** argv) {
  const int threads = std::stoi(argv[1]);
  const std::vector<std::string> conninfos(argv + 2, argv + argc);
  unsigned seed = 1;
  std::string word, more;
  for (long count; std::cin >> word >> count && std::getline(std::cin, more);) {
    Round round(conninfos, more, count, seed);
    seed += 1000;
    round.run(threads);
    std::cout << round.report() << std::endl;
  }
}
