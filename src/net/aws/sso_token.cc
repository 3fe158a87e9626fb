// SPDX-License-Identifier: PostgreSQL
// IAM Identity Center's access token, from the cache file of the CLI (spec/aws.md 4.7).

#include "net/aws/sso_token.h"

#include "base/instant.h"
#include "base/shown.h"
#include "net/aws/cache_file.h"
#include "net/aws/cached_session.h"
#include "net/aws/endpoint.h"
#include "net/aws/service.h"
#include "net/json.h"

namespace pqmint {
namespace {

/// botocore's advisory window. Its mandatory one (10 minutes) is no more than "before it is dead" here: the token is
/// needed for one call.
constexpr int64_t kRefreshWindow = 15 * 60;  // s
constexpr size_t kShownKey = 100;

std::optional<int64_t> expiry_of(const Json::Value& token) {
  if (key_in(token, "accessToken").empty()) return std::nullopt;
  return parse_instant(text_in(token, "expiresAt"));
}

/// OIDC CreateToken. The registration's end is the service's own time, the token's is this machine's.
Result<Document> refreshed(const Json::Value& old, const Query& query, const Deadline& deadline) {
  for (const char* field : {"refreshToken", "clientId", "clientSecret", "registrationExpiresAt"}) {
    if (text_in(old, field).empty()) return Error{"the cached token has no " + std::string(field)};
  }
  const auto registered_until = parse_instant(text_in(old, "registrationExpiresAt"));
  if (!registered_until || *registered_until <= query.clock.now()) {
    return Error{"the registration of the client that logged in has expired"};
  }
  const auto endpoint = aws_endpoint(AwsService::kSsoOidc, query.settings["region"], query.settings);
  if (!endpoint) return endpoint.error();

  const std::string url = endpoint->url + "/token";
  Document form;
  form["grantType"] = "refresh_token";
  for (const char* field : {"clientId", "clientSecret", "refreshToken"}) form[field] = old[field];
  const Secret body = to_json(form);
  const HttpOutcome outcome = exchange_with_retries([&] { return aws_post(query.settings, url, body); },
                                                    attempts_of(query.settings), deadline, query.clock);
  if (!outcome) return Error{why_unreachable(outcome, url)};
  if (!outcome.response.is_ok()) {
    return Error{
        why_refused(outcome.response, "CreateToken", {text_in(old, "refreshToken"), text_in(old, "clientSecret")})};
  }

  const Document answer = parse_json_object(outcome.response.body.reveal()).value_or(Document());
  const int64_t life = number_in(answer, "expiresIn").value_or(0);
  if (key_in(answer, "accessToken").empty() || life <= 0) {
    return Error{"CreateToken: the answer holds no token (" + outcome.response.description() + ")"};
  }
  Document fresh(old);
  put(fresh, "accessToken", answer["accessToken"]);
  fresh["expiresAt"] = instant_after(life);
  // Without a new refresh token the old one goes on to count (RFC 6749, 6). botocore drops it.
  if (!text_in(answer, "refreshToken").empty()) put(fresh, "refreshToken", answer["refreshToken"]);
  return fresh;
}

}  // namespace

Result<Secret> sso_access_token(const Query& query) {
  const Settings& settings = query.settings;
  const std::string_view start_url = settings["sso_start_url"];
  const bool is_legacy = settings["sso_session"].empty();
  const std::string_view key = is_legacy ? start_url : settings["sso_session"];
  const std::string remedy = "; run: " + cli_command("aws sso login", settings);

  const auto path = session_path(settings["cache_directory"], "SHA1", key);
  if (!path) return Error{asker(settings) + path.error().text};
  auto cached = read_cache_file(*path);
  if (!cached) {
    return Error{asker(settings) + "Error loading SSO Token: Token for " + shown(key, kShownKey) + " does not exist (" +
                 shown(*path, kShownPath) + " is not there, or is no JSON)" + remedy};
  }
  if (!expiry_of(*cached)) {
    return Error{asker(settings) + "Error loading SSO Token: Token for " + shown(start_url, kShownKey) +
                 " is invalid (accessToken or expiresAt is missing in " + shown(*path, kShownPath) + ")" + remedy};
  }

  CachedSession session;
  session.path = *path;
  session.window = is_legacy ? 0 : kRefreshWindow;
  session.expiry = expiry_of;
  session.refresh = [&](const Json::Value& old, const Deadline& deadline) -> Result<Document> {
    if (is_legacy) return Error{"a token without an sso_session is never refreshed"};
    return refreshed(old, query, deadline);
  };
  const auto token = living_session(session, std::move(*cached), query.deadline);
  if (token) return Secret(text_in(*token, "accessToken"));
  if (is_legacy) return sso_session_expired(settings);
  return Error{asker(settings) + "Error when retrieving token from sso: Token has expired and refresh failed: " +
               token.error().text + remedy};
}

Error sso_session_expired(const Settings& settings) {
  return Error{asker(settings) +
               "The SSO session associated with this profile has expired or is otherwise invalid. To refresh this SSO "
               "session run aws sso login with the corresponding profile: " +
               cli_command("aws sso login", settings)};
}

}  // namespace pqmint
