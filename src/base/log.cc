// SPDX-License-Identifier: PostgreSQL
// Builds a line in a buffer of its own and writes it at once.

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/glyph.h"
#include "base/transfer.h"

namespace pqmint {
namespace {

constexpr const char* kNames[] = {"", "error", "info", "debug"};
constexpr int64_t kNanosecondsPerMillisecond = 1000000;

thread_local constinit uint64_t t_connection = 0;

int64_t monotonic() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 * kNanosecondsPerMillisecond + now.tv_nsec;
}

const char* utc(int64_t seconds, char* out, size_t size) {
  const auto time = static_cast<time_t>(seconds);
  tm fields;
  if (!gmtime_r(&time, &fields) || strftime(out, size, "%Y-%m-%dT%H:%M:%S", &fields) == 0) *out = '\0';
  return out;
}

// A file belongs to its reader: to this user, or to root, who has laid it out for several. Terminals, pipes and the
// like have nobody else behind them.
bool is_trusted(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_uid == geteuid() || st.st_uid == 0);
}

// No link that somebody else has put there is followed, nor his file written to, and a file that is new is its owner's
// alone. Standard error when no file is named; so too by its name, which is a link.
void write_line(const char* text, size_t length) {
  const char* path = getenv("PQMINT_LOG_FILE");
  const bool is_named = path && *path && strcmp(path, "/dev/stderr") != 0;
  const int fd =
      is_named ? open_again(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600)
               : STDERR_FILENO;
  if (fd < 0) return;
  if (is_named && !is_trusted(fd)) {
    close(fd);
    return;
  }
  // A log that cannot be written (a full disk, a pipe that nobody reads any more) is no reason to fail a connection,
  // let alone to end the program.
  sigset_t pipe, before, pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  sigpending(&pending);
  if (write(fd, text, length) < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE)) {
    constexpr timespec kNow = {};
    sigtimedwait(&pipe, nullptr, &kNow);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (is_named) close(fd);
}

}  // namespace

bool is_logged(LogLevel level) {
  const char* asked = getenv("PQMINT_LOG");
  if (!asked || !*asked) return false;
  for (int each = static_cast<int>(level); each <= static_cast<int>(LogLevel::kDebug); ++each) {
    if (strcasecmp(asked, kNames[each]) == 0) return true;
  }
  return false;
}

LogLine::LogLine(LogLevel level, const char* event) : is_wanted_(is_logged(level)) {
  if (!is_wanted_) return;
  begun_ = monotonic();
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  char when[32];
  length_ = static_cast<size_t>(snprintf(text_, sizeof text_, "%s.%03ldZ pqmint[%d] level=%s",
                                         utc(now.tv_sec, when, sizeof when), now.tv_nsec / kNanosecondsPerMillisecond,
                                         static_cast<int>(getpid()), kNames[static_cast<int>(level)]));
  if (t_connection != 0) with("connection", static_cast<int64_t>(t_connection));
  with("event", event);
}

LogLine::~LogLine() {
  if (!is_wanted_) return;
  const int saved = errno;
  text_[length_++] = '\n';
  write_line(text_, length_);
  errno = saved;
}

void LogLine::put(char c) {
  if (length_ < sizeof text_ - 1) text_[length_++] = c;
}

void LogLine::put(const char* text) {
  while (*text) put(*text++);
}

LogLine& LogLine::with(const char* key, const char* value) {
  if (!is_wanted_ || !value || !*value) return *this;
  put(' ');
  put(key);
  put('=');
  const bool is_quoted = strpbrk(value, " \"=\\") != nullptr;
  if (is_quoted) put('"');
  for (const char* end = value + strlen(value); value < end;) {
    const Glyph glyph = first_glyph(value, static_cast<size_t>(end - value));
    if (*value == '"' || *value == '\\') put('\\');
    if (glyph.is_control) put('?');
    for (size_t i = 0; i < glyph.length; ++i, ++value) {
      if (!glyph.is_control) put(*value);
    }
  }
  if (is_quoted) put('"');
  return *this;
}

LogLine& LogLine::with(const char* key, int64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%lld", static_cast<long long>(value));
  return with(key, text);
}

LogLine& LogLine::at(const char* key, int64_t seconds) {
  if (!is_wanted_ || seconds == 0) return *this;
  char when[32];
  utc(seconds, when, sizeof when - 1);
  return with(key, strcat(when, "Z"));
}

LogLine& LogLine::took() {
  if (!is_wanted_) return *this;
  char text[32];
  const int64_t passed = monotonic() - begun_;
  snprintf(text, sizeof text, "%lld.%01lld", static_cast<long long>(passed / kNanosecondsPerMillisecond),
           static_cast<long long>(passed / (kNanosecondsPerMillisecond / 10) % 10));
  return with("took_ms", text);
}

LogScope::LogScope(uint64_t connection) : outer_(t_connection) {
  t_connection = connection;
}
LogScope::~LogScope() {
  t_connection = outer_;
}
uint64_t LogScope::connection() {
  return t_connection;
}

}  // namespace pqmint
