// SPDX-License-Identifier: PostgreSQL
// AWS's shared config and credentials files: their paths come in, profiles and sections go out.

#include "core/aws_files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/descriptor.h"
#include "base/log.h"
#include "base/shown.h"
#include "base/small_cache.h"
#include "base/text.h"
#include "base/transfer.h"

namespace pqmint {
namespace {

// -------------------------------------------------------------------------------------- the format

constexpr std::string_view kBlank = " \t";
/// No setting that has a block under it has a longer name. The name stands before each of the block's: without a bound
/// a file of 1 MiB could ask for gigabytes.
constexpr size_t kLongestBlockName = 128;
constexpr size_t kNone = std::string_view::npos;

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/// trim(), and what else Python's strip() takes for white space: whoever copies from a web page brings no-break spaces.
std::string_view strip(std::string_view text) {
  constexpr std::string_view kSpaces[] = {
      "\x1C",         "\x1D",         "\x1E",         "\x1F",         "\xC2\x85",     "\xC2\xA0",
      "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84",
      "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A",
      "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
  // Nearly every text ends in plain characters at both sides.
  const auto is_plain = [](char c) { return c > ' ' && c < '\x7f'; };
  for (size_t before = text.size() + 1; text.size() < before;) {
    before = text.size();
    text = trim(text);
    if (text.empty() || (is_plain(text.front()) && is_plain(text.back()))) return text;
    for (const std::string_view space : kSpaces) {
      if (text.starts_with(space)) text.remove_prefix(space.size());
      if (text.ends_with(space)) text.remove_suffix(space.size());
    }
  }
  return text;
}

/// Cuts off ` # ...` and ` ; ...`. Only behind a blank, because secrets and URLs hold such
/// characters too. (JS and Go do; botocore keeps the comment as part of the value, which is never
/// what was meant.)
std::string_view without_comment(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    if ((text[i] == '#' || text[i] == ';') && is_blank(text[i - 1])) return text.substr(0, i);
  }
  return text;
}

/// `"my profile"` -> `my profile`.
std::string_view unquoted(std::string_view text) {
  const bool quoted = text.size() >= 2 && (text[0] == '"' || text[0] == '\'') && text.back() == text[0];
  return quoted ? text.substr(1, text.size() - 2) : text;
}

/// Follows Python's configparser, which botocore reads with, in what a line is; the rest is noted
/// where it is decided.
class Parser {
 public:
  explicit Parser(AwsFileKind kind) : kind_(kind) {}

  void line(std::string_view raw) {
    const std::string_view text = strip(raw);
    if (text.empty() || text[0] == '#' || text[0] == ';') return;
    const auto indent = static_cast<size_t>(text.data() - raw.data());
    // A line continues a setting if it stands further in than the setting itself: whole sections
    // may be indented.
    if (value_ != nullptr && indent > indent_) return continuation(text);
    indent_ = indent;
    value_ = nullptr;
    if (text[0] == '[') return header(text);
    if (section_ != nullptr) setting(text);
  }

  AwsFile finish() && {
    // `[profile default]` is the one that counts when both are there, as in the SDKs for JS and Go.
    if (plain_default_) file_.profiles.try_emplace("default", std::move(*plain_default_));
    return std::move(file_);
  }

 private:
  void header(std::string_view text) {
    // Without its end it is no header, and what follows must not be taken for the section before.
    section_ = nullptr;
    const size_t end = text.find(']');
    if (end == kNone) return;
    const std::string_view name = strip(text.substr(1, end - 1));
    if (kind_ == AwsFileKind::kCredentials) {
      section_ = name.empty() ? nullptr : &file_.profiles[std::string(name)];
    } else if (name == "default") {
      if (!plain_default_) plain_default_.emplace();
      section_ = &*plain_default_;
    } else {
      const size_t blank = name.find_first_of(kBlank);
      // `[foo]`: in the config file only "default" may do without the word "profile".
      if (blank == kNone) return;
      const std::string_view type = name.substr(0, blank);
      AwsSections* sections = type == "profile"       ? &file_.profiles
                              : type == "sso-session" ? &file_.sso_sessions
                              : type == "services"    ? &file_.services
                                                      : nullptr;
      if (sections == nullptr) return;
      section_ = &(*sections)[std::string(unquoted(strip(name.substr(blank))))];
    }
  }

  void setting(std::string_view text) {
    const size_t separator = text.find_first_of("=:");
    if (separator == kNone) return;
    key_ = lower(strip(text.substr(0, separator)));
    if (key_.empty()) return;
    value_ = &(*section_)[key_];
    *value_ = Secret(strip(without_comment(text.substr(separator + 1))));
  }

  /// More lines of a value; or, under a setting without one (`s3 =`), a block of settings.
  void continuation(std::string_view text) {
    if (!value_->empty()) {
      value_->append("\n").append(strip(without_comment(text)));
      return;
    }
    const size_t separator = text.find('=');
    if (separator == kNone || key_.size() > kLongestBlockName) return;
    const std::string name = key_ + "." + lower(strip(text.substr(0, separator)));
    (*section_)[name] = Secret(strip(without_comment(text.substr(separator + 1))));
  }

  const AwsFileKind kind_;
  AwsFile file_;
  std::optional<AwsSection> plain_default_;
  AwsSection* section_ = nullptr;
  Secret* value_ = nullptr;  // the setting that an indented line would continue
  std::string key_;
  size_t indent_ = 0;
};

// ---------------------------------------------------------------------------------------- the path

std::string home_of(std::string_view user) {
  if (user.empty()) {
    const char* home = getenv("HOME");
    if (home != nullptr && *home != '\0') return home;
  }
  // glibc's own suggestion (_SC_GETPW_R_SIZE_MAX) is 1 KiB, too little for some directories.
  std::vector<char> room(16 * 1024);
  passwd entry;
  passwd* found = nullptr;
  const int status = user.empty() ? getpwuid_r(geteuid(), &entry, room.data(), room.size(), &found)
                                  : getpwnam_r(std::string(user).c_str(), &entry, room.data(), room.size(), &found);
  return status == 0 && found != nullptr ? found->pw_dir : "";
}

/// As Python's expanduser(): `~` and `~user` at the beginning; an unknown user stays as written.
std::string with_home(const std::string& path) {
  if (path.empty() || path[0] != '~') return path;
  const size_t slash = std::min(path.find('/'), path.size());
  const std::string home = home_of(std::string_view(path).substr(1, slash - 1));
  return home.empty() ? path : home + path.substr(slash);
}

/// As Python's expandvars(): $NAME and ${NAME}; what is not set stays as written.
std::string with_variables(std::string_view path) {
  const auto in_name = [](char c) { return is_alphanumeric(c) || c == '_'; };
  std::string out;
  while (!path.empty()) {
    const size_t dollar = std::min(path.find('$'), path.size());
    out.append(path.substr(0, dollar));
    path.remove_prefix(dollar);
    if (path.empty()) break;
    size_t length = 1;  // of the reference
    std::string_view name;
    if (path.size() > 1 && path[1] == '{') {
      const size_t end = path.find('}');
      if (end != kNone) {
        length = end + 1;
        name = path.substr(2, end - 2);
      }
    } else {
      while (length < path.size() && in_name(path[length])) ++length;
      name = path.substr(1, length - 1);
    }
    const char* value = name.empty() ? nullptr : getenv(std::string(name).c_str());
    out.append(value != nullptr ? std::string_view(value) : path.substr(0, length));
    path.remove_prefix(length);
  }
  return out;
}

// ---------------------------------------------------------------------------------------- the file

/// Process substitution, <(...), names a pipe; whoever writes it has this long.
constexpr int64_t kPipePatience = 5'000;  // ms

/// A file changed twice within one tick of the kernel's clock (4 ms at 250 Hz) carries one time for
/// both. What changed so lately is parsed but not kept.
constexpr int64_t kTooFresh = 50'000'000;  // ns

int64_t nanoseconds(const timespec& time) {
  return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
}

int64_t clock_ns(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return nanoseconds(time);
}

/// What tells one state of a file from another.
struct Version {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  int64_t modified = 0;
  int64_t changed = 0;

  explicit Version(const struct stat& info)
      : device(info.st_dev),
        inode(info.st_ino),
        size(info.st_size),
        modified(nanoseconds(info.st_mtim)),
        changed(nanoseconds(info.st_ctim)) {}
  bool operator==(const Version&) const = default;
};

struct KeptFile {
  Version version;
  AwsFile file;
};

/// The bytes of a file that holds secret keys: wiped when they have been parsed.
struct Bytes {
  explicit Bytes(size_t room) : data(room) {}
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() { explicit_bzero(data.data(), data.size()); }

  std::vector<char> data;
  size_t size = 0;
};

Error cannot_read(const std::string& path, const std::string& why) {
  return Error{"cannot read " + shown(path, kShownPath) + ": " + why +
               "; mend it, or name another file with AWS_CONFIG_FILE or "
               "AWS_SHARED_CREDENTIALS_FILE"};
}

std::string reason(int error) {
  char room[128];
  return strerror_r(error, room, sizeof room);
}

/// Reads to the end or until `out` is full; gives errno's value, ETIMEDOUT for a pipe that stays
/// silent, 0 if all is well.
int read_all(int fd, bool pipe, Bytes& out) {
  const int64_t deadline = clock_ns(CLOCK_MONOTONIC) / 1'000'000 + kPipePatience;
  while (out.size < out.data.size()) {
    if (pipe) {
      const int64_t left = deadline - clock_ns(CLOCK_MONOTONIC) / 1'000'000;
      if (left <= 0) return ETIMEDOUT;
      pollfd wait = {fd, POLLIN, 0};
      if (poll(&wait, 1, static_cast<int>(left)) <= 0) continue;
    }
    const ssize_t count = read(fd, out.data.data() + out.size, out.data.size() - out.size);
    if (count == 0) return 0;
    if (count > 0) {
      out.size += static_cast<size_t>(count);
    } else if (errno != EINTR && (errno != EAGAIN || !pipe)) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

std::string_view value_of(const AwsSection& section, std::string_view key) {
  const auto found = section.find(key);
  return found == section.end() ? std::string_view() : found->second.reveal();
}

AwsFile parse_aws_file(std::string_view text, AwsFileKind kind) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  Parser parser(kind);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    parser.line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return std::move(parser).finish();
}

std::string expanded_path(const std::string& path) {
  return with_home(with_variables(path));
}

AwsFilePath aws_file_path(AwsFileKind kind) {
  const bool config = kind == AwsFileKind::kConfig;
  const char* named = getenv(config ? "AWS_CONFIG_FILE" : "AWS_SHARED_CREDENTIALS_FILE");
  if (named != nullptr && *named != '\0') return {expanded_path(named), true};
  return {expanded_path(config ? "~/.aws/config" : "~/.aws/credentials"), false};
}

Result<std::shared_ptr<const AwsFile>> read_aws_file(AwsFileKind kind) {
  constinit static SmallCache<std::string, KeptFile, 8> kept;
  const auto share = [](const std::shared_ptr<const KeptFile>& file) {
    return std::shared_ptr<const AwsFile>(file, &file->file);
  };
  const auto [path, named] = aws_file_path(kind);

  // Not to wait for a pipe's writer in open(), where there is no time limit, and never to acquire a
  // terminal.
  const Descriptor fd(open_again(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd.get() < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return std::make_shared<const AwsFile>();
    // A home that is closed to this user (HOME=/root left over in a container) holds no profile
    // that was meant for it. A file that is there but closed may well name the identity that was
    // meant, and using another would be worse.
    struct stat info;
    const bool closed_home = error == EACCES && !named && stat(path.c_str(), &info) != 0;
    if (closed_home) return std::make_shared<const AwsFile>();
    return cannot_read(path, reason(error));
  }

  struct stat info;
  if (fstat(fd.get(), &info) != 0) return cannot_read(path, reason(errno));
  const bool pipe = S_ISFIFO(info.st_mode);
  const bool null = S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);  // /dev/null: "no file", said outright
  if (S_ISDIR(info.st_mode)) return cannot_read(path, "it is a directory");
  if (!S_ISREG(info.st_mode) && !pipe && !null) {
    return cannot_read(path, "it is neither a file nor a pipe");
  }

  // AWS's own tools read it all the same, and on a file system without modes every file looks so.
  const bool is_others = info.st_uid != geteuid() && info.st_uid != 0;
  if (!null && (is_others || (info.st_mode & S_IWOTH) != 0)) {
    LogLine(LogLevel::kInfo, "file")
        .with("path", path.c_str())
        .with("note", is_others ? "belongs to another user" : "may be written by everybody");
  }

  const std::string name = (kind == AwsFileKind::kConfig ? "config " : "credentials ") + path;
  const Version before(info);
  if (const auto known = kept.find(name); known && known->version == before) return share(known);

  // One byte more than the file has, so that growth is seen, and one more than is allowed.
  const size_t expected = pipe ? kMaxAwsFile : std::min(static_cast<size_t>(info.st_size), kMaxAwsFile);
  Bytes bytes(expected + 1);
  if (const int error = read_all(fd.get(), pipe, bytes); error != 0) {
    return cannot_read(path, error == ETIMEDOUT ? "nothing was written to the pipe for 5 s" : reason(error));
  }
  if (bytes.size > kMaxAwsFile) {
    return cannot_read(path, "it is larger than 1 MiB, which no AWS configuration is");
  }

  // What Windows PowerShell's `>` writes. As bytes it has no profile, and another identity would be used.
  const std::string_view text(bytes.data.data(), bytes.size);
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    return cannot_read(path, "it is UTF-16, and must be UTF-8");
  }

  if (fstat(fd.get(), &info) != 0) return cannot_read(path, reason(errno));
  const Version after(info);
  auto file = std::make_shared<const KeptFile>(KeptFile{after, parse_aws_file(text, kind)});
  // A pipe gives its bytes once: keep them, for the next connection will find it empty.
  const bool settled = before == after && clock_ns(CLOCK_REALTIME) - after.changed > kTooFresh;
  if (pipe || settled) kept.put(name, file);
  return share(file);
}

}  // namespace pqmint
