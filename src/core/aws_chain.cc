// SPDX-License-Identifier: PostgreSQL
// The order in which AWS credentials are looked for. Facts: spec/aws.md 4; what is noted here is why.

#include "core/aws_chain.h"

#include <stdlib.h>

#include <algorithm>
#include <string_view>

#include "base/instant.h"
#include "base/shown.h"
#include "base/text.h"
#include "core/aws_profile.h"

namespace pqmint {
namespace {

constexpr size_t kShownValue = 60;
/// Each is a call to STS, one after the other, and a call of a function within the other. Nobody's roles stand on as
/// many; a file that says so would end the host on its stack.
constexpr size_t kMostRoles = 16;

/// What a source says when asked: where its credentials come from, an error, or nothing: it is not configured.
using Answer = std::optional<Result<CredentialPlan>>;

std::string of_profile(const Profile& profile) {
  return "profile " + quoted(profile.name());
}

bool is_true(std::string_view value) {
  return lower(value) == "true";
}

/// A setting that both the environment and a profile may hold; the environment wins.
std::string_view setting(const char* env, const Profile& profile, std::string_view key) {
  const std::string_view value = variable(env);
  return value.empty() ? profile[key] : value;
}

Error profile_fault(const Profile& profile, const std::string& what, const std::string& remedy) {
  return Error{of_profile(profile) + " " + what + "; " + remedy};
}

/// A way to credentials that was begun and has no value is an error, as in the CLI: what comes after it in the chain
/// would be somebody else.
std::optional<Error> half_a_source(const Profile& profile) {
  for (const char* key : {"role_arn", "login_session", "credential_process"}) {
    if (profile.leaves_empty(key)) {
      return profile_fault(profile, std::string("has ") + key + " without a value", "give it one, or remove the line");
    }
  }
  return std::nullopt;
}

std::string cli_keys(const Profile& profile) {
  return "get keys first, with the AWS CLI: eval \"$(aws configure export-credentials --profile " +
         shown(profile.name(), kShownValue) + " --format env)\"";
}

// ------------------------------------------------------------------------------------ what all requests to AWS share

struct ServiceName {
  const char* setting;   // as net calls it
  const char* variable;  // AWS_ENDPOINT_URL_...
  const char* section;   // in [services NAME]
};
constexpr ServiceName kServices[] = {
    {"endpoint_url_sts", "AWS_ENDPOINT_URL_STS", "sts.endpoint_url"},
    {"endpoint_url_sso", "AWS_ENDPOINT_URL_SSO", "sso.endpoint_url"},
    {"endpoint_url_sso_oidc", "AWS_ENDPOINT_URL_SSO_OIDC", "sso_oidc.endpoint_url"},
    {"endpoint_url_signin", "AWS_ENDPOINT_URL_SIGNIN", "signin.endpoint_url"},
};

std::string_view endpoint_url(const ServiceName& service, const Profile& session) {
  if (const std::string_view url = variable(service.variable); !url.empty()) return url;
  if (const std::string_view url = variable("AWS_ENDPOINT_URL"); !url.empty()) return url;
  if (const AwsSection* services = session.services(session["services"])) {
    if (const std::string_view url = value_of(*services, service.section); !url.empty()) return url;
  }
  return session["endpoint_url"];
}

/// `session` is the profile that was chosen, not the one that a chain of roles has led to: botocore makes one client
/// for all of it. A plan that comes in goes out, with what its requests to AWS need.
Result<CredentialPlan> with_service_settings(CredentialPlan plan, const Profile& session) {
  const bool ignores =
      is_true(setting("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", session, "ignore_configured_endpoint_urls"));
  const std::string_view name = session["services"];
  if (!ignores && !name.empty() && session.services(name) == nullptr) {
    return profile_fault(session, "asks for the services section " + quoted(name) + ", which is not there",
                         "add [services " + shown(name, kShownValue) + "] to the config file, or remove the line");
  }
  for (const ServiceName& service : kServices) {
    if (!ignores) plan.set(service.setting, endpoint_url(service, session));
  }
  plan.set("use_fips_endpoint", is_true(setting("AWS_USE_FIPS_ENDPOINT", session, "use_fips_endpoint")) ? "true" : "");
  plan.set("use_dualstack_endpoint",
           is_true(setting("AWS_USE_DUALSTACK_ENDPOINT", session, "use_dualstack_endpoint")) ? "true" : "");
  plan.set("ca_bundle", setting("AWS_CA_BUNDLE", session, "ca_bundle"));
  plan.set("max_attempts", setting("AWS_MAX_ATTEMPTS", session, "max_attempts"));
  return plan;
}

std::string_view session_region(const Profile& session) {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (const std::string_view region = variable(name); !region.empty()) return region;
  }
  return session["region"];
}

/// Without a region the CLI calls the global STS, which knows no roles of the other partitions.
std::string_view sts_region(const Profile& session, std::string_view role_arn) {
  const std::string_view region = session_region(session);
  if (!region.empty()) return region;
  constexpr std::pair<std::string_view, std::string_view> kPartitions[] = {
      {"arn:aws-cn:", "cn-northwest-1"},    {"arn:aws-us-gov:", "us-gov-west-1"}, {"arn:aws-iso:", "us-iso-east-1"},
      {"arn:aws-iso-b:", "us-isob-east-1"}, {"arn:aws-iso-e:", "eu-isoe-west-1"}, {"arn:aws-iso-f:", "us-isof-south-1"},
      {"arn:aws-eusc:", "eusc-de-east-1"},
  };
  for (const auto& [prefix, home] : kPartitions) {
    if (role_arn.starts_with(prefix)) return home;
  }
  return {};
}

/// A folder below ~/.aws where the CLI keeps what it got at a login.
std::string cache_directory(std::string_view name) {
  return expanded_path("~/.aws/" + std::string(name) + "/cache");
}

// ------------------------------------------------------------------------------------------------ sources, one by one

Answer from_environment(int64_t now) {
  const std::string_view id = variable("AWS_ACCESS_KEY_ID");
  if (id.empty()) return std::nullopt;  // a secret alone names nobody: every SDK ignores it
  const std::string_view secret = variable("AWS_SECRET_ACCESS_KEY");
  if (secret.empty()) {
    return Error{
        "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not (partial credentials found in env, missing: "
        "AWS_SECRET_ACCESS_KEY); set both, or unset AWS_ACCESS_KEY_ID so that another source is used"};
  }
  CredentialPlan plan;
  plan.source = "environment";
  Credentials& found = plan.keys.emplace();
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
      return Error{"the AWS keys in the environment (" + masked(id) + ") expired at " + shown(expiration, kShownValue) +
                   ", says AWS_CREDENTIAL_EXPIRATION; renew them, or unset AWS_ACCESS_KEY_ID so "
                   "that another source is used"};
    }
    found.expires = *expires;
  }
  return plan;
}

/// Static keys are a unit: a session token from another file belongs to another identity.
Answer from_static_keys(const Profile& profile, AwsFileKind kind) {
  const AwsSection* section = profile.in(kind);
  if (section == nullptr) return std::nullopt;
  const std::string_view id = value_of(*section, "aws_access_key_id");
  const std::string_view secret = value_of(*section, "aws_secret_access_key");
  if (id.empty() && secret.empty()) return std::nullopt;
  if (id.empty() || secret.empty()) {
    const std::string file = kind == AwsFileKind::kConfig ? "config-file" : "shared-credentials-file";
    const std::string missing = id.empty() ? "aws_access_key_id" : "aws_secret_access_key";
    return Error{of_profile(profile) + " in " + shown(aws_file_path(kind).path, kShownPath) + " has " +
                 (id.empty() ? "aws_secret_access_key" : "aws_access_key_id") + " but no " + missing +
                 " (partial credentials found in " + file + ", missing: " + missing +
                 "); add the missing key, or remove the other"};
  }
  CredentialPlan plan;
  plan.source = "profile";
  plan.name = profile.name();
  Credentials& found = plan.keys.emplace();
  found.access_key_id = id;
  found.secret_access_key = Secret(secret);
  // The older name first, as botocore does.
  const std::string_view security_token = value_of(*section, "aws_security_token");
  found.session_token = Secret(security_token.empty() ? value_of(*section, "aws_session_token") : security_token);
  return plan;
}

/// `environment`: AWS_WEB_IDENTITY_TOKEN_FILE and its companions count. Each of the three is looked up by itself.
Answer from_web_identity(const Profile& profile, const Profile& session, bool environment) {
  const auto value = [&](const char* env, std::string_view key) {
    const std::string_view of_env = environment ? variable(env) : std::string_view();
    return of_env.empty() ? profile[key] : of_env;
  };
  const bool from_env = environment && !variable("AWS_WEB_IDENTITY_TOKEN_FILE").empty();
  const std::string_view file = value("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file");
  if (file.empty()) return std::nullopt;
  const std::string_view role = value("AWS_ROLE_ARN", "role_arn");
  if (role.empty()) {
    return Error{
        "the provided profile or the current environment is configured to assume role with web identity but has no "
        "role ARN configured; set AWS_ROLE_ARN, or role_arn in " +
        of_profile(profile)};
  }
  CredentialPlan plan;
  plan.source = "web-identity";
  if (!from_env) {
    plan.name = profile.name();
    plan.set("profile", profile.name());
  }
  plan.set("web_identity_token_file", expanded_path(std::string(file)));
  plan.set("role_arn", role);
  plan.set("role_session_name", value("AWS_ROLE_SESSION_NAME", "role_session_name"));
  plan.set("region", sts_region(session, role));
  return with_service_settings(std::move(plan), session);
}

/// A setting that the profile and its [sso-session] may both hold, if they agree.
Result<std::string_view> sso_setting(const Profile& profile, const AwsSection* session, std::string_view key) {
  const std::string_view own = profile[key];
  const std::string_view shared = session != nullptr ? value_of(*session, key) : std::string_view();
  if (!own.empty() && !shared.empty() && own != shared) {
    return Error{"the value for " + std::string(key) + " is inconsistent between " + of_profile(profile) + " (" +
                 shown(own, kShownValue) + ") and sso-session (" + shown(shared, kShownValue) +
                 "); remove one of them"};
  }
  return shared.empty() ? own : shared;
}

Answer from_sso(const Profile& profile, const Profile& chosen) {
  if (!profile.sets("sso_account_id") && !profile.sets("sso_role_name")) return std::nullopt;
  const std::string_view session_name = profile["sso_session"];
  const AwsSection* session = session_name.empty() ? nullptr : profile.sso_session(session_name);
  if (!session_name.empty() && session == nullptr) {
    return Error{"the specified sso-session does not exist: " + quoted(session_name) + " (from " + of_profile(profile) +
                 "); add [sso-session " + shown(session_name, kShownValue) + "] to the config file: aws configure sso"};
  }
  const auto start_url = sso_setting(profile, session, "sso_start_url");
  const auto region = sso_setting(profile, session, "sso_region");
  if (!start_url) return start_url.error();
  if (!region) return region.error();

  CredentialPlan plan;
  plan.source = "sso";
  plan.name = profile.name();
  std::string missing;
  const auto need = [&](const char* name, std::string_view key, std::string_view value) {
    if (value.empty()) missing.append(missing.empty() ? "" : ", ").append(key);
    plan.set(name, value);
  };
  need("sso_start_url", "sso_start_url", *start_url);
  need("region", "sso_region", *region);
  need("sso_account_id", "sso_account_id", profile["sso_account_id"]);
  need("sso_role_name", "sso_role_name", profile["sso_role_name"]);
  if (!missing.empty()) {
    return profile_fault(profile, "is configured to use SSO but is missing required configuration: " + missing,
                         "run aws configure sso --profile " + shown(profile.name(), kShownValue));
  }
  plan.set("sso_session", session_name);
  plan.set("cache_directory", cache_directory("sso"));
  plan.set("profile", profile.name());
  return with_service_settings(std::move(plan), chosen);
}

Answer from_login(const Profile& profile, const Profile& session) {
  if (!profile.sets("login_session")) return std::nullopt;
  CredentialPlan plan;
  plan.source = "login";
  plan.name = profile.name();
  plan.set("login_session", profile["login_session"]);
  const std::string_view directory = variable("AWS_LOGIN_CACHE_DIRECTORY");
  plan.set("cache_directory", directory.empty() ? cache_directory("login") : expanded_path(std::string(directory)));
  plan.set("region", profile.sets("region") ? profile["region"] : session_region(session));
  plan.set("profile", profile.name());
  return with_service_settings(std::move(plan), session);
}

Answer from_process(const Profile& profile) {
  if (!profile.sets("credential_process")) return std::nullopt;
  CredentialPlan plan;
  plan.source = "process";
  plan.name = profile.name();
  plan.set("command", profile["credential_process"]);
  plan.set("profile", profile.name());
  return plan;
}

Answer from_container() {
  const char* relative = getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const char* full = getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (relative == nullptr && full == nullptr) return std::nullopt;  // present but empty counts, as in botocore
  if (relative != nullptr ? *relative == '\0' : *full == '\0') {
    return Error{std::string(relative != nullptr ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
                                                 : "AWS_CONTAINER_CREDENTIALS_FULL_URI") +
                 " is set but empty, so there is no container credentials service to ask; set or unset it"};
  }
  CredentialPlan plan;
  plan.source = "container";
  // As they are: a line end in the token is an error that the user must see.
  const auto raw = [](const char* name) { return std::string_view(getenv(name) != nullptr ? getenv(name) : ""); };
  plan.set("relative_uri", raw("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
  plan.set("full_uri", raw("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
  plan.set("authorization_token", raw("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
  plan.set("authorization_token_file", raw("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
  return plan;
}

bool is_imds_disabled() {
  return is_true(variable("AWS_EC2_METADATA_DISABLED"));
}

Answer from_imds(const Profile& session, std::string_view source = "imds") {
  if (is_imds_disabled()) return std::nullopt;
  CredentialPlan plan;
  plan.source = source;
  plan.set("endpoint", setting("AWS_EC2_METADATA_SERVICE_ENDPOINT", session, "ec2_metadata_service_endpoint"));
  const std::string_view mode =
      setting("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", session, "ec2_metadata_service_endpoint_mode");
  plan.set("endpoint_mode", mode.empty() && is_true(variable("AWS_IMDS_USE_IPV6")) ? "ipv6" : mode);
  // Version 1 has no defence against a proxy that forwards requests: only those get it who ask for it outright.
  const std::string_view v1_disabled = setting("AWS_EC2_METADATA_V1_DISABLED", session, "ec2_metadata_v1_disabled");
  plan.set("v1_allowed", v1_disabled == "false" ? "true" : "");
  plan.set("timeout", setting("AWS_METADATA_SERVICE_TIMEOUT", session, "metadata_service_timeout"));
  plan.set("attempts", setting("AWS_METADATA_SERVICE_NUM_ATTEMPTS", session, "metadata_service_num_attempts"));
  return plan;
}

// ---------------------------------------------------------------------------------------------------------- the chain

class Chain {
 public:
  Chain(const CredentialWish& wish, int64_t now, Trail& trail)
      : wish_(wish), now_(now), trail_(trail), environment_(wish.profile.empty()) {}

  Result<CredentialPlan> plan() {
    const ProfileChoice choice = ProfileChoice::make(wish_.profile);
    // A missing profile is an error even beside environment keys, as in botocore. Where nobody names one, the keys need
    // no files.
    if (!choice.asked_by.empty() || !wish_.role_arn.empty()) {
      if (auto error = read_profile(choice)) return *error;
    }
    auto found = look(choice);
    if (!found || wish_.role_arn.empty()) return found;
    return with_role_of_spec(std::move(*found));
  }

 private:
  std::optional<Error> read_profile(const ProfileChoice& choice) {
    if (session_) return std::nullopt;
    auto read = Profile::read(choice);
    if (!read) return read.error();
    session_ = std::move(*read);
    return std::nullopt;
  }

  Answer used(Answer answer) {
    if (answer && *answer) trail_.emplace_back((*answer)->source, "used");
    return answer;
  }
  void passed_over(std::string source, std::string why) { trail_.emplace_back(std::move(source), std::move(why)); }

  Result<CredentialPlan> look(const ProfileChoice& choice) {
    // A profile named by the token spec is like the CLI's --profile: it turns environment keys off. AWS_PROFILE does
    // not.
    if (environment_) {
      if (Answer keys = used(from_environment(now_))) return std::move(*keys);
      passed_over("environment", "AWS_ACCESS_KEY_ID is not set");
    } else {
      passed_over("environment", "skipped, because profile= was given");
    }
    if (auto error = read_profile(choice)) return *error;
    const Profile& profile = *session_;
    if (!profile.exists()) return look_without_profile();
    if (auto error = half_a_source(profile)) return *error;
    const bool has_role = profile.sets("role_arn") && !profile.sets("web_identity_token_file");
    if (has_role) {
      std::vector<std::string> visited = {profile.name()};
      auto role = role_of(profile, visited);
      if (role) trail_.emplace_back("assume-role", "used");
      return role;
    }
    passed_over("assume-role", "no role_arn in " + of_profile(profile));
    if (Answer found = from_profile(profile, environment_, true)) return std::move(*found);
    // Without account and role the CLI passes over SSO. So do we, but only for another source of the same profile: the
    // machine's own identity is not what somebody who wrote sso_session meant.
    if (profile.sets("sso_session") || profile.sets("sso_start_url")) {
      return profile_fault(
          profile,
          "has sso_session or sso_start_url, but neither sso_account_id nor sso_role_name, so it names "
          "no identity in AWS",
          "run aws configure sso --profile " + shown(profile.name(), kShownValue));
    }
    return look_around();
  }

  Result<CredentialPlan> look_without_profile() {
    if (Answer found = used(from_web_identity(*session_, *session_, environment_))) return std::move(*found);
    if (environment_) passed_over("web-identity", "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    passed_over("profile", "there is no " + of_profile(*session_) + " in " + Profile::places());
    return look_around();
  }

  /// The machine that the program runs on.
  Result<CredentialPlan> look_around() {
    if (Answer found = used(from_container())) return std::move(*found);
    passed_over("container", "neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor ..._FULL_URI is set");
    if (Answer found = from_imds(*session_)) return std::move(*found);
    passed_over("imds", "AWS_EC2_METADATA_DISABLED is true");
    return nothing_found(wish_, trail_);
  }

  /// What a profile has but for a role of its own. `tell`: leave a trail.
  Answer from_profile(const Profile& profile, bool environment, bool tell) {
    const auto skip = [&](const char* source, const std::string& why) {
      if (tell) passed_over(source, why);
    };
    const auto take = [&](Answer answer) { return tell ? used(std::move(answer)) : std::move(answer); };
    const std::string name =
        profile.exists() ? of_profile(profile) : "profile " + quoted(profile.name()) + ", which does not exist,";
    if (Answer found = take(from_web_identity(profile, *session_, environment))) return found;
    skip("web-identity",
         std::string(environment ? "AWS_WEB_IDENTITY_TOKEN_FILE is not set, " : "") + "no web_identity_token_file");
    if (Answer found = take(from_sso(profile, *session_))) return found;
    skip("sso", "no sso_account_id or sso_role_name");
    if (Answer found = take(from_static_keys(profile, AwsFileKind::kCredentials))) return found;
    if (Answer found = take(from_login(profile, *session_))) return found;
    if (Answer found = take(from_process(profile))) return found;
    if (Answer found = take(from_static_keys(profile, AwsFileKind::kConfig))) return found;
    skip("profile", "no aws_access_key_id in " + Profile::places());
    skip("login", "no login_session");
    skip("process", "no credential_process");
    return std::nullopt;
  }

  static bool has_static_keys(const Profile& profile) {
    return profile.sets("aws_access_key_id") || profile.sets("aws_secret_access_key");
  }

  /// The role of `profile`, assumed with the keys that it names as its source. `visited` ends with the profile's name.
  Result<CredentialPlan> role_of(const Profile& profile, std::vector<std::string>& visited) {
    if (profile.sets("mfa_serial")) {
      return profile_fault(profile,
                           "requires multi-factor authentication (mfa_serial), and a connection has nobody to ask for "
                           "the code",
                           cli_keys(profile));
    }
    auto source = source_of(profile, visited);
    if (!source) return source;
    auto plan =
        role_plan(profile["role_arn"], profile["role_session_name"], profile["external_id"], std::move(*source));
    if (!plan) return plan;
    plan->name = profile.name();
    plan->set("duration_seconds", profile["duration_seconds"]);
    plan->set("profile", profile.name());
    return plan;
  }

  Result<CredentialPlan> role_plan(std::string_view role, std::string_view session_name, std::string_view external_id,
                                   CredentialPlan signer) {
    CredentialPlan plan;
    plan.source = "assume-role";
    plan.signer = std::make_unique<CredentialPlan>(std::move(signer));
    plan.set("role_arn", role);
    plan.set("role_session_name", session_name);
    plan.set("external_id", external_id);
    plan.set("region", sts_region(*session_, role));
    return with_service_settings(std::move(plan), *session_);
  }

  Result<CredentialPlan> source_of(const Profile& profile, std::vector<std::string>& visited) {
    const std::string_view source = profile["source_profile"];
    const std::string_view kind = profile["credential_source"];
    if (!source.empty() && !kind.empty()) {
      return profile_fault(profile, "contains both source_profile and credential_source", "remove one of them");
    }
    if (!kind.empty()) return machine_source(profile, kind);
    if (source.empty()) {
      return profile_fault(profile,
                           "has role_arn, but nothing to assume it with (partial credentials found in assume-role, "
                           "missing: source_profile or credential_source)",
                           "add source_profile = NAME");
    }
    const Profile next = profile.other(source);
    if (!next.exists()) {
      return Error{"the source_profile " + quoted(source) + " referenced in the " + of_profile(profile) +
                   " does not exist in " + Profile::places() + "; correct the name, or add the profile"};
    }
    if (auto error = half_a_source(next)) return *error;
    const bool is_seen = std::ranges::find(visited, source) != visited.end();
    const bool is_itself = source == profile.name();
    // A profile may name itself, to keep its keys and its role in one place.
    if (is_seen && !(is_itself && has_static_keys(next))) {
      std::string all;
      for (const std::string& name : visited) all.append(all.empty() ? "" : ", ").append(quoted(name));
      return Error{"infinite loop in credential configuration detected: source_profile of " + of_profile(profile) +
                   " leads back to " + quoted(source) + " (visited: " + all + "); break the circle"};
    }
    visited.emplace_back(source);
    if (visited.size() > kMostRoles + 1) {  // the first of them is the one that asks
      return profile_fault(profile.other(visited.front()),
                           "stands on more than " + std::to_string(kMostRoles) +
                               " other profiles, one as the source_profile of the next",
                           "name a nearer one");
    }
    const bool has_role = next.sets("role_arn") && !next.sets("web_identity_token_file");
    if (has_role && !has_static_keys(next)) return role_of(next, visited);
    if (Answer found = from_profile(next, false, false)) return std::move(*found);
    return Error{"the source profile " + quoted(source) + " of " + of_profile(profile) +
                 " must have credentials: it has no keys, role, login or process of its own; run aws configure "
                 "--profile " +
                 shown(source, kShownValue)};
  }

  Result<CredentialPlan> machine_source(const Profile& profile, std::string_view kind) {
    Answer found;
    std::string missing;
    if (kind == "Environment") {
      found = from_environment(now_);
      missing = "AWS_ACCESS_KEY_ID is not set";
    } else if (kind == "EcsContainer") {
      found = from_container();
      missing = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI are not set";
    } else if (kind == "Ec2InstanceMetadata") {
      found = from_imds(*session_);
      missing = "AWS_EC2_METADATA_DISABLED is true";
    } else {
      return Error{"the credential source " + quoted(kind) + " referenced in " + of_profile(profile) +
                   " is not valid; write Environment, Ec2InstanceMetadata or EcsContainer"};
    }
    if (found) return std::move(*found);
    return Error{"no credentials found in credential_source " + std::string(kind) + " referenced in " +
                 of_profile(profile) + ": " + missing};
  }

  /// The token spec's role, on top of whatever the chain found.
  Result<CredentialPlan> with_role_of_spec(CredentialPlan signer) {
    std::string name = signer.name;
    auto plan = role_plan(wish_.role_arn, wish_.role_session_name, wish_.external_id, std::move(signer));
    if (!plan) return plan;
    plan->name = std::move(name);
    trail_.emplace_back("assume-role", "used on top, because role_arn= was given");
    return plan;
  }

  const CredentialWish& wish_;
  const int64_t now_;
  Trail& trail_;
  const bool environment_;
  std::optional<Profile> session_;  // the profile that was chosen
};

}  // namespace

Result<CredentialPlan> plan_credentials(const CredentialWish& wish, int64_t now, Trail& trail) {
  return Chain(wish, now, trail).plan();
}

Error nothing_found(const CredentialWish& wish, const Trail& trail) {
  std::string text = "no AWS credentials found (unable to locate credentials): ";
  for (const auto& [source, why] : trail) {
    if (&source != &trail.front().first) text += "; ";
    text += source + ": " + why;
  }
  text += ". Run aws configure or aws login";
  if (wish.profile.empty()) text += ", set AWS_PROFILE, or eval \"$(aws configure export-credentials --format env)\"";
  return Error{text};
}

Result<std::string> profile_region(const CredentialWish& wish) {
  const auto profile = Profile::read(ProfileChoice::make(wish.profile));
  if (!profile) return profile.error();
  return std::string((*profile)["region"]);
}

Result<std::optional<CredentialPlan>> plan_imds_region(const CredentialWish& wish) {
  const auto profile = Profile::read(ProfileChoice::make(wish.profile));
  if (!profile) return profile.error();
  Answer answer = from_imds(*profile, "imds-region");
  if (!answer) return std::optional<CredentialPlan>();
  return std::optional<CredentialPlan>(std::move(**answer));
}

}  // namespace pqmint
