// SPDX-License-Identifier: PostgreSQL
// The token caches that the AWS CLI and the SDKs share on disk (spec/aws.md 5).

#include "net/aws/cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "base/descriptor.h"
#include "base/shown.h"
#include "base/transfer.h"
#include "net/token_file.h"

namespace pqmint {
namespace {

constexpr size_t kMaxCacheFile = 1 << 20;
/// The AWS CLI truncates a file and writes it anew. What is caught in between is whole after this time.
constexpr int kHalfWritten = 50;  // ms

/// The file stays its owner's when root works with a user's home (sudo -E): else the user's own CLI is locked out.
bool give_to_owner_of(const struct stat& old, int fd) {
  return old.st_uid == geteuid() || fchown(fd, old.st_uid, old.st_gid) == 0;
}

}  // namespace

std::optional<Document> read_cache_file(const std::string& path) {
  for (const bool is_last : {false, true}) {
    const auto bytes = read_small_file(path, kMaxCacheFile);
    if (!bytes) return std::nullopt;
    auto object = parse_json_object(bytes->reveal());
    if (object || is_last) return object;
    poll(nullptr, 0, kHalfWritten);
  }
  return std::nullopt;
}

Result<bool> write_cache_file(const std::string& path, const Json::Value& object) {
  const auto fault = [&] {
    char reason[128];
    return Error{"cannot rewrite " + shown(path, kShownPath) + ": " + strerror_r(errno, reason, sizeof reason)};
  };
  // A link (to a folder that several machines share, say) stays one. A file that is not there any more is not made
  // anew: `aws sso logout` has just deleted it.
  const std::unique_ptr<char, decltype(&free)> target(realpath(path.c_str(), nullptr), free);
  struct stat old;
  if (!target || stat(target.get(), &old) != 0) return fault();

  // First what takes memory: nothing may stay behind.
  const Secret text = to_json(object, true);
  // The CLI takes every *.json in the folder for a token of its own.
  std::string temporary = std::string(target.get()) + ".XXXXXX";
  Descriptor fd(mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  const auto size = static_cast<ssize_t>(text.size());
  const bool is_made = fd.get() >= 0;
  bool good = is_made && write_all(fd.get(), text.c_str(), text.size()) == size && give_to_owner_of(old, fd.get()) &&
              fsync(fd.get()) == 0;
  int error = errno;
  if (fd.reset() != 0 && good) good = false, error = errno;
  if (good && rename(temporary.c_str(), target.get()) == 0) return true;
  if (good) error = errno;
  if (is_made) unlink(temporary.c_str());
  errno = error;
  return fault();
}

}  // namespace pqmint
