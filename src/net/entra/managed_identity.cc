// SPDX-License-Identifier: PostgreSQL
// The identity that Azure gives to a machine, an app or a container: the platform's endpoint comes in, a token of
// Microsoft Entra goes out (spec/azure.md 2.10). Six platforms, told apart by their variables.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/percent.h"
#include "base/shown.h"
#include "net/entra/arc.h"
#include "net/entra/entra.h"
#include "net/json.h"
#include "net/said.h"
#include "net/url.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;

enum class Platform { kServiceFabric, kAppService, kMachineLearning, kCloudShell, kArc, kImds };

constexpr std::string_view kImdsHost = "http://169.254.169.254";
constexpr std::string_view kImdsPath = "/metadata/identity/oauth2/token";
constexpr std::string_view kArcEndpoint = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
constexpr std::string_view kArcAgent = "/opt/azcmagent/bin/himds";

constexpr milliseconds kProbe{1000};
constexpr milliseconds kTry{5000};
/// As often as the SDK asks in all. Its pauses for 410 (the service is being updated, for up to 70 s) begin with 3 s;
/// with these, the whole of it stays within the 30 s that a connection waits (spec/azure.md 2.10 [R]).
constexpr int kAttempts = 4;
constexpr int kAttemptsWhileItChanges = 6;
constexpr milliseconds kFirstPause{800};
constexpr milliseconds kMostRetryAfter{5000};

std::string_view or_usual(std::string_view value, std::string_view usual) {
  return value.empty() ? usual : value;
}

bool has_arc_agent(const Settings& settings) {
  return access(std::string(or_usual(settings["arc_agent"], kArcAgent)).c_str(), F_OK) == 0;
}

Platform platform_of(const Settings& settings) {
  const bool endpoint = !settings["identity_endpoint"].empty();
  const bool header = !settings["identity_header"].empty();
  if (endpoint && header && !settings["identity_server_thumbprint"].empty()) return Platform::kServiceFabric;
  if (endpoint && header) return Platform::kAppService;
  if (!settings["msi_endpoint"].empty()) {
    return settings["msi_secret"].empty() ? Platform::kCloudShell : Platform::kMachineLearning;
  }
  const bool is_arc = (endpoint && !settings["imds_endpoint"].empty()) || has_arc_agent(settings);
  return is_arc ? Platform::kArc : Platform::kImds;
}

/// Where a platform's secret may go without TLS: this machine, its link, the network that clouds give to metadata
/// services (spec/azure.md 4 [R]).
bool is_near(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const uint32_t ip = ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
    return (ip >> 24) == 127 || (ip >> 16) == 0xA9FE;
  }
  if (address.sa_family != AF_INET6) return false;
  const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&ip) || IN6_IS_ADDR_LINKLOCAL(&ip) || ip.s6_addr[0] == 0xFD;
}

/// An identity proxy of a cluster may also have a private address (spec/azure.md 2.10 [R]).
bool is_near_or_private(const sockaddr& address) {
  if (is_near(address)) return true;
  if (address.sa_family != AF_INET) return false;
  const uint32_t ip = ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
  return (ip >> 24) == 10 || (ip >> 20) == 0xAC1 || (ip >> 16) == 0xC0A8;
}

void add_query(std::string& url, const char* name, std::string_view value) {
  if (value.empty()) return;
  url.append(url.find('?') == url.npos ? "?" : "&").append(name).append("=");
  append_percent_encoded(url, value);
}

std::string imds_base(const Settings& settings) {
  std::string base(or_usual(settings["pod_identity_authority_host"], or_usual(settings["imds_host"], kImdsHost)));
  while (base.ends_with('/')) base.pop_back();
  return base;
}

/// 40 hexadecimal digits, however they were written; empty if it is none.
std::string thumbprint_of(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != ':' && c != ' ') digits += c;
  }
  const bool is_sha1 = digits.size() == 40 && digits.find_first_not_of("0123456789abcdefABCDEF") == digits.npos;
  return is_sha1 ? digits : "";
}

/// Which variable says where this platform answers, for remedies.
const char* endpoint_variable(Platform platform) {
  if (platform == Platform::kMachineLearning || platform == Platform::kCloudShell) return "MSI_ENDPOINT";
  return platform == Platform::kImds ? "AZURE_POD_IDENTITY_AUTHORITY_HOST" : "IDENTITY_ENDPOINT";
}

/// The request for a token, or why this platform cannot give the one that was asked for.
Result<HttpRequest> request_for(Platform platform, const Settings& settings) {
  const std::string resource = resource_of(settings["scope"]);
  const std::string_view client = settings["client_id"];
  const auto refuse_client = [&](const char* where) {
    return Error{std::string(where) + " has one identity only, and client_id (" + shown(client, 60) +
                 ") asks for a certain one; unset AZURE_CLIENT_ID"};
  };
  HttpRequest request;
  request.is_allowed = is_near;
  switch (platform) {
    case Platform::kServiceFabric:
      if (!client.empty()) return refuse_client("a Service Fabric application");
      request.url = settings["identity_endpoint"];
      add_query(request.url, "api-version", "2019-07-01-preview");
      add_query(request.url, "resource", resource);
      request.add_header("secret", settings["identity_header"]);
      request.pinned_thumbprint = thumbprint_of(settings["identity_server_thumbprint"]);
      if (request.pinned_thumbprint.empty()) {
        return Error{
            "IDENTITY_SERVER_THUMBPRINT is no SHA-1 thumbprint of 40 hexadecimal digits; correct it, or unset it "
            "where this is not Service Fabric"};
      }
      if (!request.url.starts_with("https://"))
        return Error{"the IDENTITY_ENDPOINT of Service Fabric must be an https URL"};
      break;
    case Platform::kAppService:
      request.url = settings["identity_endpoint"];
      add_query(request.url, "api-version", "2019-08-01");
      add_query(request.url, "resource", resource);
      add_query(request.url, "client_id", client);
      request.add_header("X-IDENTITY-HEADER", settings["identity_header"]);
      break;
    case Platform::kMachineLearning:
      request.url = settings["msi_endpoint"];
      add_query(request.url, "api-version", "2017-09-01");
      add_query(request.url, "resource", resource);
      add_query(request.url, "clientid", or_usual(client, settings["default_identity_client_id"]));
      request.add_header("secret", settings["msi_secret"]);
      request.add_header("Metadata", "true");
      break;
    case Platform::kCloudShell: {
      if (!client.empty()) return refuse_client("Cloud Shell");
      request.method = "POST";
      request.url = settings["msi_endpoint"];
      std::string body = "resource=";
      append_percent_encoded(body, resource);
      request.body = Secret(body);
      request.add_header("Metadata", "true");
      break;
    }
    case Platform::kArc:
      request.url = or_usual(settings["identity_endpoint"], kArcEndpoint);
      add_query(request.url, "api-version", "2020-06-01");
      add_query(request.url, "resource", resource);
      add_query(request.url, "client_id", client);
      request.add_header("Metadata", "true");
      break;
    case Platform::kImds:
      if (!settings["pod_identity_authority_host"].empty()) request.is_allowed = is_near_or_private;
      request.url = imds_base(settings) + std::string(kImdsPath);
      add_query(request.url, "api-version", "2018-02-01");
      add_query(request.url, "resource", resource);
      add_query(request.url, "client_id", client);
      request.add_header("Metadata", "true");
      break;
  }
  // The SDKs send it with GET too.
  request.add_header("Content-Type", "application/x-www-form-urlencoded;charset=utf-8");
  const auto parts = parse_url(request.url);
  if (!parts)
    return Error{"the endpoint \"" + shown_url(request.url, 80) + "\" is no http or https URL; correct " +
                 endpoint_variable(platform)};
  if (parts->scheme == "https") request.is_allowed = nullptr;
  return request;
}

const char* name_of(Platform platform) {
  switch (platform) {
    case Platform::kServiceFabric:
      return "Service Fabric";
    case Platform::kAppService:
      return "App Service";
    case Platform::kMachineLearning:
      return "Azure Machine Learning";
    case Platform::kCloudShell:
      return "Cloud Shell";
    case Platform::kArc:
      return "Azure Arc";
    case Platform::kImds:
      return "the metadata service";
  }
  return "";
}

/// This process could not, which must neither be remembered nor lead to another identity.
Error cannot_ask(const HttpOutcome& outcome) {
  return Error{"the managed identity was not asked for: " + outcome.why};
}

/// Docker Desktop's own answer for an address that it cannot reach.
bool is_unreachable(const HttpResponse& response) {
  return response.status == 403 && response.body.reveal().find("unreachable") != std::string_view::npos;
}

/// Any answer means that somebody is there; without the header the real service says 400 at once.
std::optional<Result<Fetched>> probe(const Query& query) {
  HttpRequest request;
  request.url = imds_base(query.settings) + std::string(kImdsPath);
  request.is_allowed = is_near;
  Clock not_asked;
  const HttpOutcome outcome = exchange(request, query.deadline.no_later_than(kProbe), not_asked);
  if (outcome.fault == HttpFault::kShortage) return cannot_ask(outcome);
  if (!outcome) return Fetched::absent("no metadata service: " + outcome.why);
  if (is_unreachable(outcome.response))
    return Fetched::absent("no metadata service: " + outcome.response.description());
  return std::nullopt;
}

/// How often an exchange that went like this one is worth making, in all.
int attempts_for(Platform platform, const HttpOutcome& outcome) {
  if (!outcome) return outcome.fault == HttpFault::kTimeout || outcome.fault == HttpFault::kBroken ? kAttempts : 1;
  const long status = outcome.response.status;
  if (platform == Platform::kImds && (status == 404 || status == 410)) return kAttemptsWhileItChanges;
  return status == 429 || status >= 500 ? kAttempts : 1;
}

HttpOutcome ask(Platform platform, const std::function<HttpRequest()>& make, const Query& query) {
  Clock not_asked;
  milliseconds usual_pause = kFirstPause;
  for (int attempt = 1;; ++attempt, usual_pause *= 2) {
    HttpOutcome outcome = exchange(make(), query.deadline.no_later_than(kTry), not_asked);
    const auto asked = retry_after(outcome.response, time(nullptr));
    const milliseconds pause = asked.value_or(usual_pause);
    if (attempt >= attempts_for(platform, outcome) || pause >= query.deadline.left()) return outcome;
    if (asked && *asked > kMostRetryAfter) return outcome;
    poll(nullptr, 0, static_cast<int>(pause.count()));
  }
}

/// `key` becomes what was read for the challenge, or why nothing was.
HttpOutcome ask_arc(const std::function<HttpRequest()>& make, const Query& query, Result<Secret>& key) {
  HttpOutcome first = ask(Platform::kArc, make, query);
  // A token without a challenge is refused, an error of the agent's own is told.
  if (!first || (first.response.status != 401 && !first.response.is_ok())) return first;
  key = arc_key(first.response, query.settings);
  if (!key) return first;
  const auto with_key = [&] {
    HttpRequest request = make();
    Secret value("Basic ");
    value.append(key->reveal());
    request.headers.emplace_back("Authorization", std::move(value));
    return request;
  };
  return ask(Platform::kArc, with_key, query);
}

/// The platform's own code and sentence, and what people can search for. `arc_key` is what Arc was shown.
std::string said_by(const HttpResponse& response, const Settings& settings, const Secret& arc_key) {
  const auto document = parse_json_object(response.body.reveal());
  const auto of_it = [&](std::string_view text, size_t most) {
    return said(text, most, {settings["identity_header"], settings["msi_secret"], arc_key.reveal()});
  };
  std::string all;
  for (const char* key : {"error", "error_description", "message"}) {
    if (const std::string_view text = document ? text_in(*document, key) : std::string_view(); !text.empty())
      all.append(all.empty() ? "" : ": ").append(of_it(text, 200));
  }
  if (all.empty()) return response.description();
  all += " (status " + std::to_string(response.status);
  for (const char* key : {"correlationId", "correlation_id"}) {
    if (const std::string_view id = text_in(*document, key); !id.empty()) all += ", correlation id " + of_it(id, 60);
  }
  return all + ")";
}

Result<Fetched> refusal(Platform platform, const HttpResponse& response, const Settings& settings,
                        const Secret& arc_key) {
  const long status = response.status;
  const std::string why = said_by(response, settings, arc_key);
  const bool is_imds = platform == Platform::kImds;
  if (is_imds && is_unreachable(response)) return Fetched::absent("no metadata service: " + response.description());
  const std::string no_token = std::string(name_of(platform)) + " gives no token: " + why;
  for (const std::string_view code : {"AADSTS50001", "AADSTS500011"}) {
    if (response.body.reveal().find(code) == std::string_view::npos) continue;
    return Error{no_token + "; the tenant does not know the resource " + shown(resource_of(settings["scope"]), 120) +
                 ": the cloud is another one, or scope= in the token spec is wrong"};
  }
  if (is_imds && status == 400) {
    const std::string_view client = settings["client_id"];
    if (client.empty()) return Fetched::absent("this machine has no system-assigned identity: " + why);
    return Error{"this machine has no managed identity with the client id " + shown(client, 60) + ": " + why +
                 "; assign it to the machine, or unset AZURE_CLIENT_ID for the system-assigned one"};
  }
  if (status == 429 || status >= 500 || (is_imds && (status == 404 || status == 410))) {
    return Error{no_token +
                 "; it is busy or being updated, or a proxy stands in between: try again in a minute, with a longer "
                 "connect_timeout"};
  }
  return Error{no_token + "; check that the identity is assigned, and AZURE_CLIENT_ID"};
}

/// Arc's agent of old ignores which identity is wanted: the one that answered must be the one that was asked.
bool is_confirmed(const Json::Value& answer, std::string_view client) {
  const std::string_view echoed = text_in(answer, "client_id");
  return echoed.size() == client.size() && strncasecmp(echoed.data(), client.data(), client.size()) == 0;
}

}  // namespace

Result<Fetched> fetch_managed_identity(const Query& query) {
  const Settings& settings = query.settings;
  const Platform platform = platform_of(settings);
  const bool has_override = !settings["pod_identity_authority_host"].empty();
  const bool is_probed = platform == Platform::kImds && settings.is("probe") && !has_override;
  if (is_probed) {
    if (auto none = probe(query)) return std::move(*none);
  }
  if (auto request = request_for(platform, settings); !request) return request.error();
  const auto make = [&] { return std::move(*request_for(platform, settings)); };
  Result<Secret> key = Secret();
  const HttpOutcome outcome = platform == Platform::kArc ? ask_arc(make, query, key) : ask(platform, make, query);
  if (!outcome) {
    const std::string why = std::string(name_of(platform)) + " cannot be asked for a token: " + outcome.why;
    if (outcome.fault == HttpFault::kRefusedAddress) {
      return Error{why + "; without https only this machine and its link are asked: correct " +
                   endpoint_variable(platform)};
    }
    // One that has answered the probe is there, and nobody else's identity may stand in for its.
    if (is_probed) return Error{why + "; it did answer before: try again, with a longer connect_timeout"};
    if (outcome.fault == HttpFault::kShortage) return cannot_ask(outcome);
    if (platform == Platform::kImds) return Fetched::absent("no metadata service: " + outcome.why);
    return Error{why + "; is this the environment that " + endpoint_variable(platform) + " was set for?"};
  }
  if (!key) return key.error();
  if (!outcome.response.is_ok()) return refusal(platform, outcome.response, settings, *key);
  const auto document = parse_json_object(outcome.response.body.reveal());
  const std::string_view token = document ? text_in(*document, "access_token") : std::string_view();
  const auto expires = document ? token_expiry(*document, query.clock.now()) : std::nullopt;
  if (token.empty() || !expires) {
    // A captive portal, or a proxy: not the platform.
    if (platform == Platform::kImds && !document) {
      return Fetched::absent("no metadata service, but something that answers with " + outcome.response.description());
    }
    return Error{"the answer of " + std::string(name_of(platform)) + " holds no token (" +
                 outcome.response.description() + ")"};
  }
  if (!is_bearer(*document)) {
    return Error{std::string(name_of(platform)) + " gave a token that is no Bearer token, so no password"};
  }
  if (platform == Platform::kArc && !settings["client_id"].empty() && !is_confirmed(*document, settings["client_id"])) {
    return Error{"Azure Arc did not confirm that its token is the identity's with the client id " +
                 shown(settings["client_id"], 60) + "; update its agent, or unset AZURE_CLIENT_ID"};
  }
  const int64_t now = query.clock.now();
  const int64_t life = *expires - now;
  return entra_token(token, *expires, now + (life >= 2 * 3600 ? life / 2 : life - life / 4));
}

}  // namespace pqmint
