// SPDX-License-Identifier: PostgreSQL
#include "base/log.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <regex>
#include <sstream>

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
      .with("d", "k=v");
  const std::string text = written();
  EXPECT_NE(text.find(R"(a="two words" b="\"x\\y\"" c=one?two?[31m? d="k=v")"), std::string::npos) << text;
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

}  // namespace
}  // namespace pqmint
