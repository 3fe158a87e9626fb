// SPDX-License-Identifier: PostgreSQL
// STS: requests (spec/aws.md 4.6) and answers.

#include "net/aws/sts.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "base/instant.h"
#include "base/percent.h"
#include "base/shown.h"
#include "base/sigv4.h"
#include "net/aws/endpoint.h"
#include "net/aws/service.h"
#include "net/aws/xml.h"
#include "net/digest.h"
#include "net/said.h"
#include "net/url.h"

namespace pqmint {
namespace {

constexpr size_t kShownCode = 60;
constexpr size_t kShownMessage = 300;
/// A clock that is off by more than this is what STS complains of (Go's SDK; spec/aws.md 4.13).
constexpr int64_t kTolerance = 4 * 60;  // s
/// What a setting may want: the longest that STS takes.
constexpr size_t kMaxField = 64 * 1024;

struct Remedy {
  std::string_view code;
  const char* text;
  std::string_view action = {};  // empty: either
};
constexpr Remedy kRemedies[] = {
    {"AccessDenied",
     "the role's trust policy must let this identity assume it, and the identity's own policy allow sts:AssumeRole",
     "AssumeRole"},
    {"AccessDenied", "the role's trust policy must accept the identity provider, and the token's audience and subject",
     "AssumeRoleWithWebIdentity"},
    {"ExpiredToken", "the keys that should assume the role have expired; renew them (aws sso login, aws login)"},
    {"ExpiredTokenException", "the identity token in the file has expired; whoever writes the file must renew it"},
    {"InvalidClientTokenId",
     "the access key id is not known, or belongs to another partition; check the keys and AWS_REGION"},
    {"SignatureDoesNotMatch", "the secret access key is wrong, or this machine's clock is"},
    {"RequestTimeTooSkewed", "set this machine's clock"},
    {"RegionDisabledException", "activate STS in this region, or set AWS_REGION to another one"},
    {"InvalidIdentityToken", "the identity provider must be known to IAM, and the token be made for it"},
    {"IDPRejectedClaim", "the role's trust policy does not accept the claims of the token"},
    {"IDPCommunicationError", "AWS could not reach the identity provider; try again"},
    {"ValidationError", "check role_arn, role_session_name and duration_seconds"},
};

/// Tried again (spec/aws.md 4.13).
constexpr std::string_view kTransient[] = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "SlowDown",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "IDPCommunicationError",
};
/// What a wrong clock can look like (spec/aws.md 4.13).
constexpr std::string_view kSkewed[] = {"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure",
                                        "RequestTimeTooSkewed", "AccessDeniedException"};

/// STS's own error; the code is empty if the answer is none.
struct Fault {
  std::string code, message;
};

/// `proof` is the secret that the request carried: the message about a wrong signature repeats the headers.
Fault fault_in(const HttpResponse& response, std::string_view proof) {
  XmlChild children[] = {{"Code"}, {"Message"}};
  if (!read_xml_children(response.body.reveal(), "Error", children)) return {};
  const auto& [code, message] = children;
  return {said(code.value(), kShownCode, {proof}), said(message.value(), kShownMessage, {proof})};
}

template <size_t kSize>
bool is_one_of(std::string_view code, const std::string_view (&codes)[kSize]) {
  for (const std::string_view each : codes) {
    if (each == code) return true;
  }
  return false;
}

bool is_transient(const HttpResponse& response) {
  return !response.is_ok() && is_one_of(fault_in(response, {}).code, kTransient);
}

std::string refusal(const HttpResponse& response, const std::string& action, std::string_view proof,
                    const Clock& clock) {
  const auto [code, message] = fault_in(response, proof);
  if (code.empty()) {
    return action + ": STS answered with " + response.description() +
           ", which is none of its own errors; is there a proxy in between?";
  }
  std::string text = "An error occurred (" + code + ") when calling the " + action + " operation";
  if (!message.empty()) text += ": " + message;
  for (const Remedy& remedy : kRemedies) {
    if (remedy.code != code || (!remedy.action.empty() && remedy.action != action)) continue;
    text.append(" (").append(remedy.text).append(")");
  }
  if (clock.learned && std::abs(clock.skew) > kTolerance) {
    text += "; this machine's clock is " + std::to_string(std::abs(clock.skew)) + " s " +
            (clock.skew > 0 ? "behind" : "ahead");
  }
  return text;
}

/// The path as it is signed: encoded once more than it is sent, without empty and dot segments, as botocore does it.
std::string canonical_path(std::string_view path) {
  std::string out;
  for (std::string_view rest = path; !rest.empty();) {
    const std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(segment.size() + 1, rest.size()));
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") {
      out.erase(out.empty() ? 0 : out.rfind('/'));
    } else {
      append_percent_encoded(out += '/', segment);
    }
  }
  if (out.empty() || path.ends_with('/')) out += '/';
  return out;
}

}  // namespace

StsForm::StsForm(std::string_view action) : action_(action) {
  text_ = Secret("Action=" + action_ + "&Version=2011-06-15");
}

StsForm& StsForm::add(std::string_view name, std::string_view value) {
  if (value.empty()) return *this;
  text_.append("&").append(name).append("=");
  for (size_t blank = value.find(' '); blank != value.npos; blank = value.find(' ')) {
    append_percent_encoded(text_, value.substr(0, blank));
    text_.append("+");  // as forms have it
    value.remove_prefix(blank + 1);
  }
  append_percent_encoded(text_, value);
  return *this;
}

StsForm& StsForm::add_role(const Query& query) {
  const std::string_view name = query.settings["role_session_name"];
  add("RoleArn", query.settings["role_arn"]);
  return add("RoleSessionName", name.empty() ? "pqmint-" + std::to_string(query.clock.now()) : std::string(name));
}

Result<HttpRequest> sts_request(const StsForm& form, const Query& query, int64_t now) {
  const auto endpoint = aws_endpoint(AwsService::kSts, query.settings["region"], query.settings);
  if (!endpoint) return endpoint.error();
  HttpRequest request;
  request.method = "POST";
  request.url = endpoint->url;
  request.may_use_proxy = true;
  request.ca_bundle = query.settings["ca_bundle"];
  request.body = form.text().clone();
  constexpr std::string_view kType = "application/x-www-form-urlencoded; charset=utf-8";
  request.add_header("Content-Type", kType);
  if (query.signer == nullptr) return request;

  const UrlParts parts = parse_url(request.url).value();  // aws_endpoint() gives none that cannot be asked
  const SigningScope scope(now, endpoint->signing_region, "sts");
  const std::string_view token = query.signer->session_token != nullptr ? query.signer->session_token : "";
  if (has_controls(query.signer->access_key_id) || has_controls(token)) {
    return Error{"the access key id or the session token that should assume the role holds a line break; correct it"};
  }
  const std::string signed_headers =
      std::string("content-type;host;x-amz-date") + (token.empty() ? "" : ";x-amz-security-token");
  const std::string token_line_name = token.empty() ? "" : "x-amz-security-token:";
  const Secret signature =
      sign_request({"POST\n", canonical_path(parts.path), "\n\ncontent-type:", kType, "\nhost:", parts.authority,
                    "\nx-amz-date:", scope.time(), "\n", token_line_name, token, token.empty() ? "" : "\n", "\n",
                    signed_headers, "\n", hex(digest("SHA256", form.text().reveal()))},
                   scope, Secret(query.signer->secret_access_key));
  if (signature.empty()) {
    return Error{"OpenSSL could not compute SHA-256; is it restricted by its configuration (OPENSSL_CONF)?"};
  }
  request.add_header("X-Amz-Date", scope.time());
  if (!token.empty()) request.add_header("X-Amz-Security-Token", token);
  Secret authorization(kSigV4Algorithm);
  authorization.append(" Credential=").append(query.signer->access_key_id).append("/").append(scope.text());
  authorization.append(", SignedHeaders=").append(signed_headers).append(", Signature=").append(signature.reveal());
  request.headers.emplace_back("Authorization", std::move(authorization));
  return request;
}

Result<Fetched> ask_sts(const StsForm& form, const Query& query, std::string_view proof) {
  const std::string who = asker(query.settings);
  if (form.text().size() > kMaxField) {
    return Error{who + form.action() +
                 ": the request would be larger than STS takes; shorten role_session_name or external_id"};
  }
  // Made once to see whether it can be made at all; then anew for each try, for the signature carries the time.
  const auto first = sts_request(form, query, query.clock.now());
  if (!first) return Error{who + first.error().text};
  int64_t skew_when_signed = 0;
  const auto make = [&] {
    skew_when_signed = query.clock.skew;
    auto request = sts_request(form, query, query.clock.now());
    return request ? std::move(*request) : HttpRequest();
  };
  HttpOutcome outcome =
      exchange_with_retries(make, attempts_of(query.settings), query.deadline, query.clock, is_transient);
  const bool was_skewed = query.clock.is_corrected && std::abs(query.clock.skew - skew_when_signed) > kTolerance;
  if (outcome && !outcome.response.is_ok() && was_skewed && query.signer != nullptr &&
      is_one_of(fault_in(outcome.response, {}).code, kSkewed)) {
    outcome = exchange(make(), query.deadline, query.clock);  // the answer has set the clock right
  }
  if (!outcome) {
    return Error{who + form.action() + ": cannot reach STS at " + shown_url(first->url, kShownPath) + ": " +
                 outcome.why + "; check " +
                 (outcome.fault == HttpFault::kTls ? "AWS_CA_BUNDLE (ca_bundle) and HTTPS_PROXY"
                                                   : "the network, HTTPS_PROXY and AWS_REGION")};
  }
  if (!outcome.response.is_ok()) return Error{who + refusal(outcome.response, form.action(), proof, query.clock)};
  auto parsed = parse_sts_answer(outcome.response.body.reveal(), form.action(), query.clock.now());
  if (!parsed) return Error{who + parsed.error().text + " (" + outcome.response.description() + ")"};
  return parsed;
}

Result<Fetched> parse_sts_answer(std::string_view xml, std::string_view action, int64_t now) {
  XmlChild children[] = {{"AccessKeyId"}, {"SecretAccessKey"}, {"SessionToken"}, {"Expiration"}};
  const bool is_answer = read_xml_children(xml, "Credentials", children);
  const auto expires = parse_instant(children[3].value());
  Fetched found;
  found.access_key_id = children[0].value();
  found.secret_access_key = Secret(children[1].value());
  found.session_token = Secret(children[2].value());
  const bool is_whole = std::ranges::none_of(
      children, [](const XmlChild& child) { return child.value().empty() || has_controls(child.value()); });
  if (!is_answer || !is_whole || !expires) {
    return Error{std::string(action) + ": the answer of STS holds no credentials; is there a proxy in between?"};
  }
  if (*expires <= now) {
    return Error{
        std::string(action) +
        ": credentials were refreshed, but the refreshed credentials are still expired; check this machine's clock"};
  }
  found.expires = *expires;
  return found;
}

}  // namespace pqmint
