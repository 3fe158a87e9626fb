// SPDX-License-Identifier: PostgreSQL
// IAM Identity Center: an access token and the names of an account and a role come in; the role's keys go out
// (GetRoleCredentials, spec/aws.md 4.7).

#include "base/percent.h"
#include "base/shown.h"
#include "net/aws/endpoint.h"
#include "net/aws/service.h"
#include "net/aws/sso_token.h"
#include "net/http.h"
#include "net/json.h"
#include "net/source.h"

namespace pqmint {
namespace {

constexpr std::string_view kOperation = "GetRoleCredentials";
constexpr size_t kShownName = 60;

Error refusal(const HttpResponse& response, const Settings& settings, const Secret& token) {
  if (response.status == 401) return sso_session_expired(settings);
  std::string text = asker(settings) + why_refused(response, kOperation, {token.reveal()});
  if (response.status == 403 || response.status == 404) {
    text += "; the user who logged in has no role " + shown(settings["sso_role_name"], kShownName) + " in account " +
            shown(settings["sso_account_id"], kShownName) +
            ": correct sso_role_name and sso_account_id, have it assigned, or log in as somebody else: " +
            cli_command("aws sso login", settings);
  }
  if (response.status == 429) text += "; try again in a minute";
  return Error{text};
}

Result<Fetched> keys_in(const HttpResponse& response, const Query& query) {
  const Document answer = parse_json_object(response.body.reveal()).value_or(Document());
  const Json::Value& keys = object_in(answer, "roleCredentials");
  const int64_t expires = number_in(keys, "expiration").value_or(0) / 1000;  // it is in milliseconds
  Fetched found;
  found.access_key_id = key_in(keys, "accessKeyId");
  found.secret_access_key = Secret(key_in(keys, "secretAccessKey"));
  found.session_token = Secret(key_in(keys, "sessionToken"));
  found.expires = expires;
  if (found.access_key_id.empty() || found.secret_access_key.empty() || found.session_token.empty() || expires <= 0) {
    return Error{asker(query.settings) + std::string(kOperation) + ": the answer holds no credentials (" +
                 response.description() + "); is there a proxy in between?"};
  }
  if (expires <= query.clock.now()) {
    return Error{asker(query.settings) + std::string(kOperation) +
                 ": credentials were refreshed, but the refreshed credentials are still expired; check this machine's "
                 "clock"};
  }
  return found;
}

}  // namespace

Result<Fetched> fetch_sso(const Query& query) {
  const Settings& settings = query.settings;
  const auto endpoint = aws_endpoint(AwsService::kSsoPortal, settings["region"], settings);
  if (!endpoint) return Error{asker(settings) + "sso_region: " + endpoint.error().text};
  const auto token = sso_access_token(query);
  if (!token) return token.error();

  std::string url = endpoint->url + "/federation/credentials?role_name=";
  append_percent_encoded(url, settings["sso_role_name"]);
  append_percent_encoded(url.append("&account_id="), settings["sso_account_id"]);
  const auto make = [&] {
    HttpRequest request = aws_request(settings, url);
    request.add_header("x-amz-sso_bearer_token", token->reveal());
    return request;
  };
  const HttpOutcome outcome = exchange_with_retries(make, attempts_of(settings), query.deadline, query.clock);
  if (!outcome) {
    return Error{asker(settings) + std::string(kOperation) + ": " + why_unreachable(outcome, url) + " and sso_region"};
  }
  if (!outcome.response.is_ok()) return refusal(outcome.response, settings, *token);
  return keys_in(outcome.response, query);
}

}  // namespace pqmint
