// SPDX-License-Identifier: PostgreSQL
// AWS credentials: environment, files and a profile's name come in; keys go out, or one sentence
// that says why not.
//
// The order is AWS CLI v2's, so that `aws sts get-caller-identity` on the same machine names the
// same identity.

#include "core/credential.h"

#include <stdlib.h>

#include <chrono>
#include <memory>
#include <set>

#include "base/shown.h"
#include "core/aws_files.h"
#include "core/net.h"

namespace pqmint {
namespace {

/// How many profiles an error text lists, and how much of a name it shows.
constexpr size_t kListedProfiles = 8;
constexpr size_t kShownName = 40;

/// A variable's value without surrounding white space (a newline from `export X="$(cat file)"`, a
/// CR from an env file: no key holds any), empty if it is not set. Borrowed from the environment.
std::string_view variable(const char* name) {
  const char* value = getenv(name);
  std::string_view text = value != nullptr ? value : "";
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string quoted(std::string_view name) {
  return "\"" + shown(name, kShownName) + "\"";
}

/// Which profile counts, and who said so.
struct Choice {
  std::string name = "default";
  std::string_view asked_by;  // a variable's name or "profile="; empty: nobody
};

Choice chosen_profile(const CredentialWish& wish) {
  if (!wish.profile.empty()) return {wish.profile, "profile="};
  // CLI v2's order; its predecessor had it the other way round. An empty variable is not set.
  for (const char* name : {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"}) {
    const std::string_view value = variable(name);
    if (!value.empty()) return {std::string(value), name};
  }
  return {};
}

/// One profile as both files have it.
class Profile {
 public:
  /// Fails if a file cannot be read, or if a profile was asked for that is in neither. `default`
  /// need not exist.
  static Result<Profile> read(const Choice& choice) {
    Profile profile;
    profile.name_ = choice.name;
    for (const AwsFileKind kind : {AwsFileKind::kCredentials, AwsFileKind::kConfig}) {
      auto file = read_aws_file(kind);
      if (!file) return file.error();
      const auto found = (*file)->profiles.find(choice.name);
      if (found != (*file)->profiles.end()) profile.sections_[index(kind)] = &found->second;
      profile.files_[index(kind)] = std::move(*file);
    }
    if (!profile.exists() && choice.name != "default") return profile.missing(choice);
    return profile;
  }

  const std::string& name() const { return name_; }
  bool exists() const { return sections_[0] != nullptr || sections_[1] != nullptr; }

  /// A setting of either file; the credentials file wins.
  std::string_view operator[](std::string_view key) const {
    for (const AwsSection* section : sections_) {
      if (section == nullptr) continue;
      if (const std::string_view value = value_of(*section, key); !value.empty()) return value;
    }
    return {};
  }

  /// The profile's section of one file, NULL if that has none.
  const AwsSection* in(AwsFileKind kind) const { return sections_[index(kind)]; }

  static std::string places() {
    return shown(aws_file_path(AwsFileKind::kConfig).path, kShownPath) + " or " +
           shown(aws_file_path(AwsFileKind::kCredentials).path, kShownPath);
  }

 private:
  static size_t index(AwsFileKind kind) { return kind == AwsFileKind::kCredentials ? 0 : 1; }

  Error missing(const Choice& choice) const {
    std::set<std::string_view> names;
    for (const auto& file : files_) {
      for (const auto& [name, section] : file->profiles) names.insert(name);
    }
    std::string text =
        "profile " + quoted(choice.name) + " (from " + std::string(choice.asked_by) + ") does not exist in " + places();
    if (names.empty()) {
      return Error{text + ", which have no profiles at all; make one with aws configure"};
    }
    text += "; there are ";
    size_t listed = 0;
    for (const std::string_view name : names) {
      if (listed == kListedProfiles) break;
      text += (listed++ == 0 ? "" : ", ") + quoted(name);
    }
    if (names.size() > listed) text += " and " + std::to_string(names.size() - listed) + " more";
    return Error{text};
  }

  std::string name_;
  std::shared_ptr<const AwsFile> files_[2];  // credentials, config: they own the sections
  const AwsSection* sections_[2] = {};
};

/// What a source says when asked: keys, an error, or nothing, because it is not configured.
using Answer = std::optional<Result<Credentials>>;

Answer from_environment(int64_t now) {
  const std::string_view id = variable("AWS_ACCESS_KEY_ID");
  if (id.empty()) return std::nullopt;  // a secret alone names nobody: every SDK ignores it
  const std::string_view secret = variable("AWS_SECRET_ACCESS_KEY");
  if (secret.empty()) {
    return Error{
        "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not; set both, or unset "
        "AWS_ACCESS_KEY_ID so that another source is used"};
  }
  Credentials found;
  found.source = "environment";
  found.access_key_id = id;
  found.secret_access_key = Secret(secret);
  // The older name first, as botocore does.
  const std::string_view security_token = variable("AWS_SECURITY_TOKEN");
  found.session_token = Secret(security_token.empty() ? variable("AWS_SESSION_TOKEN") : security_token);

  if (const std::string_view expiration = variable("AWS_CREDENTIAL_EXPIRATION"); !expiration.empty()) {
    const std::optional<int64_t> expires = parse_instant(expiration);
    if (!expires) {
      return Error{"AWS_CREDENTIAL_EXPIRATION is " + quoted(expiration) +
                   ", which is no ISO 8601 time such as 2026-01-15T12:34:56Z; correct or unset it"};
    }
    if (*expires <= now) {
      return Error{"the AWS keys in the environment (" + masked(id) + ") expired at " + shown(expiration, kShownName) +
                   ", says AWS_CREDENTIAL_EXPIRATION; renew them, or unset AWS_ACCESS_KEY_ID so "
                   "that another source is used"};
    }
    found.expires = *expires;
  }
  return found;
}

/// Static keys are a unit: a session token from another file belongs to another identity.
Answer from_static_keys(const Profile& profile, AwsFileKind kind) {
  const AwsSection* section = profile.in(kind);
  if (section == nullptr) return std::nullopt;
  const std::string_view id = value_of(*section, "aws_access_key_id");
  const std::string_view secret = value_of(*section, "aws_secret_access_key");
  if (id.empty() && secret.empty()) return std::nullopt;
  if (id.empty() || secret.empty()) {
    return Error{"profile " + quoted(profile.name()) + " in " + shown(aws_file_path(kind).path, kShownPath) + " has " +
                 (id.empty() ? "aws_secret_access_key but no aws_access_key_id"
                             : "aws_access_key_id but no aws_secret_access_key") +
                 "; add the missing key, or remove the other"};
  }
  Credentials found;
  found.source = "profile";
  found.name = profile.name();
  found.access_key_id = id;
  found.secret_access_key = Secret(secret);
  // The older name first, as botocore does.
  const std::string_view security_token = value_of(*section, "aws_security_token");
  found.session_token = Secret(security_token.empty() ? value_of(*section, "aws_session_token") : security_token);
  return found;
}

Answer from_profile(const Profile& profile, bool environment) {
  const auto fetch = [&](std::string_view source) {
    auto fetched = fetch_credentials(source, profile.name());
    if (fetched || environment) return fetched;
    return Result<Credentials>(
        Error{fetched.error().text + " (environment keys count only without profile= in the token spec)"});
  };
  const auto sets = [&](std::string_view key) { return !profile[key].empty(); };
  const bool web_identity = sets("web_identity_token_file");

  if (sets("role_arn") && !web_identity) return fetch("assume-role");
  if (environment && !variable("AWS_WEB_IDENTITY_TOKEN_FILE").empty()) {
    return fetch_credentials("web-identity", "");
  }
  if (web_identity) return fetch("web-identity");
  if (sets("sso_account_id") || sets("sso_role_name")) return fetch("sso");
  if (Answer keys = from_static_keys(profile, AwsFileKind::kCredentials)) return keys;
  if (sets("login_session")) return fetch("login");
  if (sets("credential_process")) return fetch("process");
  if (Answer keys = from_static_keys(profile, AwsFileKind::kConfig)) return keys;
  // Without account and role the CLI passes over SSO. So do we, but only for another source of the
  // same profile: the machine's own identity is not what somebody who wrote sso_session meant.
  if (sets("sso_session") || sets("sso_start_url")) return fetch("sso");
  return std::nullopt;
}

bool imds_disabled() {
  std::string value(variable("AWS_EC2_METADATA_DISABLED"));
  for (char& c : value) c = static_cast<char>(c | 0x20);
  return value == "true";
}

/// Each source, and why it was passed over.
Error nothing_found(const Choice& choice, const Profile& profile) {
  const bool spec = choice.asked_by == "profile=";
  std::string text = "no AWS credentials found: environment: ";
  text +=
      spec ? "skipped, because profile= was given" : "neither AWS_ACCESS_KEY_ID nor AWS_WEB_IDENTITY_TOKEN_FILE is set";
  text += "; profile " + quoted(choice.name) + ": ";
  text += (profile.exists() ? "no keys, role or login in " : "no such profile in ") + Profile::places();
  text +=
      "; container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI "
      "are not set; IMDS: ";
  text += imds_disabled() ? "AWS_EC2_METADATA_DISABLED is true" : "this version of pqmint cannot ask it yet";
  text += ". Run aws configure";
  if (!spec) {
    text += ", set AWS_PROFILE, or eval \"$(aws configure export-credentials --format env)\"";
  }
  return Error{text};
}

}  // namespace

Credentials Credentials::clone() const {
  return {access_key_id, secret_access_key.clone(), session_token.clone(), expires, source, name};
}

std::string masked(std::string_view access_key_id) {
  // Shorter ones would show most of themselves. AWS's own have at least 16 characters.
  if (access_key_id.size() < 12) return "...";
  return std::string(access_key_id.substr(0, 4)) + "..." + std::string(access_key_id.substr(access_key_id.size() - 4));
}

std::optional<int64_t> parse_instant(std::string_view text) {
  using namespace std::chrono;
  bool good = true;
  const auto number = [&](size_t digits) {
    int value = 0;
    good = good && text.size() >= digits;
    for (size_t i = 0; good && i < digits; ++i) {
      good = text[i] >= '0' && text[i] <= '9';
      value = value * 10 + (text[i] - '0');
    }
    if (good) text.remove_prefix(digits);
    return value;
  };
  const auto literal = [&](std::string_view any_of) {
    good = good && !text.empty() && any_of.find(text[0]) != std::string_view::npos;
    if (good) text.remove_prefix(1);
  };

  const int years = number(4);
  literal("-");
  const int months = number(2);
  literal("-");
  const int days = number(2);
  literal("Tt ");
  const int hour = number(2);
  literal(":");
  const int minute = number(2);
  literal(":");
  const int second = number(2);
  if (good && !text.empty() && text[0] == '.') {  // a fraction only makes it later than we say
    literal(".");
    number(1);
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') text.remove_prefix(1);
  }
  int offset = 0;  // minutes east of Greenwich
  if (good && !text.empty() && (text[0] == '+' || text[0] == '-')) {
    const int sign = text[0] == '-' ? -1 : 1;
    literal("+-");
    const int hours_east = number(2);
    if (good && !text.empty() && text[0] == ':') literal(":");
    const int minutes_east = number(2);
    good = good && hours_east < 24 && minutes_east < 60;
    offset = sign * (hours_east * 60 + minutes_east);
  } else if (text == "Z" || text == "z" || text == "UTC" || text == " UTC") {
    text = {};
  }
  const year_month_day date(year(years), month(static_cast<unsigned>(months)), day(static_cast<unsigned>(days)));
  if (!good || !text.empty() || !date.ok() || hour > 23 || minute > 59 || second > 60) {
    return std::nullopt;
  }
  return (sys_days(date).time_since_epoch() / seconds(1)) + (hour * 60 + minute - offset) * 60 + second;
}

Result<Credentials> find_credentials(const CredentialWish& wish, int64_t now) {
  // A profile named by the token spec is like the CLI's --profile: it turns environment keys off.
  // AWS_PROFILE does not.
  const bool environment = wish.profile.empty();
  const Choice choice = chosen_profile(wish);
  std::optional<Profile> profile;
  // A missing profile is an error even beside environment keys, as in botocore. Where nobody names
  // one, the keys need no files.
  if (!choice.asked_by.empty()) {
    auto read = Profile::read(choice);
    if (!read) return read.error();
    profile = std::move(*read);
  }
  if (environment) {
    if (Answer keys = from_environment(now)) return std::move(*keys);
  }
  if (!profile) {
    auto read = Profile::read(choice);
    if (!read) return read.error();
    profile = std::move(*read);
  }
  if (Answer keys = from_profile(*profile, environment)) return std::move(*keys);
  // Present but empty counts, as in botocore.
  if (getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != nullptr ||
      getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != nullptr) {
    return fetch_credentials("container", "");
  }
  return nothing_found(choice, *profile);
}

Result<std::string> profile_region(const CredentialWish& wish) {
  const auto profile = Profile::read(chosen_profile(wish));
  if (!profile) return profile.error();
  return std::string((*profile)["region"]);
}

}  // namespace pqmint
