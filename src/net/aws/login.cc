// SPDX-License-Identifier: PostgreSQL
// `aws login`: the CLI's cache file comes in; the keys in it go out, refreshed if that is due (spec/aws.md 4.8).

#include "base/instant.h"
#include "base/shown.h"
#include "net/aws/cache_file.h"
#include "net/aws/cached_session.h"
#include "net/aws/dpop.h"
#include "net/aws/endpoint.h"
#include "net/aws/service.h"
#include "net/http.h"
#include "net/json.h"
#include "net/source.h"

namespace pqmint {
namespace {

constexpr int64_t kRefreshWindow = 5 * 60;  // s; the keys live 15 minutes at most
constexpr std::string_view kOperation = "CreateOAuth2Token";
constexpr size_t kShownSession = 120;

constexpr const char* kKeyFields[] = {"accessKeyId", "secretAccessKey", "sessionToken"};

bool has_keys(const Json::Value& keys) {
  for (const char* field : kKeyFields) {
    if (key_in(keys, field).empty()) return false;
  }
  return true;
}

/// What the file lacks of what botocore asks for, joined by commas.
std::string missing_fields(const Json::Value& token) {
  std::string missing;
  const auto need = [&](bool is_there, const std::string& name) {
    if (!is_there) missing.append(missing.empty() ? "" : ", ").append(name);
  };
  const Json::Value& keys = object_in(token, "accessToken");
  need(!keys.isNull(), "accessToken");
  for (const char* field : kKeyFields) need(keys.isNull() || !key_in(keys, field).empty(), field);
  need(keys.isNull() || parse_instant(text_in(keys, "expiresAt")), "expiresAt");
  for (const char* field : {"refreshToken", "dpopKey", "clientId"}) need(!text_in(token, field).empty(), field);
  return missing;
}

std::optional<int64_t> expiry_of(const Json::Value& token) {
  if (!missing_fields(token).empty()) return std::nullopt;
  return parse_instant(text_in(object_in(token, "accessToken"), "expiresAt"));
}

/// botocore's words for what only the user can mend.
/// `refresh_token` and `proof` are what the request carried.
std::string why_denied(const HttpResponse& response, std::string_view refresh_token, std::string_view proof) {
  const Document body = parse_json_object(response.body.reveal()).value_or(Document());
  const std::string_view error = text_in(body, "error");
  if (error == "TOKEN_EXPIRED" || error == "USER_CREDENTIALS_CHANGED") {
    return std::string(
               "Your session has expired or credentials have changed. Please reauthenticate using 'aws login'") +
           (error == "USER_CREDENTIALS_CHANGED" ? " with your new password" : "");
  }
  if (error == "INSUFFICIENT_PERMISSIONS") {
    return "Unable to create or refresh login credentials due to insufficient permissions. You may be missing "
           "permission for the 'signin:CreateOAuth2Token' action";
  }
  return why_refused(response, kOperation, {refresh_token, proof});
}

Result<Document> refreshed(const Json::Value& old, const Query& query, const Deadline& deadline) {
  const auto endpoint = aws_endpoint(AwsService::kSignin, query.settings["region"], query.settings);
  if (!endpoint) return endpoint.error();
  const std::string url = endpoint->url + "/v1/token";
  const auto proof = [&] { return dpop_proof(text_in(old, "dpopKey"), "POST", url, query.clock.now()); };
  if (const auto first = proof(); !first) return first.error();

  Document form;
  form["clientId"] = old["clientId"];
  form["grantType"] = "refresh_token";
  form["refreshToken"] = old["refreshToken"];
  const Secret body = to_json(form);
  Secret sent;
  const auto make = [&] {
    HttpRequest request = aws_post(query.settings, url, body);
    auto fresh = proof();
    sent = fresh ? std::move(*fresh) : Secret();
    request.add_header("DPoP", sent.reveal());
    return request;
  };
  const HttpOutcome outcome = exchange_with_retries(make, attempts_of(query.settings), deadline, query.clock);
  if (!outcome) return Error{why_unreachable(outcome, url)};
  if (!outcome.response.is_ok())
    return Error{why_denied(outcome.response, text_in(old, "refreshToken"), sent.reveal())};

  const Document answer = parse_json_object(outcome.response.body.reveal()).value_or(Document());
  const Json::Value& keys = object_in(answer, "accessToken");
  const int64_t life = number_in(answer, "expiresIn").value_or(0);
  if (!has_keys(keys) || life <= 0) {
    return Error{std::string(kOperation) + ": the answer holds no credentials (" + outcome.response.description() +
                 ")"};
  }
  Document fresh(old);
  for (const char* field : kKeyFields) put(fresh["accessToken"], field, keys[field]);
  fresh["accessToken"]["expiresAt"] = instant_after(life);
  if (!text_in(answer, "refreshToken").empty()) put(fresh, "refreshToken", answer["refreshToken"]);
  return fresh;
}

}  // namespace

Result<Fetched> fetch_login(const Query& query) {
  const Settings& settings = query.settings;
  const std::string_view name = settings["login_session"];
  const std::string remedy = "; run: " + cli_command("aws login", settings);
  const std::string cannot_load = asker(settings) + "Error loading login session token: ";

  const auto path = session_path(settings["cache_directory"], "SHA256", name);
  if (!path) return Error{asker(settings) + path.error().text};
  auto cached = read_cache_file(*path);
  if (!cached) {
    return Error{cannot_load + "Unable to load a existing login session for session " + shown(name, kShownSession) +
                 ". Please reauthenticate with 'aws login' (" + shown(*path, kShownPath) +
                 " is not there, or is no JSON)" + remedy};
  }
  if (const std::string missing = missing_fields(*cached); !missing.empty()) {
    return Error{cannot_load + "Failed to load access token from token cache, missing required fields: " + missing +
                 " (in " + shown(*path, kShownPath) + ")" + remedy};
  }

  CachedSession session;
  session.path = *path;
  session.window = kRefreshWindow;
  session.expiry = expiry_of;
  session.refresh = [&](const Json::Value& old, const Deadline& end) { return refreshed(old, query, end); };
  const auto token = living_session(session, std::move(*cached), query.deadline);
  if (!token) {
    return Error{asker(settings) +
                 "the keys of the login session have expired and cannot be refreshed: " + token.error().text + remedy};
  }

  const Json::Value& keys = object_in(*token, "accessToken");
  Fetched found;
  found.access_key_id = text_in(keys, "accessKeyId");
  found.secret_access_key = Secret(text_in(keys, "secretAccessKey"));
  found.session_token = Secret(text_in(keys, "sessionToken"));
  found.expires = *expiry_of(*token) + query.clock.skew;  // the file has this machine's time, core asks by the servers'
  return found;
}

}  // namespace pqmint
