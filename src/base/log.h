// SPDX-License-Identifier: PostgreSQL
// The log: one line for each event, `key=value` fields, to PQMINT_LOG_FILE or standard error, for who asks by
// PQMINT_LOG.
//
// Nobody asks, nothing is written: errors travel in PQerrorMessage. No secret is ever added to a line, and nothing that
// the database server says; the connection's number ties its lines together. Needs libc only.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace pqmint {

enum class LogLevel { kError = 1, kInfo, kDebug };

/// Whether lines of this level are asked for (PQMINT_LOG=error|info|debug). Cheap: one look at the environment.
bool is_logged(LogLevel level);

/// One line, written whole when it goes, by one write(2) to a file that is opened for it: a program may close any
/// descriptor that it does not know, and give its number to a socket. Thread-safe. Leaves errno alone.
class LogLine {
 public:
  LogLine(LogLevel level, const char* event);
  ~LogLine();
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;

  /// Adds ` key=value`; a value with blanks or quotes in it is quoted, control characters become "?". Null or empty:
  /// left out.
  LogLine& with(const char* key, const char* value);
  LogLine& with(const char* key, int64_t value);
  /// A time as "2026-01-15T12:49:56Z"; 0: left out.
  LogLine& at(const char* key, int64_t seconds);
  /// Milliseconds since this line was begun.
  LogLine& took();

 private:
  void put(char c);
  void put(const char* text);
  bool is_wanted_;
  size_t length_ = 0;
  int64_t begun_ = 0;  // nanoseconds, monotonic
  char text_[2048];
};

/// The connection that this thread works for, as its lines will say; the one before it comes back when this goes.
class LogScope {
 public:
  explicit LogScope(uint64_t connection);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

  /// 0: none.
  static uint64_t connection();

 private:
  uint64_t outer_;
};

}  // namespace pqmint
