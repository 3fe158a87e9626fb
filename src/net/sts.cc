// SPDX-License-Identifier: PostgreSQL
// STS: requests (spec/aws.md 4.6) and answers.

#include "net/sts.h"

#include <string.h>

#include <array>
#include <optional>

#include "base/instant.h"
#include "base/percent.h"
#include "base/shown.h"
#include "base/sigv4.h"
#include "net/aws_endpoint.h"
#include "net/digest.h"

namespace pqmint {
namespace {

constexpr size_t kShownMessage = 300;
/// A clock that is off by more than this is what STS complains of (Go's SDK; spec/aws.md 4.13).
constexpr int64_t kTolerance = 4 * 60;  // s
/// What a setting may want: the longest that STS takes.
constexpr size_t kMaxField = 64 * 1024;

// --- XML, as far as STS speaks it

/// The text of the first element `name` within `xml`, namespaces and attributes ignored; nothing if there is none.
std::optional<std::string_view> element(std::string_view xml, std::string_view name) {
  for (size_t at = 0; (at = xml.find('<', at)) != xml.npos; ++at) {
    std::string_view tag = xml.substr(at + 1, xml.find('>', at) - at - 1);
    if (xml.find('>', at) == xml.npos) return std::nullopt;
    const size_t begin = at + tag.size() + 2;
    std::string_view own = tag.substr(0, tag.find_first_of(" \t\r\n/"));
    if (const size_t colon = own.find(':'); colon != own.npos) own.remove_prefix(colon + 1);
    if (own != name || tag.starts_with('/')) continue;
    if (tag.ends_with('/')) return std::string_view();
    for (size_t end = begin; (end = xml.find("</", end)) != xml.npos; end += 2) {
      std::string_view closing = xml.substr(end + 2, xml.find('>', end) - end - 2);
      if (const size_t colon = closing.find(':'); colon != closing.npos) closing.remove_prefix(colon + 1);
      if (closing == name) return xml.substr(begin, end - begin);
    }
    return std::nullopt;
  }
  return std::nullopt;
}

/// A character by its number, in UTF-8; nothing for one that there is not.
void append_character(std::string& out, unsigned long code) {
  if (code == 0 || code > 0x10FFFF) return;
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr int kLeads[] = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(static_cast<unsigned long>(kLeads[more]) | (code >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
}

/// Text content with its entities resolved.
std::string unescaped(std::string_view text) {
  constexpr std::pair<std::string_view, char> kNamed[] = {
      {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t end = text[at] == '&' ? text.find(';', at) : text.npos;
    if (end == text.npos || end - at > 10) {
      out += text[at];
      continue;
    }
    const std::string entity(text.substr(at + 1, end - at - 1));
    if (entity.starts_with('#')) {
      const bool hex = entity.size() > 1 && (entity[1] == 'x' || entity[1] == 'X');
      append_character(out, strtoul(entity.c_str() + (hex ? 2 : 1), nullptr, hex ? 16 : 10));
    }
    for (const auto& [name, character] : kNamed) {
      if (entity == name) out += character;
    }
    at = end;
  }
  return out;
}

std::string text_of(std::string_view xml, std::string_view name) {
  std::string_view text = element(xml, name).value_or(std::string_view());
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  text = text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
  constexpr std::string_view kCdata = "<![CDATA[";
  if (text.starts_with(kCdata) && text.ends_with("]]>")) {
    return std::string(text.substr(kCdata.size(), text.size() - kCdata.size() - 3));
  }
  return unescaped(text);
}

// --- errors

struct Remedy {
  std::string_view code;
  const char* text;
};
constexpr Remedy kRemedies[] = {
    {"AccessDenied", "the role's trust policy must let this identity assume it, and the identity's own policy too"},
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

constexpr std::string_view kThrottling[] = {
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
    "PriorRequestNotComplete",
    "EC2ThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "IDPCommunicationError",
};
constexpr std::string_view kSkewed[] = {"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure",
                                        "RequestTimeTooSkewed", "AccessDeniedException"};

std::string error_code(const HttpResponse& response) {
  const std::string_view body = response.body.reveal();
  const auto error = element(body, "Error");
  return error ? text_of(*error, "Code") : std::string();
}

template <size_t kSize>
bool is_one_of(std::string_view code, const std::string_view (&codes)[kSize]) {
  for (const std::string_view each : codes) {
    if (each == code) return true;
  }
  return false;
}

bool is_transient(const HttpResponse& response) {
  return !response.is_ok() && is_one_of(error_code(response), kThrottling);
}

Error refusal(const HttpResponse& response, const std::string& action, const std::string& asker, const Clock& clock) {
  const std::string code = error_code(response);
  if (code.empty()) {
    return Error{asker + action + ": STS answered with " + response.description() +
                 ", which is none of its own errors; is there a proxy in between?"};
  }
  const std::string message = shown(text_of(*element(response.body.reveal(), "Error"), "Message"), kShownMessage);
  std::string text =
      asker + "An error occurred (" + shown(code, 60) + ") when calling the " + action + " operation: " + message;
  for (const Remedy& remedy : kRemedies) {
    if (remedy.code == code) text.append(" (").append(remedy.text).append(")");
  }
  if (clock.learned && std::abs(clock.skew) > kTolerance) {
    text += "; this machine's clock is " + std::to_string(std::abs(clock.skew)) + " s " +
            (clock.skew > 0 ? "behind" : "ahead");
  }
  return Error{text};
}

/// Every error begins with who asked for the call.
std::string asker_of(const Query& query) {
  const std::string_view profile = query.settings["profile"];
  return profile.empty() ? "" : "profile \"" + shown(profile, 60) + "\": ";
}

}  // namespace

StsForm::StsForm(std::string_view action) : action_(action) {
  text_ = Secret("Action=" + action_ + "&Version=2011-06-15");
}

StsForm& StsForm::add(std::string_view name, std::string_view value) {
  if (value.empty()) return *this;
  std::string encoded;
  encoded.reserve(percent_encoded_size(value));
  append_percent_encoded(encoded, value);
  std::string longer;
  longer.reserve(text_.size() + name.size() + encoded.size() + 2);
  longer.append(text_.reveal()).append("&").append(name).append("=");
  for (size_t at = 0; at < encoded.size(); ++at) {
    // A form writes a blank as +.
    const bool blank = encoded.compare(at, 3, "%20") == 0;
    longer += blank ? '+' : encoded[at];
    if (blank) at += 2;
  }
  text_ = Secret(longer);
  explicit_bzero(longer.data(), longer.size());
  explicit_bzero(encoded.data(), encoded.size());
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
  const auto parts = parse_url(request.url);
  if (!parts)
    return Error{"AWS_ENDPOINT_URL_STS (or endpoint_url) is \"" + shown(request.url, 80) +
                 "\", which is no http or https URL; correct it"};
  constexpr std::string_view kType = "application/x-www-form-urlencoded; charset=utf-8";
  request.add_header("Content-Type", kType);
  if (query.signer == nullptr) return request;

  const SigningScope scope(now, endpoint->signing_region, "sts");
  const std::string_view token = query.signer->session_token != nullptr ? query.signer->session_token : "";
  const std::string signed_headers =
      std::string("content-type;host;x-amz-date") + (token.empty() ? "" : ";x-amz-security-token");
  const std::string token_line_name = token.empty() ? "" : "x-amz-security-token:";
  const std::string signature =
      sign_request({"POST\n", parts->path, "\n\ncontent-type:", kType, "\nhost:", parts->authority,
                    "\nx-amz-date:", scope.time(), "\n", token_line_name, token, token.empty() ? "" : "\n", "\n",
                    signed_headers, "\n", hex(digest("SHA256", form.text().reveal()))},
                   scope, Secret(query.signer->secret_access_key));
  if (signature.empty()) {
    return Error{"OpenSSL could not compute SHA-256; is it restricted by its configuration (OPENSSL_CONF)?"};
  }
  request.add_header("X-Amz-Date", scope.time());
  if (!token.empty()) request.add_header("X-Amz-Security-Token", token);
  request.add_header("Authorization", std::string(kSigV4Algorithm) + " Credential=" + query.signer->access_key_id +
                                          "/" + std::string(scope.text()) + ", SignedHeaders=" + signed_headers +
                                          ", Signature=" + signature);
  return request;
}

Result<Fetched> ask_sts(const StsForm& form, const Query& query) {
  const std::string asker = asker_of(query);
  if (form.text().size() > kMaxField)
    return Error{asker + form.action() + ": the request would be larger than STS takes"};
  // Made once to see whether it can be made at all; then anew for each try, for the signature carries the time.
  if (auto request = sts_request(form, query, query.clock.now()); !request) return Error{asker + request.error().text};
  const auto make = [&] { return std::move(*sts_request(form, query, query.clock.now())); };
  const int64_t skew_before = query.clock.skew;
  HttpOutcome outcome =
      exchange_with_retries(make, attempts_of(query.settings), query.deadline, query.clock, is_transient);
  const bool is_skewed = outcome && !outcome.response.is_ok() && query.clock.learned &&
                         std::abs(query.clock.skew - skew_before) > kTolerance;
  if (is_skewed && is_one_of(error_code(outcome.response), kSkewed)) {
    outcome = exchange(make(), query.deadline, query.clock);  // the answer has set the clock right
  }
  if (!outcome) {
    return Error{asker + form.action() + ": cannot reach STS at " + shown(make().url, 80) + ": " + outcome.why +
                 "; check the network, HTTPS_PROXY and AWS_REGION"};
  }
  if (!outcome.response.is_ok()) return refusal(outcome.response, form.action(), asker, query.clock);
  auto parsed = parse_sts_answer(outcome.response.body.reveal(), form.action(), query.clock.now());
  if (!parsed) {
    return Error{asker + parsed.error().text + " (" + outcome.response.description() + ")"};
  }
  return parsed;
}

Result<Fetched> parse_sts_answer(std::string_view xml, std::string_view action, int64_t now) {
  const Error bad{std::string(action) + ": the answer of STS holds no credentials; is there a proxy in between?"};
  const auto credentials = element(xml, "Credentials");
  if (!credentials) return bad;
  Fetched found;
  found.access_key_id = text_of(*credentials, "AccessKeyId");
  std::string secret = text_of(*credentials, "SecretAccessKey");
  std::string token = text_of(*credentials, "SessionToken");
  found.secret_access_key = Secret(secret);
  found.session_token = Secret(token);
  explicit_bzero(secret.data(), secret.size());
  explicit_bzero(token.data(), token.size());
  const auto expires = parse_instant(text_of(*credentials, "Expiration"));
  if (found.access_key_id.empty() || found.secret_access_key.empty() || found.session_token.empty() || !expires)
    return bad;
  if (*expires <= now) {
    return Error{
        std::string(action) +
        ": credentials were refreshed, but the refreshed credentials are still expired; check this machine's clock"};
  }
  found.expires = *expires;
  return found;
}

}  // namespace pqmint
