// SPDX-License-Identifier: PostgreSQL
// A file with one token in it.

#include "net/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/descriptor.h"
#include "base/shown.h"
#include "base/text.h"
#include "base/transfer.h"

namespace pqmint {

Result<Secret> read_small_file(const std::string& path, size_t most) {
  const auto fault = [&](const std::string& why) {
    return Error{"cannot read " + shown(path, kShownPath) + ": " + why};
  };
  // A pipe without a writer must not hold the host up.
  const Descriptor fd(open_again(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  char reason[128];
  if (fd.get() < 0) return fault(strerror_r(errno, reason, sizeof reason));
  std::vector<char> bytes(most + 1);
  size_t size = 0;
  int error = 0;
  struct stat info;
  if (fstat(fd.get(), &info) != 0) error = errno;
  if (error == 0 && S_ISDIR(info.st_mode)) error = EISDIR;
  if (error == 0) {
    const ssize_t count = read_all(fd.get(), bytes.data(), bytes.size());
    if (count < 0) error = errno;
    size = static_cast<size_t>(std::max<ssize_t>(count, 0));
  }
  Secret out(std::string_view(bytes.data(), size));
  explicit_bzero(bytes.data(), bytes.size());
  if (error != 0) return fault(strerror_r(error, reason, sizeof reason));
  if (size > most) return fault("it is larger than " + std::to_string(most) + " bytes");
  return out;
}

Result<Secret> read_token_file(const std::string& path, size_t most) {
  auto bytes = read_small_file(path, most);
  if (!bytes) return bytes;
  const std::string_view text = trim(bytes->reveal());
  if (text.empty()) return Error{shown(path, kShownPath) + " is empty"};
  return Secret(text);
}

}  // namespace pqmint
