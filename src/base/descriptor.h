// SPDX-License-Identifier: PostgreSQL
// A descriptor that is closed on every way out, exceptions included.
#pragma once

#include <unistd.h>

namespace pqmint {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }
  /// Closes it. Gives what close() gave: a network file system may say only then that the disk is full.
  int reset(int fd = -1) {
    const int failure = fd_ >= 0 ? close(fd_) : 0;
    fd_ = fd;
    return failure;
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace pqmint
