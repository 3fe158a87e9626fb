// SPDX-License-Identifier: PostgreSQL
// The credentials agent beside a container (ECS, EKS Pod Identity, Greengrass): a URI and a token come in, keys go out
// (spec/aws.md 4.10).

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/shown.h"
#include "net/http.h"
#include "net/json.h"
#include "net/source.h"
#include "net/token_file.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kEcsAgent = "http://169.254.170.2";
/// botocore's own numbers.
constexpr milliseconds kTimeout{2000};
constexpr int kAttempts = 3;
constexpr size_t kMaxToken = 64 * 1024;

/// Where a token may go without TLS: loopback, and the agents' fixed addresses.
bool is_agent(const sockaddr& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
    inet_ntop(AF_INET, &v4, text, sizeof text);
    return (ntohl(v4.s_addr) >> 24) == 127 || strcmp(text, "169.254.170.2") == 0 || strcmp(text, "169.254.170.23") == 0;
  }
  if (address.sa_family != AF_INET6) return false;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  inet_ntop(AF_INET6, &v6, text, sizeof text);
  return IN6_IS_ADDR_LOOPBACK(&v6) || strcmp(text, "fd00:ec2::23") == 0;
}

/// The name must say it too: one that merely resolves to loopback today may resolve to something else tomorrow.
bool is_agents_name(const std::string& host) {
  if (host == "localhost") return true;
  sockaddr_storage address = {};
  auto& v4 = reinterpret_cast<sockaddr_in&>(address);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
  } else if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
  } else {
    return false;
  }
  return is_agent(reinterpret_cast<const sockaddr&>(address));
}

Result<HttpRequest> request_for(const Settings& settings) {
  HttpRequest request;
  const std::string_view relative = settings["relative_uri"];
  request.url = relative.empty() ? std::string(settings["full_uri"]) : std::string(kEcsAgent).append(relative);
  const auto parts = parse_url(request.url);
  const char* variable =
      relative.empty() ? "AWS_CONTAINER_CREDENTIALS_FULL_URI" : "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
  if (!parts || (!relative.empty() && parts->host != "169.254.170.2")) {
    return Error{std::string(variable) + " is \"" + shown(relative.empty() ? request.url : relative, 80) +
                 "\", which makes no usable URL; correct or unset it"};
  }
  if (parts->scheme == "http") {
    if (!is_agents_name(parts->host)) {
      return Error{
          "unsupported host '" + shown(parts->host, 80) +
          "' in AWS_CONTAINER_CREDENTIALS_FULL_URI: can only retrieve metadata from a loopback address or one of "
          "these hosts: 169.254.170.2, 169.254.170.23, fd00:ec2::23, localhost; use https for any other"};
    }
    request.is_allowed = is_agent;
  }
  request.add_header("Accept", "application/json");

  Secret token(settings["authorization_token"]);
  if (const std::string_view file = settings["authorization_token_file"]; !file.empty()) {
    auto read = read_small_file(std::string(file), kMaxToken);
    if (!read) return Error{read.error().text + "; check AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"};
    token = std::move(*read);
  }
  if (token.reveal().find_first_of("\r\n") != std::string_view::npos) {
    return Error{
        "auth token value is not a legal header value: AWS_CONTAINER_AUTHORIZATION_TOKEN (or its file) holds a line "
        "end; write it without one"};
  }
  if (!token.empty()) request.add_header("Authorization", token.reveal());
  return request;
}

}  // namespace

Result<Fetched> fetch_container(const Query& query) {
  const std::string failure = "error when retrieving credentials from container-role: ";
  if (auto request = request_for(query.settings); !request) return Error{failure + request.error().text};
  const auto make = [&] {
    HttpRequest request = std::move(*request_for(query.settings));
    request.connect_timeout = kTimeout;
    return request;
  };
  const Deadline deadline = query.deadline.no_later_than(kTimeout * kAttempts);
  Clock not_asked = query.clock;  // an agent's clock is this machine's
  const HttpOutcome outcome = exchange_with_retries(make, kAttempts, deadline, not_asked);
  const std::string where = shown(make().url, 80);
  if (!outcome) {
    return Error{failure + "cannot ask " + where + ": " + outcome.why +
                 "; is the agent running, and is this the container that the variable was made for?"};
  }
  const HttpResponse& response = outcome.response;
  if (response.status != 200) {
    std::string said;
    if (const auto document = parse_json_object(response.body.reveal())) {
      said = shown(text_in(*document, "code"), 60) + " " + shown(text_in(*document, "message"), 200);
    }
    return Error{failure + "error retrieving metadata: received non 200 response " + std::to_string(response.status) +
                 " from container metadata at " + where + (said.size() > 1 ? ": " + said : "") +
                 "; check the task's or pod's role"};
  }
  const auto document = parse_json_object(response.body.reveal());
  if (!document) {
    return Error{failure + "unable to parse JSON returned from container metadata services at " + where + " (" +
                 response.description() + ")"};
  }
  Fetched found;
  found.access_key_id = text_in(*document, "AccessKeyId");
  found.secret_access_key = Secret(text_in(*document, "SecretAccessKey"));
  found.session_token = Secret(text_in(*document, "Token"));
  const auto expires = parse_instant(text_in(*document, "Expiration"));
  for (const char* key : {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}) {
    if (text_in(*document, key).empty()) return Error{failure + "the answer of " + where + " has no " + key};
  }
  if (!expires) return Error{failure + "the answer of " + where + " has an Expiration that is no ISO 8601 time"};
  if (*expires <= query.clock.now()) {
    return Error{failure + "credentials were refreshed, but the refreshed credentials are still expired"};
  }
  found.expires = *expires;
  return found;
}

}  // namespace pqmint
