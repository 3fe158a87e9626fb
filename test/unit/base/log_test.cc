// SPDX-License-Identifier: PostgreSQL
#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "base/shown.h"
#include "support.h"

namespace pqmint {
namespace {

class Log : public test::CleanEnvironment {
 protected:
  Log() {
    set("PQMINT_LOG_FILE", home + "/log");
    set("PQMINT_LOG", "debug");
  }
  ~Log() override {
    unsetenv("PQMINT_LOG");
    unsetenv("PQMINT_LOG_FILE");
  }
  std::string written() const {
    std::stringstream text;
    text << std::ifstream(home + "/log").rdbuf();
    return text.str();
  }
};

TEST_F(Log, NothingIsWrittenUnlessAskedFor) {
  for (const char* level : {"", "off", "none", "errors"}) {
    set("PQMINT_LOG", level);
    EXPECT_FALSE(is_logged(LogLevel::kError)) << level;
    LogLine(LogLevel::kError, "error").with("text", "x");
  }
  unsetenv("PQMINT_LOG");
  LogLine(LogLevel::kError, "error").with("text", "x");
  EXPECT_NE(access((home + "/log").c_str(), F_OK), 0);
}

TEST_F(Log, APipeThatNobodyReadsEndsNoProgram) {
  unsetenv("PQMINT_LOG_FILE");
  const auto log_to_nobody = [] {
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0) _exit(1);
    close(ends[0]);
    close(ends[1]);
    signal(SIGPIPE, SIG_DFL);
    LogLine(LogLevel::kError, "error").with("text", "x");
    sigset_t pending;
    sigpending(&pending);
    _exit(sigismember(&pending, SIGPIPE) ? 2 : 0);
  };
  EXPECT_EXIT(log_to_nobody(), ::testing::ExitedWithCode(0), "");
}

TEST_F(Log, ALevelIncludesTheSterner) {
  set("PQMINT_LOG", "info");
  EXPECT_TRUE(is_logged(LogLevel::kError));
  EXPECT_TRUE(is_logged(LogLevel::kInfo));
  EXPECT_FALSE(is_logged(LogLevel::kDebug));
  set("PQMINT_LOG", "ERROR");
  EXPECT_TRUE(is_logged(LogLevel::kError));
  EXPECT_FALSE(is_logged(LogLevel::kInfo));
}

TEST_F(Log, ALineIsFieldsAndItsConnection) {
  {
    const LogScope outer(7);
    const LogScope inner(8);
    LogLine(LogLevel::kInfo, "mint")
        .with("host", "h")
        .with("length", 12)
        .at("expires", 1768480196)
        .with("none", nullptr);
  }
  LogLine(LogLevel::kError, "error").with("empty", "").took();
  const std::regex expected(
      R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z pqmint\[\d+\] level=info connection=8 event=mint host=h length=12 )"
      R"(expires=2026-01-15T12:29:56Z\n\S+ \S+ level=error event=error took_ms=\d+\.\d\n)");
  EXPECT_TRUE(std::regex_match(written(), expected)) << written();
}

TEST_F(Log, AValueStaysInItsField) {
  LogLine(LogLevel::kInfo, "e")
      .with("a", "two words")
      .with("b", "\"x\\y\"")
      .with("c", "one\ntwo\x1b[31m\x7f")
      .with("d", "k=v")
      // 0x9b is a terminal's ESC [, as a byte and as a character, but not as a piece of one: U+00DB is 0xc3 0x9b.
      .with("e", "\x9bm\xc2\x9bm\xc2\x85\xe0\x82\x9bm")
      .with("f", "\xc3\x9b\xc2\xa0\xe2\x82\xac\xf0\x9f\x90\x98\xc3");
  const std::string text = written();
  EXPECT_NE(text.find(R"(a="two words" b="\"x\\y\"" c=one?two?[31m? d="k=v")"
                      " e=?m?m?\xe0??m f=\xc3\x9b\xc2\xa0\xe2\x82\xac\xf0\x9f\x90\x98\xc3\n"),
            std::string::npos)
      << text;
}

TEST(Shown, NoTerminalObeysIt) {
  EXPECT_EQ(shown("a\x1b[31m\x9bm\xc2\x9bm \xc3\x9b\n", 99), "a?[31m?m?m \xc3\x9b?");
  EXPECT_EQ(shown("abc\xc3\x9b"
                  "defgh",
                  7),
            "abc...");
}

TEST_F(Log, ALongValueIsCutAndTheLineStillEnds) {
  LogLine(LogLevel::kInfo, "e").with("text", std::string(10000, 'x').c_str());
  const std::string text = written();
  EXPECT_EQ(text.size(), 2048U);
  EXPECT_EQ(text.back(), '\n');
}

TEST_F(Log, TheFileIsItsOwnersAndNoLinkIsFollowed) {
  LogLine(LogLevel::kInfo, "e");
  struct stat st;
  ASSERT_EQ(stat((home + "/log").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  const std::string target = write("target", "");
  ASSERT_EQ(symlink(target.c_str(), (home + "/link").c_str()), 0);
  set("PQMINT_LOG_FILE", home + "/link");
  errno = 42;
  LogLine(LogLevel::kInfo, "e");
  EXPECT_EQ(errno, 42);
  EXPECT_EQ(std::filesystem::file_size(target), 0U);
}

TEST_F(Log, SomebodyElsesFileIsNotWrittenTo) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make another user's file";
  constexpr unsigned kNobody = 65534, kDaemon = 1;
  const auto log_as = [](unsigned user) {
    if (setresuid(user, user, user) != 0) _exit(1);
    LogLine(LogLevel::kInfo, "e");
    _exit(0);
  };
  const std::string file = home + "/log";
  write("log", "");
  ASSERT_EQ(chmod(file.c_str(), 0666), 0);
  const auto size_after = [&](unsigned owner, unsigned user) {
    EXPECT_EQ(chown(file.c_str(), owner, owner), 0);
    std::filesystem::resize_file(file, 0);
    EXPECT_EXIT(log_as(user), ::testing::ExitedWithCode(0), "");
    return std::filesystem::file_size(file);
  };
  EXPECT_EQ(size_after(kDaemon, kNobody), 0U);
  EXPECT_EQ(size_after(kNobody, 0), 0U);
  EXPECT_GT(size_after(kNobody, kNobody), 0U);
  EXPECT_GT(size_after(0, kNobody), 0U) << "root's, for all to write";
}

TEST_F(Log, APipeWillDoAndStandardErrorByItsName) {
  const std::string pipe = home + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  ASSERT_TRUE(geteuid() != 0 || chown(pipe.c_str(), 1, 1) == 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  set("PQMINT_LOG_FILE", pipe);
  LogLine(LogLevel::kInfo, "e");
  char text[256];
  EXPECT_GT(read(reader, text, sizeof text), 0);
  close(reader);
  set("PQMINT_LOG_FILE", "/dev/stderr");
  ::testing::internal::CaptureStderr();
  LogLine(LogLevel::kInfo, "by-name");
  EXPECT_TRUE(test::contains(::testing::internal::GetCapturedStderr(), "event=by-name\n"));
}

}  // namespace
}  // namespace pqmint
