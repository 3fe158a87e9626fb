// SPDX-License-Identifier: PostgreSQL
// One profile as both of AWS's shared files have it, and the settings that a session takes from it or the environment.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/aws_files.h"

namespace pqmint {

/// A variable's value without surrounding white space (a newline from `export X="$(cat file)"`, a CR from an env file:
/// no key holds any), empty if it is not set. Borrowed from the environment.
std::string_view variable(const char* name);

/// Which profile counts, and who said so.
struct ProfileChoice {
  std::string name = "default";
  std::string_view asked_by;  // a variable's name or "profile="; empty: nobody

  /// `asked` by a token spec, else AWS_PROFILE, else AWS_DEFAULT_PROFILE: CLI v2's order; its predecessor had it the
  /// other way round. An empty variable is not set.
  static ProfileChoice make(const std::string& asked);
};

class Profile {
 public:
  /// Fails if a file cannot be read, or if a profile was asked for that is in neither. `default` need not exist.
  static Result<Profile> read(const ProfileChoice& choice);

  /// Another profile of the same files; nothing in it if they have none of that name.
  Profile other(std::string_view name) const;

  const std::string& name() const { return name_; }
  bool exists() const { return sections_[0] != nullptr || sections_[1] != nullptr; }

  /// A setting of either file; the credentials file wins. Empty if neither sets it.
  std::string_view operator[](std::string_view key) const;
  bool sets(std::string_view key) const { return !(*this)[key].empty(); }
  /// Whether it has a line for it, though without a value.
  bool leaves_empty(std::string_view key) const;

  /// The profile's section of one file, NULL if that has none.
  const AwsSection* in(AwsFileKind kind) const { return sections_[index(kind)]; }
  /// A section [sso-session NAME] or [services NAME], NULL if there is none.
  const AwsSection* sso_session(std::string_view name) const;
  const AwsSection* services(std::string_view name) const;

  /// "~/.aws/config or ~/.aws/credentials", with the paths that really count.
  static std::string places();

 private:
  static size_t index(AwsFileKind kind) { return kind == AwsFileKind::kCredentials ? 0 : 1; }
  Error missing(const ProfileChoice& choice) const;

  std::string name_;
  std::shared_ptr<const AwsFile> files_[2];  // credentials, config: they own the sections
  const AwsSection* sections_[2] = {};
};

}  // namespace pqmint
