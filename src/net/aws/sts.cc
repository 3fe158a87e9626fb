// SPDX-License-Identifier: PostgreSQL
// STS: requests (spec/aws.md 4.6) and answers.

#include "net/aws/sts.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <utility>
#include <vector>

#include "base/instant.h"
#include "base/percent.h"
#include "base/shown.h"
#include "base/sigv4.h"
#include "net/aws/endpoint.h"
#include "net/aws/service.h"
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

// --- XML, as far as STS speaks it

/// The text of one child element that is looked for.
struct Child {
  std::string_view name;
  std::string text = {};
  bool is_there = false;

  ~Child() { explicit_bzero(text.data(), text.size()); }
};

/// A character by its number, in UTF-8; false for one that there is not.
bool append_character(std::string& out, unsigned long code) {
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code == 0 || code > 0x10FFFF || surrogate) return false;
  if (code < 0x80) {
    out += static_cast<char>(code);
    return true;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr unsigned long kLeads[] = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(kLeads[more] | (code >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
  return true;
}

/// What stands between & and ;.
bool append_entity(std::string& out, std::string_view entity) {
  constexpr std::pair<std::string_view, char> kNamed[] = {
      {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
  for (const auto& [name, character] : kNamed) {
    if (entity == name) return out += character, true;
  }
  if (!entity.starts_with('#')) return false;
  entity.remove_prefix(1);
  const bool hex = entity.starts_with('x');
  if (hex) entity.remove_prefix(1);
  unsigned long code = 0;
  const char* const end = entity.data() + entity.size();
  const auto [stop, failure] = std::from_chars(entity.data(), end, code, hex ? 16 : 10);
  return failure == std::errc{} && stop == end && append_character(out, code);
}

/// What is no entity stands for itself.
void append_unescaped(std::string& out, std::string_view text) {
  constexpr size_t kLongestReference = 10;  // "&#x10FFFF;"
  while (!text.empty()) {
    const size_t end = text[0] == '&' ? text.substr(0, kLongestReference).find(';') : text.npos;
    const bool is_entity = end != text.npos && append_entity(out, text.substr(1, end - 1));
    if (!is_entity) out += text[0];
    text.remove_prefix(is_entity ? end + 1 : 1);
  }
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

struct Piece {
  enum class Kind : uint8_t { kText, kCdata, kOpening, kClosing, kEmpty, kPassedOver, kBroken };
  Kind kind;
  std::string_view text;  // of a tag: the element's name with its prefix
};

/// Where the first tag has its '>': a value in quotes may hold one too.
size_t end_of_tag(std::string_view xml) {
  char quote = 0;
  for (size_t at = 1; at < xml.size() && xml[at] != '<'; ++at) {
    if (quote != 0) {
      if (xml[at] == quote) quote = 0;
    } else if (xml[at] == '"' || xml[at] == '\'') {
      quote = xml[at];
    } else if (xml[at] == '>') {
      return at;
    }
  }
  return xml.npos;
}

/// Takes the first piece off `xml`, which is not empty. A document type is broken XML here: nobody needs its entities.
Piece next_piece(std::string_view& xml) {
  using Kind = Piece::Kind;
  constexpr struct {
    std::string_view begin, end;
    Kind kind;
  } kMarks[] = {
      {"<!--", "-->", Kind::kPassedOver}, {"<?", "?>", Kind::kPassedOver}, {"<![CDATA[", "]]>", Kind::kCdata}};
  const auto take = [&](size_t size) {
    const std::string_view taken = xml.substr(0, size);
    xml.remove_prefix(taken.size());
    return taken;
  };
  if (xml[0] != '<') return {Kind::kText, take(xml.find('<'))};
  for (const auto& mark : kMarks) {
    if (!xml.starts_with(mark.begin)) continue;
    const size_t end = xml.find(mark.end, mark.begin.size());
    if (end == xml.npos) return {Kind::kBroken, {}};
    return {mark.kind, take(end + mark.end.size()).substr(mark.begin.size(), end - mark.begin.size())};
  }
  const size_t end = end_of_tag(xml);
  if (end == xml.npos || xml[1] == '!') return {Kind::kBroken, {}};
  std::string_view tag = take(end + 1).substr(1, end - 1);
  const bool closes = tag.starts_with('/');
  const bool is_empty = tag.ends_with('/');
  if (closes) tag.remove_prefix(1);
  tag = tag.substr(0, tag.find_first_of(" \t\r\n/"));
  return {tag.empty() ? Kind::kBroken : closes ? Kind::kClosing : is_empty ? Kind::kEmpty : Kind::kOpening, tag};
}

/// Fills in the texts of `children` of the first element `parent`, in whatever order they come; namespaces, attributes
/// and elements further down are passed over. False if there is no such element, it has a child twice, or the text is
/// no XML. Looks at each byte once: the answer may be 1 MiB of anything, and no deadline counts here.
bool read_children(std::string_view xml, std::string_view parent, std::span<Child> children) {
  using Kind = Piece::Kind;
  constexpr size_t kMaxDepth = 32;
  std::vector<std::string_view> open;
  size_t parent_depth = 0;  // 0: not in it
  bool is_found = false, is_over = false;
  Child* current = nullptr;
  while (!xml.empty()) {
    const auto [kind, text] = next_piece(xml);
    const bool is_wanted = current != nullptr && open.size() == parent_depth + 1;
    if (kind == Kind::kBroken) return false;
    // One element is all that a document is.
    const bool is_beside = open.empty() && (kind == Kind::kCdata || (kind == Kind::kText && !trim(text).empty()));
    const bool is_second = open.empty() && is_over && (kind == Kind::kOpening || kind == Kind::kEmpty);
    if (is_beside || is_second) return false;
    if (is_wanted && kind == Kind::kText) append_unescaped(current->text, text);
    if (is_wanted && kind == Kind::kCdata) current->text += text;
    if (kind == Kind::kOpening || kind == Kind::kEmpty) {
      if (open.size() == kMaxDepth) return false;
      open.push_back(text);
      const std::string_view local = text.substr(text.find(':') + 1);
      if (!is_found && local == parent) {
        is_found = true;
        parent_depth = open.size();
      } else if (parent_depth != 0 && open.size() == parent_depth + 1) {
        const auto child = std::ranges::find(children, local, &Child::name);
        current = child == children.end() ? nullptr : &*child;
        if (current != nullptr && std::exchange(current->is_there, true)) return false;
        // All of it at once: no outgrown copy of a secret stays behind.
        if (current != nullptr) current->text.reserve(xml.size());
      }
    }
    if (kind == Kind::kClosing && (open.empty() || open.back() != text)) return false;
    if (kind == Kind::kClosing || kind == Kind::kEmpty) {
      if (open.size() == parent_depth + 1) current = nullptr;
      if (open.size() == parent_depth) parent_depth = 0;
      open.pop_back();
      is_over = open.empty();
    }
  }
  return is_found && open.empty();
}

// --- errors

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
  Child children[] = {{"Code"}, {"Message"}};
  if (!read_children(response.body.reveal(), "Error", children)) return {};
  const auto& [code, message] = children;
  return {said(trim(code.text), kShownCode, {proof}), said(trim(message.text), kShownMessage, {proof})};
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

/// The path as it is signed: encoded once more than it is sent, without empty segments, as botocore does it.
std::string canonical_path(std::string_view path) {
  std::string out;
  for (std::string_view rest = path; !rest.empty();) {
    const std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(segment.size() + 1, rest.size()));
    if (!segment.empty()) append_percent_encoded(out += '/', segment);
  }
  if (out.empty() || path.ends_with('/')) out += '/';
  return out;
}

/// What may stand in a header: a line end in a key from a file would begin another one.
bool is_header_value(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
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
  if (!parts || parts->path.find('?') != std::string::npos) {
    return Error{"AWS_ENDPOINT_URL_STS (or endpoint_url) is \"" + shown_url(request.url, kShownPath) + "\", which is " +
                 (parts ? "a URL with a query" : "no http or https URL") + "; correct it"};
  }
  constexpr std::string_view kType = "application/x-www-form-urlencoded; charset=utf-8";
  request.add_header("Content-Type", kType);
  if (query.signer == nullptr) return request;

  const SigningScope scope(now, endpoint->signing_region, "sts");
  const std::string_view token = query.signer->session_token != nullptr ? query.signer->session_token : "";
  if (!is_header_value(query.signer->access_key_id) || !is_header_value(token)) {
    return Error{"the access key id or the session token that should assume the role holds a line break; correct it"};
  }
  const std::string signed_headers =
      std::string("content-type;host;x-amz-date") + (token.empty() ? "" : ";x-amz-security-token");
  const std::string token_line_name = token.empty() ? "" : "x-amz-security-token:";
  const std::string signature =
      sign_request({"POST\n", canonical_path(parts->path), "\n\ncontent-type:", kType, "\nhost:", parts->authority,
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
  const bool was_skewed = std::abs(query.clock.skew - skew_when_signed) > kTolerance;
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
  Child children[] = {{"AccessKeyId"}, {"SecretAccessKey"}, {"SessionToken"}, {"Expiration"}};
  const bool is_answer = read_children(xml, "Credentials", children);
  const auto expires = parse_instant(trim(children[3].text));
  Fetched found;
  found.access_key_id = trim(children[0].text);
  found.secret_access_key = Secret(trim(children[1].text));
  found.session_token = Secret(trim(children[2].text));
  const bool is_whole = std::ranges::none_of(
      children, [](const Child& child) { return trim(child.text).empty() || !is_header_value(trim(child.text)); });
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
