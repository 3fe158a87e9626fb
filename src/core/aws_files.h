// SPDX-License-Identifier: PostgreSQL
// AWS's shared config and credentials files: their paths come in, profiles and sections go out.
//
// The SDKs disagree about the details of the format. pqmint reads leniently whatever any of them
// takes for a setting: a profile that works elsewhere must not be missing here, for then another
// identity would be used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace pqmint {

/// Real files are a few KiB; 1 MiB bounds what a wrong path (a log, a dump) can cost.
inline constexpr size_t kMaxAwsFile = 1 << 20;

enum class AwsFileKind : uint8_t { kConfig, kCredentials };

/// Key to value; keys in lower case, settings of a nested block as "s3.max_concurrent_requests".
/// Any value may be a secret.
using AwsSection = std::map<std::string, Secret, std::less<>>;
using AwsSections = std::map<std::string, AwsSection, std::less<>>;

struct AwsFile {
  AwsSections profiles;
  AwsSections sso_sessions;  // config file only
  AwsSections services;      // config file only
};

/// The value of `key`, empty if the section does not set it or sets it to nothing.
std::string_view value_of(const AwsSection& section, std::string_view key);

/// Parses the bytes of a file. Never fails: what cannot be understood is left out. Thread-safe.
AwsFile parse_aws_file(std::string_view text, AwsFileKind kind);

struct AwsFilePath {
  std::string path;
  bool named = false;  // by AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE, not by default
};

/// `path` with ~, ~user, $NAME and ${NAME} expanded as Python does it; what is not set stays as written.
std::string expanded_path(const std::string& path);

/// Where the file is looked for: the environment's path with ~, ~user, $NAME and ${NAME} expanded,
/// else in ~/.aws.
AwsFilePath aws_file_path(AwsFileKind kind);

/// The file as it is now, parsed; an empty one if there is none. A file that is there and cannot be
/// read is an error. Kept in memory until it changes. Thread-safe. May wait up to 5 s if the path
/// names a pipe.
Result<std::shared_ptr<const AwsFile>> read_aws_file(AwsFileKind kind);

}  // namespace pqmint
