// SPDX-License-Identifier: PostgreSQL
// One profile as both of AWS's shared files have it.

#include "core/aws_profile.h"

#include <stdlib.h>

#include <algorithm>
#include <set>

#include "base/shown.h"
#include "base/text.h"

namespace pqmint {
namespace {

/// How many profiles an error text lists, and how much of a name it shows.
constexpr size_t kListedProfiles = 8;
constexpr size_t kShownName = 40;

const AwsSection* section_of(const AwsSections& sections, std::string_view name) {
  const auto found = sections.find(name);
  return found == sections.end() ? nullptr : &found->second;
}

}  // namespace

std::string_view variable(const char* name) {
  const char* value = getenv(name);
  return trim(value != nullptr ? value : "");
}

ProfileChoice ProfileChoice::make(const std::string& asked) {
  if (!asked.empty()) return {asked, "profile="};
  for (const char* name : {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"}) {
    const std::string_view value = variable(name);
    if (!value.empty()) return {std::string(value), name};
  }
  return {};
}

Result<Profile> Profile::read(const ProfileChoice& choice) {
  Profile profile;
  for (const AwsFileKind kind : {AwsFileKind::kCredentials, AwsFileKind::kConfig}) {
    auto file = read_aws_file(kind);
    if (!file) return file.error();
    profile.files_[index(kind)] = std::move(*file);
  }
  profile = profile.other(choice.name);
  if (!profile.exists() && choice.name != "default") return profile.missing(choice);
  return profile;
}

Profile Profile::other(std::string_view name) const {
  Profile profile;
  profile.name_ = name;
  for (size_t i = 0; i < 2; ++i) {
    profile.files_[i] = files_[i];
    profile.sections_[i] = section_of(files_[i]->profiles, name);
  }
  return profile;
}

std::string_view Profile::operator[](std::string_view key) const {
  for (const AwsSection* section : sections_) {
    if (section == nullptr) continue;
    if (const std::string_view value = value_of(*section, key); !value.empty()) return value;
  }
  return {};
}

bool Profile::leaves_empty(std::string_view key) const {
  return !sets(key) && std::ranges::any_of(sections_, [&](const AwsSection* section) {
    return section != nullptr && section->find(key) != section->end();
  });
}

const AwsSection* Profile::sso_session(std::string_view name) const {
  return section_of(files_[index(AwsFileKind::kConfig)]->sso_sessions, name);
}

const AwsSection* Profile::services(std::string_view name) const {
  return section_of(files_[index(AwsFileKind::kConfig)]->services, name);
}

std::string Profile::places() {
  return shown(aws_file_path(AwsFileKind::kConfig).path, kShownPath) + " or " +
         shown(aws_file_path(AwsFileKind::kCredentials).path, kShownPath);
}

Error Profile::missing(const ProfileChoice& choice) const {
  std::set<std::string_view> names;
  for (const auto& file : files_) {
    for (const auto& [name, section] : file->profiles) names.insert(name);
  }
  std::string text = "profile " + quoted(choice.name, kShownName) + " (from " + std::string(choice.asked_by) +
                     ") does not exist in " + places();
  if (names.empty()) return Error{text + ", which have no profiles at all; make one with aws configure"};
  text += "; there are ";
  size_t listed = 0;
  for (const std::string_view name : names) {
    if (listed == kListedProfiles) break;
    text += (listed++ == 0 ? "" : ", ") + quoted(name, kShownName);
  }
  if (names.size() > listed) text += " and " + std::to_string(names.size() - listed) + " more";
  return Error{text};
}

}  // namespace pqmint
