// SPDX-License-Identifier: PostgreSQL
// One process connects again and again while the world around it fails and comes back: keys that live for seconds, an
// STS that is down, busy or silent, a server that restarts, clocks that move. It never crashes or hangs, every failure
// is a sentence, after each fault all connects succeed again, and memory and descriptors do not grow.
//
// PQMINT_TEST_CONNECTS says how many connects; `make soak` takes 100,000. Without it: one small lap.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iomanip>
#include <memory>
#include <sstream>
#include <thread>

#include "../e2e/harness.h"
#include "fake_aws.h"

namespace pqmint::test {
namespace {

constexpr int kThreads = 8;
// More than the store keeps (64), so that identities are thrown out and fetched anew all the time.
constexpr int kRoles = 80;
// What a lap through the faults takes, in connects.
struct Lap {
  long calm, fault, after;
  long connects() const { return calm + 5 * (fault + after) + kThreads; }
};
constexpr Lap kSmall = {40, 16, 24}, kLarge = {500, 64, 200};
// Connects that end at a closed port: minted as all are, and cheap. First so many that every memory of ours is full
// (1,024 tokens, 64 identities, 8 keys), then so many that a leak of a few words by each is seen.
constexpr long kRefused = 1200;
// What a process may grow by after its first lap. In use: the texts that are kept differ in length. Resident: free
// memory between what is kept, in an arena for each thread.
constexpr long kMostHeapGrowth = 32 * 1024;     // bytes
constexpr long kMostResidentGrowth = 8 * 1024;  // KiB

/// An STS that can be told to fail. Its clock may be ahead of this machine's.
class Sts {
 public:
  enum class Mood { kWell, kBusy, kSilent };
  Sts() { start(0); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void be(Mood mood) { mood_ = mood; }
  void set_ahead(long seconds) { ahead_ = seconds; }
  void go_away() {
    asked_ += server_->count();
    server_.reset();
  }
  void come_back() { start(port_); }
  size_t asked() const { return asked_ + (server_ ? server_->count() : 0); }

 private:
  void start(int port) {
    server_ = std::make_unique<HttpServer>([this](const Heard&) { return answer(); }, "127.0.0.1", port);
    port_ = server_->port();
  }
  Reply answer() {
    if (mood_ == Mood::kSilent) return {200, "", {}, Reply::Manner::kSilent};
    if (mood_ == Mood::kBusy) return {503, "busy", {{"Content-Type", "text/plain"}}};
    Reply reply = assumed_role(ahead_ + 2 + static_cast<int>(turn_++ % 19));
    reply.headers["Date"] = http_date(ahead_);
    return reply;
  }

  std::unique_ptr<HttpServer> server_;
  int port_ = 0;
  size_t asked_ = 0;
  std::atomic<Mood> mood_ = Mood::kWell;
  std::atomic<long> ahead_ = 0;
  unsigned turn_ = 0;
};

struct Figures {
  long ok = 0, failed = 0, resident = 0, heap = 0, descriptors = 0;
  std::vector<std::string> failures;
};

class Soak : public ::testing::Test {
 protected:
  Soak() : fake_("accept", true) {
    server_.clock("real");
    environment_.set("AWS_ENDPOINT_URL_STS", sts_.url()).set("AWS_MAX_ATTEMPTS", "1").unset("PQMINT_LOG");
    std::vector<std::string> argv = {built("test/soak/worker"), std::to_string(kThreads)};
    for (int role = 0; role < kRoles; ++role) {
      const std::string spec =
          " connect_timeout=30 passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/App" + std::to_string(role);
      // Most go to a fake, for a real server costs a process for each; it judges the others.
      const bool judged = role % 8 == 0;
      std::string conninfo = server_.conninfo(kWriter, "iam_user");
      const std::string own = "port=" + std::to_string(server_.port());
      if (!judged) conninfo.replace(conninfo.find(own), own.size(), "port=" + std::to_string(fake_.port()));
      argv.push_back(conninfo + spec);
    }
    worker_ = std::make_unique<Process>(argv, environment_);
  }
  ~Soak() override { server_.clock("real"); }

  void begin(long count, const std::string& more = "") { worker_->write_line("round " + std::to_string(count) + more); }
  Figures end(const char* what) {
    std::istringstream line(worker_->read_line(300));
    Figures out;
    line >> out.ok >> out.failed >> out.resident >> out.heap >> out.descriptors;
    std::string text;
    std::getline(line, text, '\t');
    while (std::getline(line, text, '\t')) out.failures.push_back(text);
    for (const std::string& failure : out.failures) {
      const bool told = failure.find(" x pqmint: ") != std::string::npos ||
                        failure.find(" x connection to server at ") != std::string::npos;
      EXPECT_TRUE(told) << what << ": " << failure;
      EXPECT_EQ(failure.find("X-Amz-"), std::string::npos) << failure;
    }
    connects_ += out.ok + out.failed;
    failed_ += out.failed;
    return out;
  }
  Figures round(const char* what, long count, const std::string& more = "") {
    begin(count, more);
    return end(what);
  }

  /// The world is well again, and the old keys are dead: nothing may fail.
  Figures recover(const char* from) {
    const Figures figures = round(from, lap_.after);
    EXPECT_TRUE(figures.failures.empty()) << "after " << from << ": " << ::testing::PrintToString(figures.failures);
    return figures;
  }

  void be_calm(long count) {
    const Figures figures = round("nothing", count);
    EXPECT_TRUE(figures.failures.empty()) << ::testing::PrintToString(figures.failures);
  }

  Figures be_refused() {
    const Figures figures = round("a closed port", kRefused, " port=" + std::to_string(closed_port_));
    EXPECT_EQ(figures.ok, 0) << "nobody listens there";
    refused_ += figures.failed;
    return figures;
  }

  Figures lap() {
    be_calm(lap_.calm);

    sts_.be(Sts::Mood::kBusy);
    round("a busy STS", lap_.fault);
    sts_.be(Sts::Mood::kWell);
    recover("a busy STS");

    sts_.go_away();
    round("no STS", lap_.fault);
    sts_.come_back();
    recover("no STS");

    sts_.be(Sts::Mood::kSilent);
    round("a silent STS", kThreads, " connect_timeout=2");
    sts_.be(Sts::Mood::kWell);
    recover("a silent STS");

    begin(lap_.fault);
    server_.restart(Environment());
    end("a server that restarts");
    recover("a server that restarts");

    // The servers jump ahead, and STS says so; then back.
    sts_.set_ahead(3600);
    server_.clock("+3600");
    round("a clock that moves", lap_.fault);
    sts_.set_ahead(0);
    server_.clock("real");
    round("a clock that moves back", lap_.fault);
    return recover("a clock that moves");
  }

  void show(const char* when, const Figures& figures) const {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began_);
    std::printf("%6ld s  %8ld connects  %6ld failed  %6zu asked of STS  %7ld KiB resident  %8ld B heap  %3ld fds  %s\n",
                static_cast<long>(seconds.count()), connects_, failed_ - refused_, sts_.asked(), figures.resident,
                figures.heap, figures.descriptors, when);
    std::fflush(stdout);
  }

  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  Server& server_ = Server::get();
  Sts sts_;
  FakePostgres fake_;
  const int closed_port_ = closed_port();
  Environment environment_ = Environment().preload().keys();
  std::unique_ptr<Process> worker_;
  Lap lap_ = kSmall;
  long connects_ = 0, failed_ = 0, refused_ = 0;
};

TEST_F(Soak, NothingGrowsAndAllRecovers) {
  const char* wish = std::getenv("PQMINT_TEST_CONNECTS");
  const long wanted = wish ? std::atol(wish) : 0;
  if (wanted > 0) lap_ = kLarge;
  be_refused();
  lap();
  const Figures first = be_refused();
  show("after the first lap", first);
  // A lap costs more waiting than connects: a long soak has a few.
  const long calm = std::max(wanted / 8 - lap_.connects(), 0L);
  Figures last;
  do {
    if (calm > 0) be_calm(calm);
    wanted > 0 ? lap() : recover("the first lap");
    last = be_refused();
    show("", last);
    EXPECT_EQ(last.descriptors, first.descriptors);
  } while (connects_ < wanted && !HasFailure());
  EXPECT_LE(last.heap - first.heap, kMostHeapGrowth);
  EXPECT_LE(last.resident - first.resident, kMostResidentGrowth);
  EXPECT_GT(failed_, refused_) << "no fault was felt";
  EXPECT_EQ(worker_->finish(), 0);
}

}  // namespace
}  // namespace pqmint::test
