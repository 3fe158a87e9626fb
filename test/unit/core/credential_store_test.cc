// SPDX-License-Identifier: PostgreSQL
// What was fetched is kept: single flight, refresh windows, failures, forks. The source is a real credential_process
// that leaves a mark at each run; net.so lies beside this program as it lies beside core.so.

#include "core/credential_store.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "../support.h"
#include "core/clock.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::contains;

class CredentialStore : public test::CleanEnvironment {
 protected:
  /// A program that prints keys which live for `life` seconds (0: for ever), after a pause.
  CredentialPlan process(int life, double pause = 0, const std::string& name = "keys") {
    const std::string expiration =
        life == 0 ? "" : ",\"Expiration\":\"'$(date -u -d '" + std::to_string(life) + " seconds' +%FT%TZ)'\"";
    const std::string script =
        write(name, "#!/bin/sh\nsleep " + std::to_string(pause) + "\necho run >>" + home + "/" + name + ".runs\n[ -e " +
                        home + "/broken ] && exit 3\nprintf %s '{\"Version\":1,\"AccessKeyId\":\"AKIA" + name +
                        "\",\"SecretAccessKey\":\"s\"" + expiration + "}'\n");
    chmod(script.c_str(), 0700);
    CredentialPlan plan;
    plan.source = "process";
    plan.name = "p";
    plan.set("command", script);
    return plan;
  }
  long runs(const std::string& name = "keys") const {
    std::ifstream file(home + "/" + name + ".runs");
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  }
  static Patience patience(int seconds = 20) { return {Deadline::in(std::chrono::seconds(seconds))}; }

  static void forget(const CredentialPlan& plan) {
    const auto kept = stored_credentials(plan, patience());
    if (kept) forget_credentials(plan, (*kept)->at);
  }

  static std::string get(const CredentialPlan& plan, int seconds = 20) {
    const auto found = stored_credentials(plan, patience(seconds));
    return found ? (*found)->keys.access_key_id : found.error().text;
  }
};

TEST_F(CredentialStore, FetchesOnceWhileTheKeysLive) {
  const CredentialPlan plan = process(3600);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(get(plan), "AKIAkeys");
  EXPECT_EQ(runs(), 1);
  // Another setting is another identity.
  CredentialPlan other = process(3600);
  other.set("profile", "q");
  EXPECT_EQ(get(other), "AKIAkeys");
  EXPECT_EQ(runs(), 2);
  forget(plan);
  EXPECT_EQ(get(plan), "AKIAkeys");
  EXPECT_EQ(runs(), 3);
}

TEST_F(CredentialStore, OfTooManyTheOneThatIsUsedStays) {
  const CredentialPlan used = process(0, 0, "used");
  CredentialPlan passing = process(0, 0, "passing");
  const auto visit = [&](int which) {
    passing.set("profile", std::to_string(which));
    get(passing);
  };
  get(used);
  constexpr int kVisitors = 80;  // more than are kept
  for (int i = 0; i < kVisitors; ++i) {
    visit(i);
    get(used);
  }
  EXPECT_EQ(runs("used"), 1);
  EXPECT_EQ(runs("passing"), kVisitors);
  visit(0);
  EXPECT_EQ(runs("passing"), kVisitors + 1) << "nobody had asked for it, and others came";
}

TEST_F(CredentialStore, KeysWithoutExpiryAreKeptForEver) {
  const CredentialPlan plan = process(0);
  get(plan);
  learn_skew(10 * 365 * 86400);
  EXPECT_EQ(get(plan), "AKIAkeys");
  learn_skew(0);
  EXPECT_EQ(runs(), 1);
}

TEST_F(CredentialStore, OneThreadFetchesForAll) {
  const CredentialPlan plan = process(3600, 0.3);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 32; ++i) {
    threads.emplace_back([&] { good += get(plan) == "AKIAkeys"; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 32);
  EXPECT_EQ(runs(), 1);
}

TEST_F(CredentialStore, WaitersShareTheFailure) {
  const CredentialPlan plan = process(3600, 0.3);
  write("broken", "");
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] { failed += contains(get(plan), "3"); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 16);
  EXPECT_EQ(runs(), 1);
  // Who comes later asks anew: the fault may be mended.
  std::filesystem::remove(home + "/broken");
  EXPECT_EQ(get(plan), "AKIAkeys");
}

TEST_F(CredentialStore, AWaiterGivesUpInTime) {
  const CredentialPlan plan = process(3600, 1.5);
  std::thread slow([&] { EXPECT_EQ(get(plan), "AKIAkeys"); });
  std::this_thread::sleep_for(milliseconds(300));
  const auto before = std::chrono::steady_clock::now();
  const auto found = stored_credentials(plan, {Deadline::in(milliseconds(200))});
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(1000));
  ASSERT_FALSE(found);
  EXPECT_TRUE(contains(found.error().text, "connect_timeout")) << found.error().text;
  slow.join();
}

TEST_F(CredentialStore, AFailureForWantOfTimeIsNotThatOfWhoHasMore) {
  const CredentialPlan plan = process(3600, 0.4);
  std::thread impatient([&] { static_cast<void>(stored_credentials(plan, {Deadline::in(milliseconds(300))})); });
  std::this_thread::sleep_for(milliseconds(100));  // the other's fetch is under way
  EXPECT_EQ(get(plan), "AKIAkeys");
  impatient.join();
}

TEST_F(CredentialStore, WhoCannotWaitForARenewalUsesWhatLives) {
  get(process(3600));
  const CredentialPlan plan = process(3600, 0.5);  // from now on
  learn_skew(3600 - 2 * 60);                       // in the last minutes all wait
  std::thread renewing([&] { get(plan); });
  std::this_thread::sleep_for(milliseconds(200));
  const auto found = stored_credentials(plan, {Deadline::in(milliseconds(100))});
  EXPECT_TRUE(found) << found.error().text;
  renewing.join();
  learn_skew(0);
}

TEST_F(CredentialStore, WithoutADigestNobodyGetsWhatIsAnothers) {
  const CredentialPlan one = process(3600, 0, "one");
  const CredentialPlan other = process(3600, 0, "other");
  EXPECT_EQ(get(one), "AKIAone");
  ASSERT_EQ(EVP_set_default_properties(nullptr, "fips=yes"), 1);  // as OPENSSL_CONF may have it; nothing provides that
  for (const CredentialPlan& plan : {std::cref(one), std::cref(other)}) {
    EXPECT_TRUE(contains(get(plan), "OPENSSL_CONF")) << get(plan);
  }
  forget_credentials(other, std::chrono::steady_clock::now());
  ASSERT_EQ(EVP_set_default_properties(nullptr, ""), 1);
  EXPECT_EQ(get(one), "AKIAone");
  EXPECT_EQ(runs("one"), 1);
}

TEST_F(CredentialStore, RenewsInTheAdvisoryWindowAndKeepsWhatLives) {
  const CredentialPlan plan = process(3600);
  get(plan);
  learn_skew(3600 - 10 * 60);  // ten minutes are left
  EXPECT_EQ(get(plan), "AKIAkeys");
  EXPECT_EQ(runs(), 2) << "renewed in the advisory window";
  // The clock moved, not the program's: its new keys have ten minutes too, and are not renewed at each connection.
  EXPECT_EQ(get(plan), "AKIAkeys");
  EXPECT_EQ(runs(), 2);
  write("broken", "");
  learn_skew(3600 - 8 * 60);
  EXPECT_EQ(get(plan), "AKIAkeys") << "what still lives is used";
  EXPECT_EQ(runs(), 3);
  EXPECT_EQ(get(plan), "AKIAkeys");
  EXPECT_EQ(runs(), 3) << "a renewal that failed is not tried again at once";
  learn_skew(3600 + 60);
  EXPECT_TRUE(contains(get(plan), "3")) << "dead keys are never used";
  learn_skew(0);
}

TEST_F(CredentialStore, OthersGoOnWhileOneRenews) {
  const CredentialPlan plan = process(3600, 1.0);
  get(plan);
  learn_skew(3600 - 10 * 60);
  std::thread renewing([&] { get(plan); });
  std::this_thread::sleep_for(milliseconds(300));
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(get(plan), "AKIAkeys");
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(400));
  renewing.join();
  EXPECT_EQ(runs(), 2);
  learn_skew(0);
}

TEST_F(CredentialStore, WhatAServerRefusedIsForgottenDuringARenewalToo) {
  const auto refused = stored_credentials(process(3600), patience());
  ASSERT_TRUE(refused);
  const CredentialPlan plan = process(3600, 0.5);  // from now on
  write("broken", "");
  learn_skew(3600 - 10 * 60);
  std::thread renewing([&] { get(plan); });
  std::this_thread::sleep_for(milliseconds(200));
  const auto after_refusal = [&] {
    forget_credentials(plan, (*refused)->at);
    return get(plan);
  };
  // In the child nobody is renewing, though the parent was.
  const pid_t child = test::kForks == 0 ? -1 : fork();
  if (child == 0) _exit(contains(after_refusal(), "exit status 3") ? 0 : 1);
  EXPECT_TRUE(contains(after_refusal(), "exit status 3")) << "no keys are better than refused ones";
  int status = 0;
  if (child > 0) waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  renewing.join();
  learn_skew(0);
}

// --- a tool that may be absent

class Tool : public CredentialStore {
 protected:
  Tool() { set("PATH", home + ":/usr/bin:/bin"); }
  ~Tool() override {
    set("PATH", path_);
    learn_skew(0);
  }
  /// az, whose token lives for `life` seconds; with a file "broken" nobody is logged in.
  CredentialPlan az(int life, double pause = 0) const {
    const std::string script =
        write("az", "#!/bin/sh\nsleep " + std::to_string(pause) + "\necho run >>" + home + "/keys.runs\n[ -e " + home +
                        "/broken ] && exit 3\nprintf '{\"accessToken\":\"token-%s\",\"expires_on\":%s}' $(wc -l <" +
                        home + "/keys.runs) $(($(date +%s) + " + std::to_string(life) + "))\n");
    chmod(script.c_str(), 0700);
    CredentialPlan plan;
    plan.source = "azure-cli";
    plan.set("scope", "https://ossrdbms-aad.database.windows.net/.default");
    plan.set("tenant_id", std::filesystem::path(home).filename().string());  // each test's own
    return plan;
  }
  static std::string token(const CredentialPlan& plan, std::chrono::milliseconds time = std::chrono::seconds(20)) {
    const auto found = stored_credentials(plan, {Deadline::in(time)});
    if (!found) return "error: " + found.error().text;
    return (*found)->is_absent ? "absent" : std::string((*found)->token.reveal());
  }

 private:
  const std::string path_ = getenv("PATH");
};

TEST_F(Tool, ThatIsGoneTakesNoTokenAlongThatStillLives) {
  const CredentialPlan plan = az(290);  // within the last 5 minutes, in which it is asked for at each connection
  EXPECT_EQ(token(plan), "token-1");
  EXPECT_EQ(token(plan), "token-2");
  write("broken", "");
  EXPECT_EQ(token(plan), "token-2") << "the next in the chain would be another identity";
  EXPECT_EQ(token(plan), "token-2");
  EXPECT_EQ(runs(), 3) << "who has just been absent is not asked at each connection";
  learn_skew(40);
  EXPECT_EQ(token(plan), "token-2");
  EXPECT_EQ(runs(), 4);
  std::filesystem::remove(home + "/broken");
  learn_skew(80);
  EXPECT_EQ(token(plan), "token-5");
  write("broken", "");
  learn_skew(320);
  EXPECT_EQ(token(plan), "absent") << "a dead one is never used";
}

TEST_F(Tool, IsBelievedToBeAbsentForSeconds) {
  const CredentialPlan plan = az(3600);
  write("broken", "");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(token(plan), "absent");
  EXPECT_EQ(runs(), 1);
  // That this process has no descriptors says nothing of the tool.
  learn_skew(6);
  rlimit old = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  const rlimit none = {0, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::string shortage = token(plan);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_TRUE(shortage.starts_with("error: ")) << shortage;
  std::filesystem::remove(home + "/broken");
  EXPECT_EQ(token(plan), "token-2");
}

TEST_F(Tool, ThatWasTooSlowForOneIsAskedAnewByWhoHasMoreTime) {
  const CredentialPlan plan = az(3600, 60);
  EXPECT_EQ(token(plan, milliseconds(200)), "absent");
  az(3600);  // from now on
  EXPECT_EQ(token(plan), "token-1");
}

// --- a token that a command prints, kept for as long as the user said

class CommandToken : public CredentialStore {
 protected:
  CredentialPlan command(int lifetime, double pause = 0, const std::string& host = "h") {
    const std::string script =
        write("token", "#!/bin/sh\nsleep " + std::to_string(pause) + "\necho run >>" + home + "/keys.runs\n[ -e " +
                           home + "/broken ] && exit 3\necho token-$(wc -l <" + home + "/keys.runs)\n");
    chmod(script.c_str(), 0700);
    CredentialPlan plan;
    plan.source = "command";
    plan.name = script;
    plan.set("command", script);
    plan.set("host", host);
    plan.set("lifetime", std::to_string(lifetime));
    return plan;
  }
  static std::string token(const CredentialPlan& plan) {
    const auto found = stored_credentials(plan, patience());
    return found ? std::string((*found)->token.reveal()) : found.error().text;
  }
};

TEST_F(CommandToken, IsKeptToTheEndOfItsLife) {
  const CredentialPlan plan = command(100);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(token(plan), "token-1");
  learn_skew(95);
  EXPECT_EQ(token(plan), "token-1") << "no window: its life is what the user said";
  learn_skew(101);
  EXPECT_EQ(token(plan), "token-2");
  learn_skew(0);
  EXPECT_EQ(token(command(100, 0, "another host")), "token-3");
  forget(plan);
  EXPECT_EQ(token(plan), "token-4") << "a server has refused it";
  write("broken", "");
  EXPECT_EQ(token(plan), "token-4");
  forget(plan);
  EXPECT_TRUE(contains(token(plan), "ended with exit status 3")) << "a dead one is never used";
}

TEST_F(CommandToken, ALateRefusalDoesNotForgetWhatIsNew) {
  const CredentialPlan plan = command(100);
  const auto old = stored_credentials(plan, patience());
  ASSERT_TRUE(old);
  forget_credentials(plan, (*old)->at);
  EXPECT_EQ(token(plan), "token-2");
  forget_credentials(plan, (*old)->at);
  EXPECT_EQ(token(plan), "token-2") << "it was the old one that the server refused";
}

TEST_F(CommandToken, OneRunForAll) {
  const CredentialPlan plan = command(100, 0.3);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&] { good += token(plan) == "token-1"; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 64);
  EXPECT_EQ(runs(), 1);
}

TEST_F(CommandToken, OneFailureForAll) {
  const CredentialPlan plan = command(100, 0.3);
  write("broken", "");
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] { failed += contains(token(plan), "exit status 3"); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 16);
  EXPECT_EQ(runs(), 1);
}

TEST_F(CredentialStore, AChildOfForkKeepsWhatItHasAndFetchesByItself) {
  if (test::kForks == 0) GTEST_SKIP() << "the address sanitizer does not survive a fork beside busy threads";
  const CredentialPlan plan = process(3600);
  const CredentialPlan slow = process(3600, 1.0, "slow");
  get(plan);
  std::thread fetching([&] { get(slow); });
  std::this_thread::sleep_for(milliseconds(300));  // the fork comes in the middle of a fetch
  const pid_t child = fork();
  if (child == 0) _exit(get(plan) == "AKIAkeys" && get(slow) == "AKIAslow" ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  fetching.join();
  EXPECT_EQ(runs(), 1);
  EXPECT_EQ(runs("slow"), 2);
}

}  // namespace
}  // namespace pqmint
