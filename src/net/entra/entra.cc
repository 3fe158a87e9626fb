// SPDX-License-Identifier: PostgreSQL
// What Microsoft Entra's sources have in common (spec/azure.md 1.4, 2.4 to 2.7).

#include "net/entra/entra.h"

#include <curl/curl.h>
#include <poll.h>
#include <time.h>

#include <algorithm>
#include <charconv>

#include "base/instant.h"
#include "base/percent.h"
#include "base/shown.h"
#include "base/text.h"
#include "net/digest.h"
#include "net/json.h"
#include "net/said.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// What libpq's caller may be made to wait (spec/azure.md 2.6 [R]).
constexpr milliseconds kConnect{5'000};
constexpr milliseconds kTry{15'000};
constexpr int kRetries = 2;
constexpr milliseconds kMostRetryAfter{5'000};

/// No token lives as long; what is more is no number to reckon with.
constexpr int64_t kMaxLife = 10 * 365 * 86'400;  // s

struct Remedy {
  int code;
  const char* text;
};
constexpr Remedy kRemedies[] = {
    {7000215, "the client secret is wrong: AZURE_CLIENT_SECRET must be the secret's value, not its ID"},
    {7000222, "the client secret has expired; make a new one"},
    {7000216, "the request carries no proof of who asks; set AZURE_CLIENT_SECRET or a certificate"},
    {7000218, "the request carries no proof of who asks; set AZURE_CLIENT_SECRET or a certificate"},
    {700016, "the application AZURE_CLIENT_ID is not in the tenant AZURE_TENANT_ID"},
    {90002, "there is no such tenant; check AZURE_TENANT_ID and the cloud of AZURE_AUTHORITY_HOST"},
    {900023, "AZURE_TENANT_ID is neither a GUID nor a domain"},
    {90013, "AZURE_TENANT_ID is neither a GUID nor a domain"},
    {500011, "the tenant does not know the database service: the cloud is another one, or it was never used there"},
    {50001, "the tenant does not know the database service: the cloud is another one, or it was never used there"},
    {650057, "the tenant does not know the database service: the cloud is another one, or it was never used there"},
    {1002012, "the scope must end in /.default"},
    {70011, "the scope must end in /.default"},
    {700027, "the certificate is not registered with the application; upload it there"},
    {700024, "the assertion is not within its time: this machine's clock is off, or the token file is stale"},
    {70021, "no federated credential of the application matches the token file"},
    {700211, "no federated credential of the application matches the token's issuer"},
    {700212, "no federated credential of the application matches the token's audience"},
    {700213, "no federated credential of the application matches the token's subject"},
    {90061, "Microsoft Entra cannot reach the issuer of the token file; its OpenID configuration must be public"},
    {50166, "Microsoft Entra cannot reach the issuer of the token file; its OpenID configuration must be public"},
    {7000229, "the application has no service principal in the tenant; an administrator must consent to it"},
    {7000112, "the application is disabled"},
    {7000113, "the application is disabled"},
    {53003, "Conditional Access forbids it; an administrator must let the application through"},
    {50005, "Conditional Access forbids it; an administrator must let the application through"},
    {530003, "Conditional Access forbids it; an administrator must let the application through"},
    {50076, "multi-factor authentication is demanded; run az login"},
    {50079, "multi-factor authentication is demanded; run az login"},
    {50158, "multi-factor authentication is demanded; run az login"},
    {65001, "an administrator must consent to the application"},
    {700082, "the login has expired; run az login"},
    {70043, "the login has expired; run az login"},
    {70008, "the login has expired; run az login"},
    {50173, "the login has been revoked; run az login"},
    {50196, "too many tokens were asked for in a row; wait some minutes"},
    {90033, "the service is disturbed; try again later"},
    {90055, "the service is disturbed; try again later"},
    {50049, "the authority is not known; check AZURE_AUTHORITY_HOST"},
};

/// The number in "AADSTS7000215: ...".
int aadsts_code(std::string_view description) {
  constexpr std::string_view kName = "AADSTS";
  const size_t at = description.find(kName);
  int code = 0;
  if (at != description.npos) {
    const char* begin = description.data() + at + kName.size();
    std::from_chars(begin, description.data() + description.size(), code);
  }
  return code;
}

/// The ids and times at its end are said apart; what follows the first sentence is advice that the remedies give
/// shorter, but for a reason in brackets.
std::string first_sentence(std::string_view description, std::string_view proof) {
  for (const std::string_view mark : {" Trace ID:", "\r", "\n"}) {
    description = description.substr(0, description.find(mark));
  }
  size_t end = description.find(". ");
  while (end != description.npos && description.substr(end + 2).starts_with('[')) end = description.find(". ", end + 2);
  if (end != description.npos) description = description.substr(0, end + 1);
  return said(description, 240, {proof});
}

/// What a token says of itself; nothing if it is none that can be read.
std::optional<Document> claims_in(std::string_view token) {
  const size_t first = token.find('.');
  const size_t second = first == token.npos ? first : token.find('.', first + 1);
  if (second == token.npos) return std::nullopt;
  return parse_json_object(base64url_decode(token.substr(first + 1, second - first - 1)));
}

/// What the token file says of itself, which is what a federated credential must match.
std::string claims_of_file(std::string_view token) {
  const auto claims = claims_in(token);
  if (!claims) return "";
  std::string out = " (the file's token has";
  for (const char* name : {"iss", "sub", "aud"}) {
    std::string_view value = text_in(*claims, name);
    if (value.empty() && claims->isMember(name) && (*claims)[name].isArray() && (*claims)[name].size() > 0 &&
        (*claims)[name][0].isString()) {
      value = (*claims)[name][0].asCString();
    }
    out.append(" ").append(name).append("=").append(shown(value, 120));
  }
  return out + ")";
}

bool is_transient(long status) {
  return status == 408 || (status >= 500 && status != 501 && status != 505);
}

/// `proof` is the secret or the assertion that the request carried.
Error refusal(const HttpResponse& response, const std::string& request_id, std::string_view proof, int64_t now) {
  const auto document = parse_json_object(response.body.reveal());
  if (!document || text_in(*document, "error").empty()) {
    return Error{"Microsoft Entra answered with " + response.description() +
                 ", which is none of its own errors; is there a proxy in between?"};
  }
  const std::string_view description = text_in(*document, "error_description");
  int code = aadsts_code(description);
  const Json::Value& codes =
      document->isMember("error_codes") ? (*document)["error_codes"] : Json::Value::nullSingleton();
  if (codes.isArray() && !codes.empty() && codes[0].isInt()) code = codes[0].asInt();
  std::string text = "Microsoft Entra says no: " + said(text_in(*document, "error"), 60, {proof});
  if (!description.empty()) text += ": " + first_sentence(description, proof);
  if (code != 0 && description.find("AADSTS") == description.npos) text += " (AADSTS" + std::to_string(code) + ")";
  for (const Remedy& remedy : kRemedies) {
    if (remedy.code == code) text.append("; ").append(remedy.text);
  }
  if (code == 70021 || (code >= 700211 && code <= 700213)) text += claims_of_file(proof);
  if (const auto wait = retry_after(response, now)) {
    text += "; it asks to be left alone for " + std::to_string(duration_cast<seconds>(*wait).count()) + " s";
  }
  const std::string_view correlation = text_in(*document, "correlation_id");
  text += "; correlation id " + (correlation.empty() ? request_id : said(correlation, 40, {proof}));
  if (const std::string_view trace = text_in(*document, "trace_id"); !trace.empty())
    text += ", trace id " + said(trace, 40, {proof});
  return Error{text};
}

HttpOutcome post(const std::function<HttpRequest()>& make, const Query& query) {
  for (int attempt = 0;; ++attempt) {
    HttpRequest request = make();
    request.connect_timeout = kConnect;
    HttpOutcome outcome = exchange(request, query.deadline.no_later_than(kTry), query.clock);
    if (attempt == kRetries) return outcome;
    milliseconds pause = milliseconds(500) * (1 << attempt);
    if (outcome) {
      const long status = outcome.response.status;
      const auto asked = retry_after(outcome.response, query.clock.now());
      // Entra counts what comes too early against the application.
      const bool again = status == 429 || status == 503 ? (asked || status == 503) : is_transient(status);
      if (!again || (asked && *asked > kMostRetryAfter)) return outcome;
      pause = asked.value_or(pause);
    } else if (outcome.fault == HttpFault::kTls || outcome.fault == HttpFault::kTooLarge ||
               outcome.fault == HttpFault::kNotSent) {
      return outcome;
    }
    if (pause >= query.deadline.left()) return outcome;
    poll(nullptr, 0, static_cast<int>(pause.count()));
  }
}

/// The user-assigned identity's own name in its resource's path, empty for any other resource.
std::string_view name_of_identity(std::string_view resource) {
  constexpr std::string_view kType = "/providers/microsoft.managedidentity/userassignedidentities/";
  const size_t at = lower(resource).find(kType);
  if (at == std::string::npos) return {};
  const std::string_view name = resource.substr(at + kType.size());
  return name.find('/') == name.npos ? name : std::string_view();
}

std::string user_of(const Json::Value& claims) {
  // A guest's unique_name is "live.com#a@b": the provider's name for him, not the directory's.
  std::string_view unique = text_in(claims, "unique_name");
  if (unique.find('#') != unique.npos && lower(unique).find("#ext#") == std::string::npos) unique = {};
  for (const std::string_view name : {name_of_identity(text_in(claims, "xms_mirid")), text_in(claims, "upn"),
                                      text_in(claims, "preferred_username"), unique}) {
    // It becomes a C string and part of one line.
    if (!name.empty() && !has_controls(name)) return std::string(name);
  }
  return "";
}

bool is_password(std::string_view token) {
  return !token.empty() && token.size() <= kMostPassword && is_made_of(token, "._~+/=-");
}

std::optional<int64_t> number_or_text(const Json::Value& object, const char* key) {
  if (const auto number = number_in(object, key)) return number;
  return whole_number(text_in(object, key));
}

/// "01/15/2026 12:34:56 +00:00", as the older App Service writes it.
std::optional<int64_t> american_instant(std::string_view text) {
  std::string copy(text);
  tm parts = {};
  const char* rest = strptime(copy.c_str(), "%m/%d/%Y %H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  while (*rest == ' ') ++rest;
  const std::string_view zone = rest;
  if (!zone.empty() && zone != "+00:00" && zone != "Z" && zone != "UTC") return std::nullopt;
  return timegm(&parts);
}

}  // namespace

std::optional<milliseconds> retry_after(const HttpResponse& response, int64_t now) {
  const auto wait = [](int64_t number, int64_t unit) {
    return milliseconds(std::clamp<int64_t>(number, 0, kMaxLife) * unit);
  };
  for (const char* name : {"retry-after-ms", "x-ms-retry-after-ms"}) {
    if (const auto number = whole_number(response.header(name))) return wait(*number, 1);
  }
  const std::string_view text = response.header("retry-after");
  if (const auto number = whole_number(text)) return wait(*number, 1000);
  const time_t at = text.empty() ? -1 : curl_getdate(std::string(text).c_str(), nullptr);
  if (at < 0) return std::nullopt;
  return wait(at - now, 1000);
}

std::string resource_of(std::string_view scope) {
  constexpr std::string_view kDefault = "/.default";
  if (scope.ends_with(kDefault)) scope.remove_suffix(kDefault.size());
  return std::string(scope);
}

std::string tenant_url(const Settings& settings, const char* endpoint) {
  return std::string(settings["authority"]) + "/" + std::string(settings["tenant_id"]) + "/oauth2/v2.0/" + endpoint;
}

Result<Fetched> request_token(const Query& query, std::vector<std::pair<std::string, Secret>> proof,
                              const std::function<void(HttpRequest&)>& adapt) {
  const std::string request_id = random_uuid();
  Secret body("client_id=");
  append_percent_encoded(body, query.settings["client_id"]);
  append_percent_encoded(body.append("&scope="), query.settings["scope"]);
  body.append("&grant_type=client_credentials");
  const std::string_view carried = proof.empty() ? std::string_view() : proof.front().second.reveal();
  for (const auto& [name, value] : proof) {
    append_percent_encoded(body.append("&").append(name).append("="), value.reveal());
  }

  const auto make = [&] {
    HttpRequest request;
    request.method = "POST";
    request.url = tenant_url(query.settings, "token");
    request.may_use_proxy = true;
    request.ca_bundle = query.settings["ca_bundle"];
    request.add_header("Content-Type", "application/x-www-form-urlencoded;charset=utf-8");
    request.add_header("client-request-id", request_id);
    request.add_header("Accept", "application/json");
    request.body = body.clone();
    if (adapt) adapt(request);
    return request;
  };
  const HttpOutcome outcome = post(make, query);
  if (!outcome) {
    return Error{"cannot reach Microsoft Entra at " + shown_url(make().url, kShownPath) + ": " + outcome.why +
                 (adapt ? "; check the AZURE_KUBERNETES_* variables and the cluster's proxy"
                        : "; check the network, HTTPS_PROXY and AZURE_AUTHORITY_HOST")};
  }
  if (!outcome.response.is_ok()) return refusal(outcome.response, request_id, carried, query.clock.now());
  const auto document = parse_json_object(outcome.response.body.reveal());
  const std::string_view token = document ? text_in(*document, "access_token") : std::string_view();
  if (token.empty()) {
    return Error{"the answer of Microsoft Entra holds no access token (" + outcome.response.description() +
                 "); is there a proxy in between?"};
  }
  if (!is_bearer(*document)) {
    return Error{
        "Microsoft Entra gave a token that is no Bearer token: it needs a proof with each use, and is no "
        "password; ask for a Bearer token"};
  }
  const int64_t now = query.clock.now();
  // Without a word about its life it counts for this connection alone.
  const int64_t life = std::clamp<int64_t>(number_or_text(*document, "expires_in").value_or(1), 1, kMaxLife);
  const auto early = number_or_text(*document, "refresh_in");
  // Half of a long life, three quarters of a short one (spec/azure.md 2.7 [R]).
  const int64_t soft = early ? std::clamp<int64_t>(*early, 0, life) : life >= 2 * 3600 ? life / 2 : life - life / 4;
  return entra_token(token, now + life, now + soft);
}

Result<Fetched> entra_token(std::string_view token, int64_t expires, int64_t refresh_at) {
  if (!is_password(token)) {
    return Error{"Microsoft Entra's access token has characters or a length (" + std::to_string(token.size()) +
                 " bytes) that no password may have"};
  }
  Fetched found;
  found.token = Secret(token);
  found.expires = expires;
  found.refresh_at = refresh_at;
  const auto claims = claims_in(token);
  if (!claims) return found;  // not for us to read
  found.text = user_of(*claims);
  const std::string_view application =
      text_in(*claims, "appid").empty() ? text_in(*claims, "azp") : text_in(*claims, "appid");
  for (const auto& [name, value] : {std::pair{"oid=", text_in(*claims, "oid")}, {"appid=", application}}) {
    if (value.empty()) continue;
    found.identity.append(found.identity.empty() ? "" : ", ").append(name).append(shown(value, 60));
  }
  return found;
}

bool is_bearer(const Json::Value& answer) {
  return !answer.isMember("token_type") || lower(text_in(answer, "token_type")) == "bearer";
}

std::optional<int64_t> token_expiry(const Json::Value& answer, int64_t now) {
  const std::string_view text = text_in(answer, "expires_on");
  for (const auto at : {number_or_text(answer, "expires_on"), parse_instant(text), american_instant(text)}) {
    if (at && *at > 0) return at;  // 0 would mean never
  }
  if (const auto life = number_or_text(answer, "expires_in")) return now + std::clamp<int64_t>(*life, 0, kMaxLife);
  return std::nullopt;
}

}  // namespace pqmint
