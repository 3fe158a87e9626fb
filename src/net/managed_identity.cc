// SPDX-License-Identifier: PostgreSQL
// The identity that Azure gives to a machine, an app or a container: the platform's endpoint comes in, a token of
// Microsoft Entra goes out (spec/azure.md 2.10). Six platforms, told apart by their variables.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/percent.h"
#include "base/shown.h"
#include "net/entra.h"
#include "net/json.h"
#include "net/token_file.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;

enum class Platform { kServiceFabric, kAppService, kMachineLearning, kCloudShell, kArc, kImds };

constexpr std::string_view kImdsHost = "http://169.254.169.254";
constexpr std::string_view kImdsPath = "/metadata/identity/oauth2/token";
constexpr std::string_view kArcEndpoint = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
constexpr std::string_view kArcAgent = "/opt/azcmagent/bin/himds";
constexpr std::string_view kArcKeys = "/var/opt/azcmagent/tokens/";
constexpr size_t kMaxArcKey = 4096;

constexpr milliseconds kProbe{1000};
constexpr milliseconds kTry{5000};
constexpr int kAttempts = 4;
/// 410: the service is being updated, for up to 70 s. No connection waits that long.
constexpr milliseconds kFirstPause{800};

struct PlatformRequest {
  HttpRequest request;
  Platform platform;
};

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

/// Where a platform's secret may go without TLS: this machine, its link, its private network.
bool is_near(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const uint32_t ip = ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
    return (ip >> 24) == 127 || (ip >> 16) == 0xA9FE;
  }
  if (address.sa_family != AF_INET6) return false;
  const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&ip) || IN6_IS_ADDR_LINKLOCAL(&ip) || ip.s6_addr[0] == 0xFD;
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
      for (const char c : settings["identity_server_thumbprint"]) {
        if (c != ':' && c != ' ') request.pinned_thumbprint += c;
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
      request.add_header("Content-Type", "application/x-www-form-urlencoded");
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
      request.url = imds_base(settings) + std::string(kImdsPath);
      add_query(request.url, "api-version", "2018-02-01");
      add_query(request.url, "resource", resource);
      add_query(request.url, "client_id", client);
      request.add_header("Metadata", "true");
      break;
  }
  const auto parts = parse_url(request.url);
  if (!parts)
    return Error{"the endpoint \"" + shown(request.url, 80) +
                 "\" is no http or https URL; correct IDENTITY_ENDPOINT or MSI_ENDPOINT"};
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

Fetched absent(std::string why) {
  Fetched none;
  none.is_absent = true;
  none.text = std::move(why);
  return none;
}

/// Any answer means that somebody is there; without the header the real service says 400 at once.
std::optional<Fetched> probe(const Query& query) {
  HttpRequest request;
  request.url = imds_base(query.settings) + std::string(kImdsPath);
  request.is_allowed = is_near;
  Clock not_asked;
  const HttpOutcome outcome = exchange(request, query.deadline.no_later_than(kProbe), not_asked);
  if (!outcome) return absent("no metadata service: " + outcome.why);
  // Docker Desktop's own answer.
  const bool unreachable =
      outcome.response.status == 403 && outcome.response.body.reveal().find("unreachable") != std::string_view::npos;
  if (unreachable) return absent("no metadata service: " + outcome.response.description());
  return std::nullopt;
}

bool is_worth_another_try(Platform platform, const HttpOutcome& outcome) {
  if (!outcome) return outcome.fault == HttpFault::kTimeout || outcome.fault == HttpFault::kBroken;
  const long status = outcome.response.status;
  if (status == 429 || status >= 500) return true;
  return platform == Platform::kImds && (status == 404 || status == 410);
}

HttpOutcome ask(Platform platform, const std::function<HttpRequest()>& make, const Query& query) {
  Clock not_asked;
  milliseconds pause = kFirstPause;
  for (int attempt = 1;; ++attempt, pause *= 2) {
    HttpOutcome outcome = exchange(make(), query.deadline.no_later_than(kTry), not_asked);
    if (attempt == kAttempts || !is_worth_another_try(platform, outcome) || pause >= query.deadline.left())
      return outcome;
    poll(nullptr, 0, static_cast<int>(pause.count()));
  }
}

/// Arc proves that we may read a file that only its group may: its challenge names the file, we send what is in it.
Result<Secret> arc_key(const HttpResponse& response, const Settings& settings) {
  const std::string_view challenge = response.header("www-authenticate");
  constexpr std::string_view kBasic = "Basic realm=";
  if (response.status != 401 || !challenge.starts_with(kBasic)) {
    return Error{"Azure Arc gave no challenge (" + response.description() + "); is it really its agent that answers?"};
  }
  const std::string path(challenge.substr(kBasic.size()));
  const std::string_view folder = or_usual(settings["arc_key_directory"], kArcKeys);
  const std::string_view name = std::string_view(path).substr(std::min(folder.size(), path.size()));
  if (!path.starts_with(folder) || name.find('/') != name.npos || !name.ends_with(".key")) {
    return Error{"Azure Arc's challenge names a file outside of " + std::string(folder) + ", which is not read"};
  }
  // A link could lead anywhere.
  struct stat info;
  if (lstat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return Error{"Azure Arc's challenge names no regular file"};
  auto key = read_token_file(path, kMaxArcKey);
  if (!key) return Error{key.error().text + "; the user of this program must be in the group himds"};
  return key;
}

HttpOutcome ask_arc(const std::function<HttpRequest()>& make, const Query& query, Result<bool>& proof) {
  HttpOutcome first = ask(Platform::kArc, make, query);
  if (!first) return first;
  auto key = arc_key(first.response, query.settings);
  if (!key) {
    proof = key.error();
    return first;
  }
  const auto with_key = [&] {
    HttpRequest request = make();
    std::string value = "Basic ";
    value.reserve(value.size() + key->size());
    value += key->reveal();
    request.add_header("Authorization", value);
    explicit_bzero(value.data(), value.size());
    return request;
  };
  return ask(Platform::kArc, with_key, query);
}

Result<Fetched> refusal(Platform platform, const HttpResponse& response, const Settings& settings) {
  const auto document = parse_json_object(response.body.reveal());
  const std::string where = name_of(platform);
  std::string said;
  if (document) {
    for (const char* key : {"error", "error_description", "message"}) {
      if (const std::string_view text = text_in(*document, key); !text.empty())
        said += (said.empty() ? "" : ": ") + shown(text, 200);
    }
  }
  if (said.empty()) said = response.description();
  const bool no_identity = platform == Platform::kImds && response.status == 400;
  if (no_identity && said.find("AADSTS") == said.npos) {
    const std::string_view client = settings["client_id"];
    if (client.empty()) return absent("this machine has no system-assigned identity (" + said + ")");
    return Error{"this machine has no managed identity with the client id " + shown(client, 60) + " (" + said +
                 "); assign it to the machine, or unset AZURE_CLIENT_ID for the system-assigned one"};
  }
  return Error{where + " gives no token: " + said + " (status " + std::to_string(response.status) +
               "); check that the identity is assigned, and AZURE_CLIENT_ID"};
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
  if (platform == Platform::kImds && settings.is("probe") && settings["pod_identity_authority_host"].empty()) {
    if (auto none = probe(query)) return std::move(*none);
  }
  if (auto request = request_for(platform, settings); !request) return request.error();
  const auto make = [&] { return std::move(*request_for(platform, settings)); };
  Result<bool> proof = true;
  const HttpOutcome outcome = platform == Platform::kArc ? ask_arc(make, query, proof) : ask(platform, make, query);
  if (!outcome) {
    if (platform == Platform::kImds && outcome.fault != HttpFault::kRefusedAddress) {
      return absent("no metadata service: " + outcome.why);
    }
    return Error{std::string(name_of(platform)) + " cannot be asked for a token: " + outcome.why +
                 "; is this the environment that IDENTITY_ENDPOINT or MSI_ENDPOINT was set for?"};
  }
  if (!proof) return proof.error();
  if (!outcome.response.is_ok()) return refusal(platform, outcome.response, settings);
  const auto document = parse_json_object(outcome.response.body.reveal());
  const std::string_view token = document ? text_in(*document, "access_token") : std::string_view();
  const auto expires = document ? token_expiry(*document, query.clock.now()) : std::nullopt;
  if (token.empty() || !expires) {
    // A captive portal, or a proxy: not the platform.
    if (platform == Platform::kImds && !document) {
      return absent("no metadata service, but something that answers with " + outcome.response.description());
    }
    return Error{"the answer of " + std::string(name_of(platform)) + " holds no token (" +
                 outcome.response.description() + ")"};
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
