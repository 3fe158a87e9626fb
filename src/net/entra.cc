// SPDX-License-Identifier: PostgreSQL
// What Microsoft Entra's sources have in common (spec/azure.md 1.4, 2.4 to 2.7).

#include "net/entra.h"

#include <poll.h>
#include <string.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <ctime>

#include "base/instant.h"
#include "base/percent.h"
#include "base/shown.h"
#include "net/digest.h"
#include "net/json.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;

/// What libpq's caller may be made to wait (spec/azure.md 2.6 [R]).
constexpr milliseconds kConnect{5'000};
constexpr milliseconds kTry{15'000};
constexpr int kRetries = 2;
constexpr milliseconds kMostRetryAfter{5'000};

/// PostgreSQL's server takes no longer password.
constexpr size_t kMaxToken = 65'535;

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
    {7000229, "the application has no service principal in the tenant; an administrator must consent to it"},
    {7000112, "the application is disabled"},
    {7000113, "the application is disabled"},
    {53003, "Conditional Access forbids it"},
    {50076, "multi-factor authentication is demanded; run az login"},
    {50079, "multi-factor authentication is demanded; run az login"},
    {65001, "an administrator must consent to the application"},
    {700082, "the login has expired; run az login"},
    {50173, "the login has been revoked; run az login"},
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

/// Up to where the ids and times begin, which are said apart.
std::string first_sentences(std::string_view description) {
  for (const std::string_view mark : {" Trace ID:", "\r", "\n"})
    description = description.substr(0, description.find(mark));
  return shown(description, 240);
}

/// What the token file says of itself, which is what a federated credential must match.
std::string claims_of_file(std::string_view token) {
  const size_t first = token.find('.');
  const size_t second = token.find('.', first + 1);
  if (first == token.npos || second == token.npos) return "";
  const auto claims = parse_json_object(base64url_decode(token.substr(first + 1, second - first - 1)));
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

Error refusal(const HttpResponse& response, const std::string& request_id, std::string_view assertion) {
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
  std::string text = "Microsoft Entra says no: " + shown(text_in(*document, "error"), 60);
  if (!description.empty()) text += ": " + first_sentences(description);
  if (code != 0 && description.find("AADSTS") == description.npos) text += " (AADSTS" + std::to_string(code) + ")";
  for (const Remedy& remedy : kRemedies) {
    if (remedy.code == code) text.append("; ").append(remedy.text);
  }
  if (code == 70021 || (code >= 700211 && code <= 700213)) text += claims_of_file(assertion);
  const std::string_view correlation = text_in(*document, "correlation_id");
  text += "; correlation id " + (correlation.empty() ? request_id : shown(correlation, 40));
  if (const std::string_view trace = text_in(*document, "trace_id"); !trace.empty())
    text += ", trace id " + shown(trace, 40);
  return Error{text};
}

bool is_transient(long status) {
  return status == 408 || (status >= 500 && status != 501 && status != 505);
}

/// How long the server wants to be left alone; nothing if it does not say.
std::optional<milliseconds> retry_after(const HttpResponse& response) {
  for (const auto& [name, unit] : {std::pair{"retry-after-ms", 1}, {"x-ms-retry-after-ms", 1}, {"retry-after", 1000}}) {
    const std::string_view text = response.header(name);
    int64_t number = 0;
    if (text.empty() || std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{}) continue;
    return milliseconds(number * unit);
  }
  return std::nullopt;
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
      const auto asked = retry_after(outcome.response);
      // Entra counts what comes too early against the application.
      const bool again = status == 429 || status == 503 ? (asked || status == 503) : is_transient(status);
      if (!again || (asked && *asked > kMostRetryAfter)) return outcome;
      pause = asked.value_or(pause);
    } else if (outcome.fault == HttpFault::kTls || outcome.fault == HttpFault::kTooLarge) {
      return outcome;
    }
    if (pause >= query.deadline.left()) return outcome;
    poll(nullptr, 0, static_cast<int>(pause.count()));
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
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
  if (const std::string_view name = name_of_identity(text_in(claims, "xms_mirid")); !name.empty())
    return std::string(name);
  for (const char* claim : {"upn", "preferred_username"}) {
    if (const std::string_view name = text_in(claims, claim); !name.empty()) return std::string(name);
  }
  // A guest's is "live.com#a@b": the provider's name for him, not the directory's.
  const std::string_view unique = text_in(claims, "unique_name");
  return unique.find('#') == unique.npos || lower(unique).find("#ext#") != std::string::npos ? std::string(unique) : "";
}

bool is_password(std::string_view token) {
  return !token.empty() && token.size() <= kMaxToken && std::ranges::all_of(token, [](unsigned char c) {
    return isalnum(c) || std::string_view("._~+/=-").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
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
  const time_t seconds = timegm(&parts);
  const std::string_view zone = std::string_view(rest).substr(std::min<size_t>(strspn(rest, " "), strlen(rest)));
  if (!zone.empty() && zone != "+00:00" && zone != "Z" && zone != "UTC") return std::nullopt;
  return seconds;
}

}  // namespace

std::string resource_of(std::string_view scope) {
  constexpr std::string_view kDefault = "/.default";
  if (scope.ends_with(kDefault)) scope.remove_suffix(kDefault.size());
  return std::string(scope);
}

std::string token_endpoint(const Settings& settings) {
  return std::string(settings["authority"]) + "/" + std::string(settings["tenant_id"]) + "/oauth2/v2.0/token";
}

Result<Fetched> request_token(const Query& query, std::vector<std::pair<std::string, Secret>> proof,
                              void (*adapt)(HttpRequest&, const Settings&)) {
  const std::string request_id = random_uuid();
  std::string form = "client_id=";
  append_percent_encoded(form, query.settings["client_id"]);
  form += "&scope=";
  append_percent_encoded(form, query.settings["scope"]);
  form += "&grant_type=client_credentials";
  size_t size = form.size();
  for (const auto& [name, value] : proof) size += name.size() + 2 + percent_encoded_size(value.reveal());
  form.reserve(size);  // at once, so that no shorter copy stays behind in freed memory
  std::string_view assertion;
  for (const auto& [name, value] : proof) {
    form.append("&").append(name).append("=");
    append_percent_encoded(form, value.reveal());
    if (name == "client_assertion") assertion = value.reveal();
  }
  const Secret body(form);
  explicit_bzero(form.data(), form.size());

  const auto make = [&] {
    HttpRequest request;
    request.method = "POST";
    request.url = token_endpoint(query.settings);
    request.may_use_proxy = true;
    request.ca_bundle = query.settings["ca_bundle"];
    request.add_header("Content-Type", "application/x-www-form-urlencoded;charset=utf-8");
    request.add_header("client-request-id", request_id);
    request.add_header("Accept", "application/json");
    request.body = body.clone();
    if (adapt != nullptr) adapt(request, query.settings);
    return request;
  };
  const HttpOutcome outcome = post(make, query);
  if (!outcome) {
    return Error{"cannot reach Microsoft Entra at " + shown(make().url, kShownPath) + ": " + outcome.why +
                 "; check the network, HTTPS_PROXY and AZURE_AUTHORITY_HOST"};
  }
  if (!outcome.response.is_ok()) return refusal(outcome.response, request_id, assertion);
  const auto document = parse_json_object(outcome.response.body.reveal());
  const std::string_view token = document ? text_in(*document, "access_token") : std::string_view();
  if (token.empty()) {
    return Error{"the answer of Microsoft Entra holds no access token (" + outcome.response.description() +
                 "); is there a proxy in between?"};
  }
  const int64_t now = query.clock.now();
  // Without a word about its life it counts for this connection alone.
  const int64_t life = number_or_text(*document, "expires_in").value_or(0);
  const auto early = number_or_text(*document, "refresh_in");
  // Half of a long life, three quarters of a short one (spec/azure.md 2.7 [R]).
  const int64_t soft = early ? *early : life >= 2 * 3600 ? life / 2 : life - life / 4;
  return entra_token(token, now + std::max<int64_t>(life, 1), now + soft);
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
  const size_t first = token.find('.');
  const size_t second = first == token.npos ? first : token.find('.', first + 1);
  if (second == token.npos) return found;  // not for us to read
  const auto claims = parse_json_object(base64url_decode(token.substr(first + 1, second - first - 1)));
  if (!claims) return found;
  found.text = user_of(*claims);
  const std::string_view application =
      text_in(*claims, "appid").empty() ? text_in(*claims, "azp") : text_in(*claims, "appid");
  found.identity = "oid=" + shown(text_in(*claims, "oid"), 60) + ", appid=" + shown(application, 60);
  return found;
}

std::optional<int64_t> token_expiry(const Json::Value& answer, int64_t now) {
  if (const auto at = number_or_text(answer, "expires_on")) return at;
  const std::string_view text = text_in(answer, "expires_on");
  if (const auto at = parse_instant(text)) return at;
  if (const auto at = american_instant(text)) return at;
  if (const auto life = number_or_text(answer, "expires_in")) return now + *life;
  return std::nullopt;
}

}  // namespace pqmint
