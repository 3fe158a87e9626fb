// SPDX-License-Identifier: PostgreSQL
// EC2's instance metadata service: the instance's role and region (spec/aws.md 4.11).
//
// Version 2, with a token for each call; version 1 has no defence against a proxy that forwards requests, and is used
// by those only who ask for it outright. That nothing answers is no error but an absence: most machines are no
// instances.

#include <algorithm>

#include "base/shown.h"
#include "base/text.h"
#include "net/http.h"
#include "net/json.h"
#include "net/said.h"
#include "net/source.h"
#include "net/url.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kIpv4 = "http://169.254.169.254";
constexpr std::string_view kIpv6 = "http://[fd00:ec2::254]";
constexpr std::string_view kRoles = "/latest/meta-data/iam/security-credentials/";
constexpr std::string_view kTokenLife = "21600";  // s, as botocore asks for

/// During an outage the service goes on to hand out keys past their time, and AWS goes on to take them. They count as
/// good for this long (botocore: 15 minutes and some at random).
constexpr int64_t kStaticStability = 15 * 60;  // s

/// A token is sent back in a header, and must not become more than one.
bool is_header_value(std::string_view token) {
  return !token.empty() && token.size() <= 4096 && is_graphic(token);
}

/// What every step needs: either an answer with status 200, or why there is none.
class Imds {
 public:
  explicit Imds(const Query& query)
      : query_(query),
        attempts_(count_in(query.settings["attempts"], 1, 10)),
        timeout_(std::chrono::seconds(count_in(query.settings["timeout"], 1, 60))) {}

  /// False with an error or an absence in `outcome`.
  bool open(Result<Fetched>& outcome) {
    base_ = query_.settings["endpoint"];
    if (base_.empty()) {
      const std::string mode = lower(query_.settings["endpoint_mode"]);
      if (!mode.empty() && mode != "ipv4" && mode != "ipv6") {
        outcome = Error{"invalid EC2 instance metadata endpoint mode: " + shown(mode, 40) +
                        "; valid endpoint modes: ipv4, ipv6 (AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE)"};
        return false;
      }
      base_ = mode == "ipv6" ? kIpv6 : kIpv4;
    }
    while (base_.ends_with('/')) base_.pop_back();
    if (!parse_url(base_)) {
      outcome = Error{"AWS_EC2_METADATA_SERVICE_ENDPOINT is \"" + shown_url(base_, 80) +
                      "\", which is no http URL; correct it"};
      return false;
    }
    return fetch_token(outcome);
  }

  /// One document; a token that has died in between is asked for again.
  bool get(std::string_view path, HttpResponse& response, Result<Fetched>& outcome) {
    for (bool again = false;; again = true) {
      HttpOutcome answered = ask("GET", path);
      if (answered && answered.response.status == 401 && !token_.empty() && !again) {
        if (!fetch_token(outcome)) return false;
        continue;
      }
      if (!answered) return no_answer(outcome, "", answered);
      response = std::move(answered.response);
      return true;
    }
  }

  /// What the service says, but for the token that it gave us.
  std::string told(std::string_view text, size_t most) const { return said(text, most, {token_.reveal()}); }

  bool is_absent(Result<Fetched>& outcome, const std::string& why) const {
    Fetched none;
    none.is_absent = true;
    none.text = why;
    outcome = std::move(none);
    return false;
  }

 private:
  /// Nobody is there; or this process could not ask, which must neither be remembered nor lead to another identity.
  bool no_answer(Result<Fetched>& outcome, const char* what, const HttpOutcome& answered) const {
    if (answered.fault != HttpFault::kShortage) return is_absent(outcome, what + answered.why);
    outcome = Error{"the metadata service was not asked: " + answered.why};
    return false;
  }

  bool fetch_token(Result<Fetched>& outcome) {
    HttpOutcome answered = ask("PUT", "/latest/api/token");
    const long status = answered ? answered.response.status : 0;
    if (status == 200 && is_header_value(answered.response.body.reveal())) {
      token_ = answered.response.body.clone();
      return true;
    }
    const bool knows_no_token =
        status == 403 || status == 404 || status == 405 || answered.fault == HttpFault::kTimeout;
    if (knows_no_token && query_.settings.is("v1_allowed")) {
      token_ = Secret();
      return true;
    }
    if (!answered) return no_answer(outcome, "no metadata service: ", answered);
    return is_absent(outcome, "unable to retrieve token for use in IMDSv2 call: " + answered.response.description() +
                                  (knows_no_token ? " (for version 1 set AWS_EC2_METADATA_V1_DISABLED=false)" : ""));
  }

  HttpOutcome ask(const char* method, std::string_view path) {
    Clock not_asked;
    HttpOutcome outcome;
    for (int attempt = 0; attempt < attempts_; ++attempt) {
      HttpRequest request;
      request.method = method;
      request.url = base_ + std::string(path);
      if (request.method == "PUT") {
        request.add_header("x-aws-ec2-metadata-token-ttl-seconds", kTokenLife);
        request.body = Secret("");
      } else if (!token_.empty()) {
        request.add_header("x-aws-ec2-metadata-token", token_.reveal());
      }
      // In a container behind a hop limit the answer never comes: the time-out is the whole delay.
      outcome = exchange(request, query_.deadline.no_later_than(timeout_), not_asked);
      if (outcome && outcome.response.status < 500) break;
    }
    return outcome;
  }

  const Query& query_;
  const int attempts_;
  const milliseconds timeout_;
  std::string base_;
  Secret token_;
};

std::string first_line(std::string_view text) {
  text = text.substr(0, text.find_first_of("\r\n"));
  while (text.ends_with(' ')) text.remove_suffix(1);
  return std::string(text);
}

/// A role's name becomes part of a path.
bool is_role_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && is_made_of(name, "+=,.@_-");
}

/// A region's name becomes part of host names.
bool is_region(std::string_view name) {
  return !name.empty() && name.size() <= 40 &&
         std::ranges::all_of(name, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-'; });
}

}  // namespace

Result<Fetched> fetch_imds(const Query& query) {
  Result<Fetched> outcome = Fetched();
  Imds imds(query);
  HttpResponse response;
  if (!imds.open(outcome) || !imds.get(kRoles, response, outcome)) return outcome;
  const std::string role = first_line(response.body.reveal());
  if (response.status != 200 || !is_role_name(role)) {
    const std::string why = response.status == 404 || role.empty()
                                ? "the instance has no role; attach an instance profile"
                                : "the list of roles is none (" + response.description() + ")";
    imds.is_absent(outcome, why);
    return outcome;
  }
  if (!imds.get(std::string(kRoles) + role, response, outcome)) return outcome;
  const auto document = response.status == 200 ? parse_json_object(response.body.reveal()) : std::nullopt;
  if (!document) {
    imds.is_absent(outcome, "no keys for role " + role + " (" + response.description() + ")");
    return outcome;
  }
  if (const std::string_view code = text_in(*document, "Code"); !code.empty() && code != "Success") {
    imds.is_absent(outcome, "no keys for role " + role + ": " + imds.told(code, 60) + " " +
                                imds.told(text_in(*document, "Message"), 200) + "; check the role's trust policy");
    return outcome;
  }
  Fetched found;
  found.access_key_id = key_in(*document, "AccessKeyId");
  found.secret_access_key = Secret(key_in(*document, "SecretAccessKey"));
  found.session_token = Secret(key_in(*document, "Token"));
  const auto expires = parse_instant(text_in(*document, "Expiration"));
  if (found.access_key_id.empty() || found.secret_access_key.empty() || found.session_token.empty() || !expires) {
    imds.is_absent(outcome, "the keys for role " + role + " are incomplete (" + response.description() + ")");
    return outcome;
  }
  found.expires = std::max(*expires, query.clock.now() + kStaticStability);
  return found;
}

Result<Fetched> fetch_imds_region(const Query& query) {
  Result<Fetched> outcome = Fetched();
  Imds imds(query);
  HttpResponse response;
  if (!imds.open(outcome) || !imds.get("/latest/meta-data/placement/region", response, outcome)) return outcome;
  std::string region = first_line(response.body.reveal());
  if (response.status != 200 || !is_region(region)) {
    imds.is_absent(outcome, "the metadata service names no region (" + response.description() + ")");
    return outcome;
  }
  Fetched found;
  found.text = std::move(region);
  return found;
}

}  // namespace pqmint
