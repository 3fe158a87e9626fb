// SPDX-License-Identifier: PostgreSQL
// Calls that a signal may interrupt or that may do part of what was asked: on a network file system, or a pipe.
//
// A handler that a host installs without SA_RESTART makes them fail with EINTR. All of these leave errno as the call
// that failed did, and take no memory.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

namespace pqmint {

inline int open_again(const char* path, int flags, mode_t mode = 0) {
  int fd;
  do {
    fd = open(path, flags, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/// Calls `part(done)`, which gives what a read() or write() of the rest gave, until `size` bytes are done or it is at
/// the end. How many were done; -1 if it failed.
template <typename Part>
ssize_t transfer(size_t size, Part part) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count = part(done);
    if (count == 0) break;
    if (count > 0) done += static_cast<size_t>(count);
    if (count < 0 && errno != EINTR) return -1;
  }
  return static_cast<ssize_t>(done);
}

inline ssize_t read_all(int fd, void* room, size_t size) {
  return transfer(size, [=](size_t done) { return read(fd, static_cast<char*>(room) + done, size - done); });
}

inline ssize_t read_all_at(int fd, void* room, size_t size, off_t at) {
  return transfer(size, [=](size_t done) {
    return pread(fd, static_cast<char*>(room) + done, size - done, at + static_cast<off_t>(done));
  });
}

inline ssize_t write_all(int fd, const void* bytes, size_t size) {
  return transfer(size, [=](size_t done) { return write(fd, static_cast<const char*>(bytes) + done, size - done); });
}

/// From the beginning of the file.
inline ssize_t write_all_over(int fd, const void* bytes, size_t size) {
  return transfer(size, [=](size_t done) {
    return pwrite(fd, static_cast<const char*>(bytes) + done, size - done, static_cast<off_t>(done));
  });
}

}  // namespace pqmint
