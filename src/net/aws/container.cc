// SPDX-License-Identifier: PostgreSQL
// The credentials agent beside a container (ECS, EKS Pod Identity, Greengrass): a URI and a token come in, keys go out
// (spec/aws.md 4.10).

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <strings.h>

#include "base/shown.h"
#include "net/http.h"
#include "net/json.h"
#include "net/said.h"
#include "net/source.h"
#include "net/token_file.h"
#include "net/url.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kEcsAgent = "http://169.254.170.2";
/// botocore's own numbers: for one attempt, how many, and between two of them.
constexpr milliseconds kTimeout{2000};
constexpr int kAttempts = 3;
constexpr milliseconds kPause{1000};
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
  if (strcasecmp(host.c_str(), "localhost") == 0) return true;
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

/// Who is asked, and how.
struct Agent {
  std::string url;
  std::string name;  // "http://169.254.170.2 (VARIABLE)": without the path, by which ECS tells its tasks apart
  bool (*is_allowed)(const sockaddr& address) = nullptr;
  Secret token;
};

Result<Agent> agent_of(const Settings& settings) {
  Agent agent;
  const std::string_view relative = settings["relative_uri"];
  agent.url = relative.empty() ? std::string(settings["full_uri"]) : std::string(kEcsAgent).append(relative);
  const std::string variable =
      relative.empty() ? "AWS_CONTAINER_CREDENTIALS_FULL_URI" : "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
  const auto parts = parse_url(agent.url);
  if (!parts || (!relative.empty() && parts->host != "169.254.170.2")) {
    return Error{variable + " makes no usable URL; " +
                 (relative.empty() ? "write one with http:// or https://" : "write a path that begins with /") +
                 ", or unset it"};
  }
  agent.name = parts->scheme + "://" + shown(parts->authority, 80) + " (" + variable + ")";
  if (parts->scheme == "http") {
    if (!is_agents_name(parts->host)) {
      return Error{"unsupported host '" + shown(parts->host, 80) + "' in " + variable +
                   ": can only retrieve metadata from a loopback address or one of these hosts: 169.254.170.2, "
                   "169.254.170.23, fd00:ec2::23, localhost; use https for any other"};
    }
    agent.is_allowed = is_agent;
  }
  agent.token = Secret(settings["authorization_token"]);
  if (const std::string_view file = settings["authorization_token_file"]; !file.empty()) {
    auto read = read_small_file(std::string(file), kMaxToken);
    if (!read) return Error{read.error().text + "; check AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"};
    agent.token = std::move(*read);
    // Without its token the agent would refuse us, and not say why.
    if (agent.token.empty()) {
      return Error{shown(file, kShownPath) +
                   " is empty; is it just being renewed? Check AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"};
    }
  }
  constexpr std::string_view kIllegal("\r\n\0", 3);
  if (agent.token.reveal().find_first_of(kIllegal) != std::string_view::npos) {
    return Error{
        "auth token value is not a legal header value: AWS_CONTAINER_AUTHORIZATION_TOKEN (or its file) holds a line "
        "end; write it without one"};
  }
  return agent;
}

bool is_worth_another_try(const HttpOutcome& outcome) {
  switch (outcome.fault) {
    case HttpFault::kNone:
      return outcome.response.status == 429 || outcome.response.status >= 500;
    case HttpFault::kConnect:
    case HttpFault::kTimeout:
    case HttpFault::kBroken:
      return true;
    default:
      return false;
  }
}

HttpOutcome ask(const Agent& agent, const Deadline& deadline) {
  HttpRequest request;
  request.url = agent.url;
  request.is_allowed = agent.is_allowed;
  request.add_header("Accept", "application/json");
  if (!agent.token.empty()) request.add_header("Authorization", agent.token.reveal());
  Clock agents_own;  // this machine's, and nothing to learn from
  for (int attempt = 1;; ++attempt) {
    HttpOutcome outcome = exchange(request, deadline.no_later_than(kTimeout), agents_own);
    if (attempt == kAttempts || !is_worth_another_try(outcome) || deadline.left() <= kPause) return outcome;
    poll(nullptr, 0, static_cast<int>(kPause.count()));
  }
}

}  // namespace

Result<Fetched> fetch_container(const Query& query) {
  const std::string failure = "error when retrieving credentials from container-role: ";
  const auto agent = agent_of(query.settings);
  if (!agent) return Error{failure + agent.error().text};
  const std::string& where = agent->name;
  const HttpOutcome outcome = ask(*agent, query.deadline);
  if (!outcome) {
    return Error{failure + "cannot ask " + where + ": " + outcome.why +
                 "; is the agent running, and is this the container that the variable was made for?"};
  }
  const HttpResponse& response = outcome.response;
  if (response.status != 200) {
    std::string why;
    if (const auto document = parse_json_object(response.body.reveal())) {
      const std::string_view token = agent->token.reveal();
      why = said(text_in(*document, "code"), 60, {token}) + " " + said(text_in(*document, "message"), 200, {token});
    }
    return Error{failure + "error retrieving metadata: received non 200 response " + std::to_string(response.status) +
                 " from container metadata at " + where + (why.size() > 1 ? ": " + why : "") +
                 "; check the task's or pod's role"};
  }
  const auto document = parse_json_object(response.body.reveal());
  if (!document) {
    return Error{failure + "unable to parse JSON returned from container metadata services at " + where + " (" +
                 response.description() + ")"};
  }
  Fetched found;
  found.access_key_id = key_in(*document, "AccessKeyId");
  found.secret_access_key = Secret(key_in(*document, "SecretAccessKey"));
  found.session_token = Secret(key_in(*document, "Token"));
  const auto expires = parse_instant(text_in(*document, "Expiration"));
  for (const char* key : {"AccessKeyId", "SecretAccessKey", "Token"}) {
    if (key_in(*document, key).empty()) return Error{failure + "the answer of " + where + " has no " + key};
  }
  if (text_in(*document, "Expiration").empty()) {
    return Error{failure + "the answer of " + where + " has no Expiration"};
  }
  if (!expires) return Error{failure + "the answer of " + where + " has an Expiration that is no ISO 8601 time"};
  if (*expires <= query.clock.now()) {
    return Error{failure + "credentials were refreshed, but the refreshed credentials are still expired"};
  }
  found.expires = *expires;
  return found;
}

}  // namespace pqmint
