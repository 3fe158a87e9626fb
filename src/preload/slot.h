// SPDX-License-Identifier: PostgreSQL
// The password slot: a password file in memory that hands libpq one password per host.
//
// A conninfo has one password for all of its hosts; a password file has a line per host. The slot is such a file in a
// memfd, named by its path under /proc/self/fd. After each password stands a colon and padding: libpq copies the whole
// rest of the line and cuts it at the colon, so that PQpass() points into a buffer with room for a longer token, which
// PQreset will need (reset.h). Works alike on libpq 14 to 18.
#pragma once

#include <stddef.h>

#include "preload/memory.h"

namespace pqmint {

/// Room that is left behind every token, in bytes. Tokens of one identity differ by the length of their session token:
/// 0.3 to 2 kB for AWS, up to a few kB for Entra.
inline constexpr size_t kSlotPadding = 4096;

/// libpq's key for a line: what it will look for in the file.
struct SlotLine {
  const char* host;  // or the address, where libpq has no name
  const char* port;
  const char* password;
};

/// A password file for one connect call, overwritten with a comment when it goes. Thread-safe; each call has its own.
///
/// Descriptor numbers are never given back: PQcancelCreate (libpq 17) opens the path of an old connection again, and
/// would warn on stderr if it found somebody else's file there. So they come from a pool, as large as the most connects
/// that ever ran at once, and stand open meanwhile, without a password in them. Whose connect was left by longjmp is
/// blanked and used again by the same thread's next one that begins no further down the stack.
class Slot {
 public:
  Slot() = default;
  ~Slot();
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  /// False when this process cannot have one: no /proc, no memfd, no descriptor left, no memory, or a process that
  /// dropped its privileges and may not open its own /proc/self/fd.
  bool fill(const SlotLine* lines, size_t count);

  const char* path() const { return path_; }

 private:
  struct Seat;
  struct Pool;
  static Pool pool_;

  Seat* seat_ = nullptr;
  Text blank_;  // what takes the place of the passwords, as long as they are
  size_t size_ = 0;
  char path_[32] = {};
};

}  // namespace pqmint
