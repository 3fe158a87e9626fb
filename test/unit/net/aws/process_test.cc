// SPDX-License-Identifier: PostgreSQL
// Programs that are asked for a credential: how they are started, what they may not do to the host, and what
// credential_process must print.

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "net/child.h"
#include "net/source_fixture.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::contains;
using Fault = ChildOutcome::Fault;

ChildOutcome sh(const std::string& script, milliseconds time = milliseconds(10'000),
                const std::vector<std::string>& more = {}) {
  return run_child({"sh", "-c", script}, more, Folder::kRoot, Deadline::in(time));
}
std::string out_of(const std::string& script) {
  return std::string(sh(script).output.reveal());
}

// --- the child

TEST(Child, GivesItsOutputAndStatus) {
  const ChildOutcome outcome = sh("printf hello; exit 3");
  EXPECT_EQ(outcome.fault, Fault::kNone);
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(outcome.output.reveal(), "hello");
  EXPECT_EQ(sh("kill -9 $$").status, 128 + 9);
  EXPECT_EQ(out_of("cat; pwd"), "/\n");
  EXPECT_EQ(out_of("echo secret >&2"), "");
}

TEST(Child, WhatCannotBeStarted) {
  const Deadline deadline = Deadline::in(milliseconds(5000));
  EXPECT_EQ(run_child({"no-such-program"}, {}, Folder::kRoot, deadline).fault, Fault::kNotFound);
  EXPECT_EQ(run_child({"/etc/passwd"}, {}, Folder::kRoot, deadline).fault, Fault::kNotExecutable);
  EXPECT_EQ(run_child({"/"}, {}, Folder::kRoot, deadline).fault, Fault::kNotExecutable);
}

class ChildInHome : public test::CleanEnvironment {
 protected:
  std::string script(const std::string& name, const std::string& text) const {
    const std::string path = write(name, text);
    chmod(path.c_str(), 0755);
    return path;
  }
};

TEST_F(ChildInHome, WhatOnlyTheKernelFindsUnfit) {
  const Deadline deadline = Deadline::in(milliseconds(5000));
  EXPECT_EQ(run_child({script("no-interpreter", "#!/no/such/interpreter\n")}, {}, Folder::kRoot, deadline).fault,
            Fault::kNotExecutable);
  EXPECT_EQ(run_child({script("no-program", "text\n")}, {}, Folder::kRoot, deadline).fault, Fault::kNotExecutable);
  EXPECT_EQ(sh("exit 127").status, 127) << "which is the program's own";
}

TEST_F(ChildInHome, ARelativePathIsTheHosts) {
  script("tool", "#!/bin/sh\npwd\n");
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(home);
  const ChildOutcome relative = run_child({"./tool"}, {}, Folder::kRoot, Deadline::in(milliseconds(5000)));
  const std::string path = getenv("PATH");
  set("PATH", "::.:" + path);
  const ChildOutcome by_path = run_child({"tool"}, {}, Folder::kRoot, Deadline::in(milliseconds(5000)));
  set("PATH", path);
  const ChildOutcome at_home = run_child({"pwd"}, {}, Folder::kHosts, Deadline::in(milliseconds(5000)));
  std::filesystem::current_path(here);
  EXPECT_EQ(at_home.output.reveal(), home + "\n");
  EXPECT_EQ(relative.fault, Fault::kNone);
  EXPECT_EQ(relative.output.reveal(), "/\n");
  EXPECT_EQ(by_path.fault, Fault::kNotFound) << "a folder that depends on where the host stands is none to look in";
}

TEST(Child, IsBounded) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(sh("sleep 30 & sleep 30", milliseconds(300)).fault, Fault::kTimeout);
  EXPECT_EQ(sh("yes").fault, Fault::kTooMuch);
  // What stays behind does not hold us up, silent or not.
  for (const char* daemon : {"sleep 2", "while sleep 0.02; do echo; done", "yes"}) {
    const auto start = std::chrono::steady_clock::now();
    const ChildOutcome left = sh("timeout 3 sh -c '" + std::string(daemon) + "' & printf done");
    EXPECT_EQ(left.fault, daemon == std::string("yes") ? Fault::kTooMuch : Fault::kNone) << daemon;
    EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(1500)) << daemon;
    if (left.fault == Fault::kNone) {
      EXPECT_TRUE(contains(std::string(left.output.reveal()), "done")) << daemon;
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(5000));
  // A megabyte is not too much.
  EXPECT_EQ(sh("head -c 1048576 /dev/zero").output.size(), 1u << 20);
}

TEST(Child, TheDeadlineEndsItsChildrenToo) {
  const std::string mark = ::testing::TempDir() + "pqmint-grandchild-" + std::to_string(getpid());
  sh("(sleep 1; touch " + mark + ") & sleep 30", milliseconds(200));
  std::this_thread::sleep_for(milliseconds(1500));
  EXPECT_FALSE(std::filesystem::exists(mark));
}

TEST(Child, WhatItLeavesBehindGoesOn) {
  const std::string mark = ::testing::TempDir() + "pqmint-left-" + std::to_string(getpid());
  EXPECT_EQ(out_of("(sleep 0.5; touch " + mark + ") & echo done"), "done\n");
  std::this_thread::sleep_for(milliseconds(1000));
  EXPECT_TRUE(std::filesystem::remove(mark)) << "as when it is run by hand";
}

// Else a connection that the host closes while we wait stays open for its peer.
TEST(Child, KeepsNothingOfTheHostsOpen) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::thread waiting([] { sh("sleep 1"); });
  std::this_thread::sleep_for(milliseconds(300));
  close(ends[1]);
  pollfd closed = {ends[0], POLLIN, 0};
  EXPECT_EQ(poll(&closed, 1, 300), 1);
  close(ends[0]);
  waiting.join();
}

// A program that asks for a password would be stopped, and time out; nobody can answer it.
TEST(Child, HasNoTerminalToAskAt) {
  const pid_t session = fork();
  if (session == 0) {
    setsid();
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    grantpt(master);
    unlockpt(master);
    const int terminal = open(ptsname(master), O_RDWR);
    if (ioctl(terminal, TIOCSCTTY, 0) != 0 && errno != EPERM) _exit(9);
    if (open("/dev/tty", O_RDWR) < 0) _exit(8);
    const ChildOutcome asked = sh("read answer < /dev/tty || exit 7", milliseconds(3000));
    _exit(asked.fault == Fault::kNone ? asked.status : 6);
  }
  int status = 0;
  waitpid(session, &status, 0);
  EXPECT_NE(WEXITSTATUS(status), 6) << "it hung";
  EXPECT_NE(WEXITSTATUS(status), 8) << "the test has no terminal itself";
  EXPECT_EQ(WEXITSTATUS(status) == 7 || WEXITSTATUS(status) == 2, true) << WEXITSTATUS(status);
}

TEST(Child, HasNothingOfTheHosts) {
  const int open_file = open("/dev/null", O_RDONLY);  // not close-on-exec, as in many a host
  EXPECT_EQ(out_of("ls /proc/self/fd | wc -l"), "4\n") << "0, 1, 2 and the folder itself";
  close(open_file);
  setenv("LD_PRELOAD", "/x/libpqmint.so:/usr/lib/x86_64-linux-gnu/libm.so.6", 1);
  std::string stand_in = ::testing::TempDir() + "pqmint-XXXXXX";
  ASSERT_NE(mkdtemp(stand_in.data()), nullptr);
  const std::string real = stand_in + "/libpq-real.so.5";
  ASSERT_EQ(symlink("/nowhere", real.c_str()), 0);
  setenv("LD_LIBRARY_PATH", (stand_in + ":/opt/other").c_str(), 1);
  setenv("OTHER", "kept", 1);
  EXPECT_EQ(out_of("echo $LD_PRELOAD $LD_LIBRARY_PATH $OTHER"),
            "/usr/lib/x86_64-linux-gnu/libm.so.6 /opt/other kept\n");
  setenv("LD_LIBRARY_PATH", ("/opt/my libs;:" + stand_in + "/;/opt/pqmint").c_str(), 1);
  EXPECT_EQ(out_of("echo \"$LD_LIBRARY_PATH\""), "/opt/my libs;:/opt/pqmint\n");
  setenv("LD_LIBRARY_PATH", stand_in.c_str(), 1);
  EXPECT_EQ(out_of("env | grep -c ^LD_LIBRARY_PATH"), "0\n");
  unlink(real.c_str());
  rmdir(stand_in.c_str());
  setenv("LD_PRELOAD", "/x/libpqmint.so", 1);
  EXPECT_EQ(out_of("env | grep -c ^LD_PRELOAD"), "0\n");
  EXPECT_EQ(std::string(sh("echo $OTHER $MORE", milliseconds(5000), {"OTHER=new", "MORE=1"}).output.reveal()),
            "new 1\n");
  setenv("PGPASSWORD", "pqmint:rds", 1);
  setenv("PGPASSFILE", "/home/u/pqmint:passwords", 1);
  EXPECT_EQ(out_of("echo $PGPASSWORD $PGPASSFILE"), "/home/u/pqmint:passwords\n") << "a spec would ask for itself";
  for (const char* name : {"LD_PRELOAD", "LD_LIBRARY_PATH", "OTHER", "PGPASSWORD", "PGPASSFILE"}) unsetenv(name);
  signal(SIGINT, SIG_IGN);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  EXPECT_EQ(out_of("grep '^SigBlk:' /proc/self/status | cut -f2"), "0000000000000000\n");
  // 32 and 33 are the C library's own, and whoever started this test may have left them ignored.
  constexpr unsigned long kInternal = 0x180000000;
  EXPECT_EQ(std::stoul(out_of("grep '^SigIgn:' /proc/self/status | cut -f2"), nullptr, 16) & ~kInternal, 0u);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  signal(SIGINT, SIG_DFL);
}

// A command that asks for its own token.
TEST(Child, EndsALoop) {
  EXPECT_EQ(out_of("echo $PQMINT_DEPTH"), "1\n");
  for (const auto& [depth, answer] : {std::pair{"0", "1\n"}, {"3", "4\n"}, {"", "1\n"}, {"x", "1\n"}, {"-5", "1\n"}}) {
    setenv("PQMINT_DEPTH", depth, 1);
    EXPECT_EQ(out_of("echo $PQMINT_DEPTH"), answer) << depth;
  }
  for (const char* depth : {"4", "5", "99999999999999999999"}) {
    setenv("PQMINT_DEPTH", depth, 1);
    const ChildOutcome refused = sh("echo started");
    EXPECT_EQ(refused.fault, Fault::kTooDeep) << depth;
    EXPECT_TRUE(contains(refused.description(), "a command asks for its own token")) << refused.description();
  }
  unsetenv("PQMINT_DEPTH");
}

// --- the host

std::atomic<int> g_sigchld = 0;

TEST(Child, TheHostHearsNothing) {
  signal(SIGCHLD, [](int) { ++g_sigchld; });
  EXPECT_EQ(out_of("echo 1"), "1\n");
  EXPECT_EQ(g_sigchld, 0);
  signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(out_of("echo 2"), "2\n");
  EXPECT_EQ(sh("exit 5").status, 5) << "known even where the kernel reaps children by itself";
  signal(SIGCHLD, SIG_DFL);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no child, and no zombie";
  EXPECT_EQ(errno, ECHILD);
}

TEST(Child, AHostThatReapsEverybodyTakesNothingFromUs) {
  std::atomic<bool> over = false;
  std::atomic<int> stolen = 0;
  std::thread reaper([&] {
    while (!over) {
      if (waitpid(-1, nullptr, WNOHANG) > 0) ++stolen;
      std::this_thread::yield();
    }
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(sh("exit 4").status, 4);
  over = true;
  reaper.join();
  EXPECT_EQ(stolen, 0);
}

TEST(Child, AHostThatForksMeanwhile) {
  std::atomic<bool> over = false;
  std::thread forks([&] {
    for (int i = 0; i < test::kForks && !over; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        // Holds our pipes open beyond the program's end.
        poll(nullptr, 0, 300);
        _exit(0);
      }
      poll(nullptr, 0, 2);
    }
  });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(out_of("echo 1"), "1\n");
  over = true;
  forks.join();
  while (waitpid(-1, nullptr, 0) > 0) {
  }
}

TEST(Child, ManyAtTheSameTime) {
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] { good += out_of("echo " + std::to_string(i)) == std::to_string(i) + "\n"; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 16);
}

TEST(Child, WhatIsEndedLeavesNoZombieAndNoDescriptor) {
  const auto open_files = [] {
    const auto all = std::filesystem::directory_iterator("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  sh("true");
  const auto before = open_files();
  EXPECT_EQ(sh("trap '' TERM HUP INT; sleep 30 & sleep 30", milliseconds(200)).fault, Fault::kTimeout);
  EXPECT_EQ(sh("exec >&- 2>&-; sleep 30", milliseconds(200)).fault, Fault::kTimeout);
  EXPECT_EQ(sh("yes").fault, Fault::kTooMuch);
  EXPECT_EQ(sh("sleep 2 & kill -9 $$").status, 128 + 9);
  EXPECT_EQ(run_child({"no-such-program"}, {}, Folder::kRoot, Deadline::in(milliseconds(5000))).fault,
            Fault::kNotFound);
  EXPECT_EQ(open_files(), before);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG | __WALL), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Child, MayBeKeptFromAVariable) {
  setenv("OTHER", "s3cret", 1);
  EXPECT_EQ(std::string(sh("echo \"$OTHER|${OTHER-none}\"", milliseconds(5000), {"OTHER"}).output.reveal()), "|none\n");
  EXPECT_EQ(out_of("echo $OTHER"), "s3cret\n");
  unsetenv("OTHER");
}

// --- credential_process

class Process : public test::SourceTest {
 protected:
  std::string printing(const std::string& document, const std::string& more = "") {
    const std::string file = write("document", document);
    setting("command", "sh -c 'cat " + file + more + "'");
    setting("profile", "p");
    return told(fetch_process);
  }
};

TEST_F(Process, Keys) {
  EXPECT_EQ(printing(test::keys_document("SessionToken")), "OK ASIA1");
  const auto found = ask(fetch_process);
  EXPECT_EQ(found->secret_access_key.reveal(), "s3cret");
  EXPECT_EQ(found->session_token.reveal(), "s3cret-token");
  EXPECT_EQ(found->expires, 4072163696);
  EXPECT_EQ(printing(R"({"Version":1,"AccessKeyId":"AKIA2","SecretAccessKey":"s"})"), "OK AKIA2");
  EXPECT_EQ(ask(fetch_process)->expires, 0) << "without an expiry they live for ever";
}

TEST_F(Process, BadDocuments) {
  EXPECT_TRUE(contains(printing(""), "did not print one JSON object, but 0 bytes"));
  EXPECT_TRUE(contains(printing("s3cret not json"), "did not print one JSON object"));
  EXPECT_TRUE(
      contains(printing(R"({"Version":2,"AccessKeyId":"a","SecretAccessKey":"s"})"), "unsupported version '2'"));
  EXPECT_TRUE(
      contains(printing(R"({"Version":"1","AccessKeyId":"a","SecretAccessKey":"s"})"), "unsupported version 'none'"));
  EXPECT_TRUE(
      contains(printing(R"({"Version":1,"SecretAccessKey":"s"})"), "missing required key in response: 'AccessKeyId'"));
  EXPECT_TRUE(
      contains(printing(R"({"Version":1,"AccessKeyId":"a"})"), "missing required key in response: 'SecretAccessKey'"));
  EXPECT_TRUE(contains(printing(test::keys_document("SessionToken", "soon")), "no ISO 8601 time"));
  EXPECT_TRUE(contains(printing(R"({"Version":1,"AccessKeyId":"a","SecretAccessKey":"s","Expiration":1600000000})"),
                       "no ISO 8601 time"));
  // On which machine's clock? Neither botocore nor Go takes it.
  for (const char* local : {"2099-01-15T12:34:56", "2099-01-15 12:34:56", "2099-01-15T12:34:56.5"}) {
    EXPECT_TRUE(contains(printing(test::keys_document("SessionToken", local)), "an Expiration without a zone"))
        << local;
  }
  for (const char* zone :
       {"2099-01-15T12:34:56Z", "2099-01-15T12:34:56+00:00", "2099-01-15T11:34:56-0100", "2099-01-15T12:34:56UTC"}) {
    EXPECT_EQ(printing(test::keys_document("SessionToken", zone)), "OK ASIA1") << zone;
    EXPECT_EQ(ask(fetch_process)->expires, 4072163696) << zone;
  }
  const std::string start = R"({"Version":1,"AccessKeyId":"a","SecretAccessKey":"s")";
  for (const std::string& none :
       {start + R"(,"AccessKeyId":"b"})", start + ",\"x\":" + std::string(10'000, '[') + std::string(10'000, ']') + "}",
        start + "} " + start + "}", "[" + start + "}]", start + ",}", start, "// c\n" + start + "}"}) {
    EXPECT_TRUE(contains(printing(none), "did not print one JSON object")) << none.substr(0, 80);
  }
  for (const char* key : {R"("a\u0000b")", R"("a\nb")", "\"a\xFF\"", R"("\u00e9")", "7", "null", "[]", R"("")"}) {
    EXPECT_TRUE(contains(printing(std::string(R"({"Version":1,"SecretAccessKey":"s","AccessKeyId":)") + key + "}"),
                         "missing required key in response: 'AccessKeyId'"))
        << key;
    EXPECT_TRUE(contains(printing(std::string(R"({"Version":1,"AccessKeyId":"a","SecretAccessKey":)") + key + "}"),
                         "missing required key in response: 'SecretAccessKey'"))
        << key;
  }
  for (const char* token : {R"("s3cret\u0000b")", R"("s3cret\nb")", "7", "[]", "{}"}) {
    EXPECT_TRUE(contains(printing(start + ",\"SessionToken\":" + token + "}"), "gave a SessionToken that is none"))
        << token;
  }
  for (const char* token : {"null", R"("")"}) EXPECT_EQ(printing(start + ",\"SessionToken\":" + token + "}"), "OK a");
  EXPECT_EQ(printing(R"({"Version":1,"AccessKeyId":"a","SecretAccessKey":"s","Expiration":null})"), "OK a");
  EXPECT_TRUE(contains(printing(test::keys_document("SessionToken", "2020-01-15T12:34:56Z")), "still expired"));
}

TEST_F(Process, FaultsNameTheProgramAndNotItsArguments) {
  const std::string failed = printing("{}", "; exit 3; echo s3cret-argument");
  EXPECT_TRUE(contains(failed,
                       "error when retrieving credentials from custom-process: sh (credential_process of profile "
                       "\"p\") ended with exit status 3; run it by hand to see why"))
      << failed;
  setting("command", "no-such-program --token s3cret");
  EXPECT_TRUE(contains(told(fetch_process), "no-such-program (credential_process of profile \"p\") is not installed"));
  setting("command", "sh -c 'exit 1' pqmint s3cret");
  EXPECT_TRUE(contains(told(fetch_process), "it asks pqmint in its turn"));
  set("PQMINT_DEPTH", "4");
  EXPECT_TRUE(contains(told(fetch_process), "a command asks for its own token"));
  unsetenv("PQMINT_DEPTH");
  setting("command", "sleep 30");
  EXPECT_TRUE(contains(told(fetch_process, milliseconds(200)), "was not done in time"));
  setting("command", "yes");
  EXPECT_TRUE(contains(told(fetch_process), "more than 1 MiB"));
  setting("command", "TOKEN=s3cret a");
  EXPECT_TRUE(contains(told(fetch_process), "sh -c '...'"));
  setting("command", "a | b");
  EXPECT_TRUE(contains(told(fetch_process), "sh -c '...'"));
}

TEST_F(Process, EveryWayToFail) {
  const auto running = [&](const std::string& script, milliseconds time = milliseconds(5000)) {
    setting("command", "sh " + write("script", "echo s3cret >&2\n" + script) + " s3cret-argument");
    setting("profile", "p");
    return told(fetch_process, time);
  };
  EXPECT_TRUE(contains(running("exit 1"), "ended with exit status 1; run it by hand"));
  EXPECT_TRUE(contains(running("echo s3cret; kill -KILL $$"), "was killed by signal 9"));
  EXPECT_TRUE(contains(running("kill -SEGV $$"), "was killed by signal 11"));
  EXPECT_TRUE(contains(running("exit 0"), "did not print one JSON object, but 0 bytes of something else"));
  EXPECT_TRUE(contains(running("echo"), "but 1 bytes"));
  EXPECT_TRUE(
      contains(running("trap '' TERM HUP INT\nsleep 30 &\nsleep 30", milliseconds(200)), "was not done in time"));
  EXPECT_TRUE(contains(running("exec >&-; sleep 30", milliseconds(200)), "was not done in time"));
  setting("command", write("text", "no program") + " s3cret");
  EXPECT_TRUE(contains(told(fetch_process), "is not a program that may be executed"));
  setting("command", home + " s3cret");
  EXPECT_TRUE(contains(told(fetch_process), "is not a program that may be executed"));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no child, and no zombie";
}

TEST_F(Process, NoOutputTakesMoreMemoryThanItsLimit) {
  setting("profile", "p");
  for (const char* command : {"head -c 100000000 /dev/zero", "yes"}) {
    setting("command", command);
    EXPECT_LT(test::peak_growth([&] { EXPECT_TRUE(contains(told(fetch_process), "more than 1 MiB")); }), 30u << 20);
  }
}

/// Words are split, and nothing in them means anything: the canary is not made.
TEST_F(Process, NoShellLooksAtTheCommand) {
  const std::string canary = home + "/canary", seen = home + "/seen";
  const std::string program =
      write("program", "#!/bin/sh\nfor a; do printf '[%s]' \"$a\"; done >" + seen +
                           "\necho '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\"}'\n");
  chmod(program.c_str(), 0755);
  const auto words = [&](const std::string& arguments) {
    std::filesystem::remove(seen);
    setting("command", program + " " + arguments);
    const std::string said = told(fetch_process);
    EXPECT_FALSE(std::filesystem::exists(canary)) << arguments;
    std::ifstream file(seen);
    return said == "OK A" ? std::string(std::istreambuf_iterator<char>(file), {}) : said;
  };
  EXPECT_EQ(words("'a b' \"c d\" e\\ f ''"), "[a b][c d][e f][]");
  EXPECT_EQ(words("'; touch " + canary + "'"), "[; touch " + canary + "]");
  EXPECT_EQ(words("'$(touch " + canary + ")' '`touch " + canary + "`'"),
            "[$(touch " + canary + ")][`touch " + canary + "`]");
  EXPECT_EQ(words("'a\n touch " + canary + "'"), "[a\n touch " + canary + "]");
  EXPECT_EQ(words("'$HOME' '~' '*' '&& touch " + canary + "'"), "[$HOME][~][*][&& touch " + canary + "]");
  for (const std::string& shell : {"; touch " + canary, "$(touch " + canary + ")", "`touch " + canary + "`",
                                   "&& touch " + canary, "| touch " + canary, "> " + canary,
                                   "\"$(touch " + canary + ")\"", "\"`touch " + canary + "`\"", "& touch " + canary}) {
    const std::string said = words(shell);
    EXPECT_TRUE(contains(said, "sh -c '...'") || said.starts_with("[")) << shell << ": " << said;
  }
}

// As botocore does: a path in the command may be a relative one.
TEST_F(Process, RunsInTheHostsFolder) {
  write("document", test::keys_document("SessionToken"));
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(home);
  setting("command", "cat document");
  EXPECT_EQ(told(fetch_process), "OK ASIA1");
  std::filesystem::current_path(here);
}

TEST_F(Process, InPieces) {
  setting("command",
          R"(sh -c 'printf "{\"Version\":1,\"Access"; sleep 0.1; printf "KeyId\":\"A\",\"SecretAccessKey\":\"s\"}"')");
  EXPECT_EQ(told(fetch_process), "OK A");
}

}  // namespace
}  // namespace pqmint
