// SPDX-License-Identifier: PostgreSQL
// Hosts and passwords in, the path of a password file in memory out.

#include "preload/slot.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/transfer.h"

namespace pqmint {
namespace {

// Above the numbers that programs hand out by hand (dup2 to 0..9, inetd, systemd's socket activation from 3 on).
constexpr int kLowestDescriptor = 100;

int new_memfd() {
#ifdef MFD_NOEXEC_SEAL
  int fd = memfd_create("pqmint", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  if (fd >= 0) return fd;
#endif
  return memfd_create("pqmint", MFD_CLOEXEC);
}

bool overwrite(int fd, const char* data, size_t size) {
  return write_all_over(fd, data, size) == static_cast<ssize_t>(size);
}

// Escaping every character, not only ':' and '\', keeps a host that is "*" from matching all hosts.
char* escaped(char* at, const char* text) {
  for (; *text; ++text) {
    *at++ = '\\';
    *at++ = *text;
  }
  return at;
}

// What libpq takes the backslashes out of stays behind it in freed memory, so a token gets no more of them than it
// needs.
char* escaped_where_needed(char* at, const char* text) {
  for (; *text; ++text) {
    if (*text == ':' || *text == '\\') *at++ = '\\';
    *at++ = *text;
  }
  return at;
}

}  // namespace

// A descriptor number and the file that we put there. The file is checked before each use: a daemon that closes all
// descriptors when it starts may since have got the number for a file of its own, and that is not ours to write to.
struct Slot::Seat {
  int fd;
  pid_t owner;  // a forked child shares the parent's file and must not write to it
  dev_t device;
  ino_t inode;
  pthread_t thread;    // that took it
  const Slot* holder;  // on that thread's stack; null: free
  Seat* next;

  bool holds_our_file() const {
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
  }

  bool is_our_own() const { return owner == getpid() && holds_our_file(); }

  // Whether its slot was left by longjmp (an alarm is a usual way to bound a connect): a new one of the same thread now
  // lies where it lay, or above it on the stack. (A thread that has another one's identity has its stack too.)
  bool is_deserted(const Slot* fresh) const {
    return holder && holder <= fresh && pthread_equal(thread, pthread_self());
  }

  bool make_ready() {
    const bool held = holds_our_file();
    if (held && owner == getpid()) return true;
    int made = new_memfd();
    if (made < 0) return false;
    struct stat st;
    if (fchmod(made, S_IRUSR | S_IWUSR) != 0 || fstat(made, &st) != 0) return close(made), false;
    int number;
    if (held) {
      number = dup3(made, fd, O_CLOEXEC);
    } else {
      number = fcntl(made, F_DUPFD_CLOEXEC, kLowestDescriptor);
      if (number < 0) number = fcntl(made, F_DUPFD_CLOEXEC, 3);
    }
    close(made);
    if (number < 0) return false;
    fd = number;
    owner = getpid();
    device = st.st_dev;
    inode = st.st_ino;
    return true;
  }
};

struct Slot::Pool {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  Seat* seats = nullptr;
  bool follows_forks = false;

  // A fork in another thread must not leave the lock held for ever in the child.
  static void before_fork() { pthread_mutex_lock(&pool_.lock); }
  static void after_fork() { pthread_mutex_unlock(&pool_.lock); }
  static void in_child() {
    // The threads that held a seat do not exist here.
    for (Seat* seat = pool_.seats; seat; seat = seat->next) seat->holder = nullptr;
    pthread_mutex_unlock(&pool_.lock);
  }

  Seat* take(const Slot* slot) {
    pthread_mutex_lock(&lock);
    if (!follows_forks) follows_forks = pthread_atfork(before_fork, after_fork, in_child) == 0;
    Seat* seat = nullptr;
    for (Seat* each = seats; each; each = each->next) {
      if (each->is_deserted(slot)) {
        // Its passwords stand in there still, and may be longer than those that come.
        if (each->is_our_own() && ftruncate(each->fd, 0) != 0) continue;
        each->holder = nullptr;
      }
      if (!each->holder && !seat) seat = each;
    }
    if (!seat && (seat = static_cast<Seat*>(calloc(1, sizeof(Seat)))) != nullptr) {
      seat->fd = -1;
      seat->next = seats;
      seats = seat;
    }
    if (seat) {
      seat->thread = pthread_self();
      seat->holder = slot;
    }
    pthread_mutex_unlock(&lock);
    return seat;
  }

  void give_back(Seat* seat) {
    pthread_mutex_lock(&lock);
    seat->holder = nullptr;
    pthread_mutex_unlock(&lock);
  }
};

constinit Slot::Pool Slot::pool_;

bool Slot::fill(const SlotLine* lines, size_t count) {
  size_t most = 0, longest = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t line = 2 * (strlen(lines[i].host) + strlen(lines[i].port) + strlen(lines[i].password)) +
                        sizeof "::*:*::\n" + kSlotPadding;
    longest = line > longest ? line : longest;
    most += line;
  }
  Text text(static_cast<char*>(malloc(longest + 1 + most)));
  if (!text) return false;
  char* at = text.get();
  // libpq reads line by line into a buffer that grows, and what it outgrows stays behind in freed memory: with our
  // padding that would be five copies of a token. It grows at the first line, so that is one without a secret.
  memset(at, '#', longest);
  at += longest;
  *at++ = '\n';
  for (size_t i = 0; i < count; ++i) {
    at = escaped(at, lines[i].host);
    *at++ = ':';
    at = escaped(at, lines[i].port);
    at = stpcpy(at, ":*:*:");
    at = escaped_where_needed(at, lines[i].password);
    *at++ = ':';
    memset(at, 'p', kSlotPadding);
    at += kSlotPadding;
    *at++ = '\n';
  }
  size_ = static_cast<size_t>(at - text.get());
  seat_ = pool_.take(this);
  bool filled = seat_ && seat_->make_ready() && overwrite(seat_->fd, text.get(), size_);
  memset(text.get(), '#', size_);
  if (size_ > 0) text.get()[size_ - 1] = '\n';
  blank_ = std::move(text);
  if (filled) {
    snprintf(path_, sizeof path_, "/proc/self/fd/%d", seat_->fd);
    // libpq would go on without a password, in silence, if it could not open the path: better to know it here.
    const int readable = open_again(path_, O_RDONLY | O_CLOEXEC);
    filled = readable >= 0;
    if (filled) close(readable);
  }
  return filled;
}

Slot::~Slot() {
  if (!seat_ || seat_->holder != this) return;
  if (seat_->is_our_own()) {
    // A comment is a password file without an entry: silent, whoever opens it later. To cut the file off would cost
    // three times as much, for its pages would be freed and made anew at the next connect; and they would be freed with
    // the token in them.
    if (!overwrite(seat_->fd, blank_.get(), size_) && ftruncate(seat_->fd, 0) != 0) {
      // Cannot fail on a memfd of our own; if it did, the file would go with the process.
    }
  }
  pool_.give_back(seat_);
}

}  // namespace pqmint
