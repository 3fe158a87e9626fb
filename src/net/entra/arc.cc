// SPDX-License-Identifier: PostgreSQL
// Azure Arc's challenge comes in, the key that it asks for goes out (spec/azure.md 2.10).

#include "net/entra/arc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/descriptor.h"
#include "base/shown.h"
#include "base/text.h"
#include "base/transfer.h"

namespace pqmint {
namespace {

constexpr std::string_view kKeyDirectory = "/var/opt/azcmagent/tokens/";
constexpr size_t kMaxKey = 4096;

std::string why_not_opened(int error) {
  if (error == EACCES) {
    return "permission denied; add the user of this program to the group himds (sudo usermod -aG himds USER) and start "
           "it again";
  }
  if (error == ELOOP) return "it is a link, and none is followed";
  char reason[128];
  return std::string(strerror_r(error, reason, sizeof reason)) + "; see whether the agent is well (azcmagent show)";
}

Result<Secret> read_key(const std::string& path) {
  const auto fault = [&](const std::string& why) {
    return Error{"cannot read Azure Arc's key " + shown(path, kShownPath) + ": " + why};
  };
  // A pipe must not hold the host up.
  const Descriptor fd(open_again(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (fd.get() < 0) return fault(why_not_opened(errno));
  struct stat info;
  const bool is_file = fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode);
  char bytes[kMaxKey + 1];
  const ssize_t count = is_file ? read_all(fd.get(), bytes, sizeof bytes) : 0;
  std::string_view text(bytes, static_cast<size_t>(std::max<ssize_t>(count, 0)));
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  // It becomes a header, and a control character could end that.
  const bool is_good = !text.empty() && text.size() <= kMaxKey && !has_controls(text);
  Secret key(is_good ? text : std::string_view());
  explicit_bzero(bytes, sizeof bytes);
  if (!is_file) return fault("it is no regular file");
  if (static_cast<size_t>(count) > kMaxKey) return fault("it is larger than " + std::to_string(kMaxKey) + " bytes");
  if (!is_good) return fault("it holds no key; see whether the agent is well (azcmagent show)");
  return key;
}

}  // namespace

Result<Secret> arc_key(const HttpResponse& challenge, const Settings& settings) {
  const std::string_view text = challenge.header("www-authenticate");
  constexpr std::string_view kBasic = "Basic realm=";
  if (challenge.status != 401 || !text.starts_with(kBasic)) {
    return Error{"Azure Arc gave no challenge that names a key file (" + challenge.description() +
                 "); is it really its agent that answers at IDENTITY_ENDPOINT?"};
  }
  const std::string path(text.substr(kBasic.size()));
  const std::string_view given = settings["arc_key_directory"];
  const std::string folder(given.empty() ? kKeyDirectory : given);
  if (!path.starts_with(folder) || path.find('/', folder.size()) != path.npos || !path.ends_with(".key")) {
    return Error{"Azure Arc's challenge names " + shown(path, kShownPath) +
                 ", which is not read: it is no .key file in " + folder +
                 "; is it really its agent that answers at IDENTITY_ENDPOINT?"};
  }
  return read_key(path);
}

}  // namespace pqmint
