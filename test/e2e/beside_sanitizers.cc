// SPDX-License-Identifier: PostgreSQL
// Preloaded behind a sanitizer's runtime, against two things that hang beside one:
//
// - libfaketime. Its start needs the sanitizer, whose start asks for the time. Here the seconds that stand in the file
//   $FAKETIME_TIMESTAMP_FILE are added to the wall clock, by calls that no sanitizer stands in front of.
// - freelocale() of libp11-kit's destructor, which comes to libpq by way of LDAP: it waits for a lock of glibc's, with
// or
//   without pqmint. What it would free, the end of the process frees.
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace {

long shift() {
  const char* path = getenv("FAKETIME_TIMESTAMP_FILE");
  if (!path) return 0;
  const int caller = errno;
  char text[32];
  const long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  const long size = fd < 0 ? 0 : syscall(SYS_read, fd, text, sizeof text);
  if (fd >= 0) syscall(SYS_close, fd);
  errno = caller;
  long seconds = 0;
  for (long i = 1; i < size && text[i] >= '0' && text[i] <= '9'; ++i) seconds = seconds * 10 + (text[i] - '0');
  return size > 0 && text[0] == '-' ? -seconds : seconds;
}

}  // namespace

extern "C" {
__attribute__((visibility("default"))) void freelocale(locale_t) noexcept {}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const int status = static_cast<int>(syscall(SYS_clock_gettime, clock, now));
  if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
  return status;
}

__attribute__((visibility("default"))) time_t time(time_t* out) noexcept {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

__attribute__((visibility("default"))) int gettimeofday(timeval* out, void*) noexcept {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  *out = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}
}
