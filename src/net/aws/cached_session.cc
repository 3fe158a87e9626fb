// SPDX-License-Identifier: PostgreSQL
// When a cached login is refreshed, and how it is kept from being lost by that (spec/aws.md 4.7, 4.8, 5).

#include "net/aws/cached_session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/shown.h"
#include "base/transfer.h"
#include "net/aws/cache_file.h"
#include "net/digest.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;

/// How long a refresh may take while the old session lives: a service that does not answer must not cost the login.
constexpr milliseconds kWhileItLives{5000};
constexpr int kBetweenLooks = 20;  // ms
constexpr int64_t kYear = 366 * 24 * 60 * 60;

/// The folder that the file is in, whatever links lead to it; empty if there is none.
std::string folder_of(const std::string& path) {
  std::error_code failure;
  return std::filesystem::canonical(path, failure).parent_path().string();
}

/// One process at a time refreshes: the second one would come with a refresh token that has been spent already, and a
/// service may take that for theft. Who waits longer than `patience` goes on without: the lock is a courtesy among
/// pqmint's processes, the CLI and the SDKs take none.
class RefreshLock {
 public:
  RefreshLock(const std::string& folder, const Deadline& patience)
      : fd_(open_again(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    while (fd_ >= 0 && flock(fd_, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR) &&
           !patience.over()) {
      poll(nullptr, 0, kBetweenLooks);
    }
  }
  ~RefreshLock() {
    if (fd_ < 0) return;
    flock(fd_, LOCK_UN);  // close() alone would not do: a child that another thread forked has the descriptor too
    close(fd_);
  }
  RefreshLock(const RefreshLock&) = delete;
  RefreshLock& operator=(const RefreshLock&) = delete;

 private:
  const int fd_;
};

}  // namespace

Result<Document> living_session(const CachedSession& session, Document cached, const Deadline& deadline) {
  const auto left = [&](const Json::Value& object) { return session.expiry(object).value_or(0) - time(nullptr); };
  if (left(cached) > session.window) return cached;

  const std::string folder = folder_of(session.path);
  const bool is_kept = faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
  const bool lives = left(cached) > 0;
  // A refresh token that rotates into nowhere logs the user's CLI out. While there is another way, it is not spent.
  if (lives && !is_kept) return cached;

  const Deadline end = lives ? deadline.no_later_than(std::min(kWhileItLives, deadline.left() / 2)) : deadline;
  const RefreshLock lock(folder, end.no_later_than(end.left() / 2));
  // Whoever had the lock, or the CLI, may have refreshed in the meantime.
  if (auto again = read_cache_file(session.path); again && session.expiry(*again)) {
    cached = std::move(*again);
    if (left(cached) > session.window) return cached;
  }

  auto fresh = session.refresh(cached, end);
  if (fresh) {
    // Saved before it is used. If that fails although nothing spoke against it (a full disk), or the session was dead
    // and its folder read-only (a container with the home of its host), the login goes on: the new session is good,
    // and failing here would lose it together with the old one. What is lost is the next refresh, in an hour or so;
    // its error says `aws sso login`, which is what mends it.
    static_cast<void>(write_cache_file(session.path, *fresh));
    return fresh;
  }
  // The CLI, which takes no lock, may have spent the same refresh token a moment ago and saved what it got.
  if (auto theirs = read_cache_file(session.path); theirs && *theirs != cached && left(*theirs) > 0)
    return std::move(*theirs);
  if (left(cached) > 0) return cached;
  if (is_kept) return fresh;
  return Error{fresh.error().text + " (" + shown(folder, kShownPath) +
               " cannot be written, so a session that was refreshed cannot be kept there)"};
}

Result<std::string> session_path(std::string_view directory, const char* algorithm, std::string_view key) {
  const std::string name = hex(digest(algorithm, key));
  if (name.empty()) {
    return Error{"OpenSSL could not compute " + std::string(algorithm) +
                 ", which the name of a cache file is made of; is it restricted by its configuration (OPENSSL_CONF)?"};
  }
  return std::string(directory) + "/" + name + ".json";
}

std::string instant_after(int64_t seconds) {
  const time_t then = time(nullptr) + std::min(seconds, kYear);
  struct tm parts = {};
  char text[32];
  gmtime_r(&then, &parts);
  return {text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace pqmint
