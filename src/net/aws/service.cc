// SPDX-License-Identifier: PostgreSQL
// What SSO, OIDC and sign-in have in common (spec/aws.md 4.7, 4.8).

#include "net/aws/service.h"

#include <string.h>

#include "base/shown.h"
#include "net/json.h"
#include "net/said.h"

namespace pqmint {
namespace {

constexpr size_t kShownName = 60;
constexpr size_t kShownMessage = 300;

/// "InvalidGrantException:http://internal.amazon.com/..." and "com.amazonaws.sso#InvalidGrantException" alike.
std::string_view bare_code(std::string_view code) {
  code = code.substr(0, code.find(':'));
  if (const size_t hash = code.rfind('#'); hash != code.npos) code.remove_prefix(hash + 1);
  return code;
}

std::string_view first_of(std::string_view a, std::string_view b) {
  return a.empty() ? b : a;
}

/// A name that a shell takes as it stands, or with quotes.
std::string as_word(std::string_view name) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.@+/:";
  const std::string text = shown(name, kShownName);
  return text.find_first_not_of(kPlain) == text.npos ? text : "'" + text + "'";
}

}  // namespace

HttpRequest aws_request(const Settings& settings, std::string url) {
  HttpRequest request;
  request.url = std::move(url);
  request.may_use_proxy = true;
  request.ca_bundle = settings["ca_bundle"];
  return request;
}

HttpRequest aws_post(const Settings& settings, std::string url, const Secret& json) {
  HttpRequest request = aws_request(settings, std::move(url));
  request.method = "POST";
  request.add_header("Content-Type", "application/json");
  request.body = json.clone();
  return request;
}

std::string why_refused(const HttpResponse& response, std::string_view operation,
                        std::initializer_list<std::string_view> secrets) {
  const Document body = parse_json_object(response.body.reveal()).value_or(Document());
  const std::string_view code = first_of(bare_code(response.header("x-amzn-errortype")),
                                         first_of(bare_code(text_in(body, "__type")), text_in(body, "error")));
  if (code.empty()) {
    return std::string(operation) + ": the service answered with " + response.description() +
           ", which is none of its own errors; is there a proxy in between?";
  }
  const std::string_view message =
      first_of(text_in(body, "error_description"), first_of(text_in(body, "message"), text_in(body, "Message")));
  return "An error occurred (" + said(code, kShownName, secrets) + ") when calling the " + std::string(operation) +
         " operation" + (message.empty() ? "" : ": ") + said(message, kShownMessage, secrets);
}

std::string why_unreachable(const HttpOutcome& outcome, const std::string& url) {
  return "cannot reach " + shown_url(url.substr(0, url.find('?')), kShownPath) + ": " + outcome.why +
         "; check the network and HTTPS_PROXY";
}

std::string asker(const Settings& settings) {
  const std::string_view profile = settings["profile"];
  return profile.empty() ? "" : "profile " + quoted(profile) + ": ";
}

std::string cli_command(const char* command, const Settings& settings) {
  const std::string_view profile = settings["profile"];
  const std::string_view session = settings["sso_session"];
  if (!profile.empty()) return std::string(command) + " --profile " + as_word(profile);
  return session.empty() ? command : std::string(command) + " --sso-session " + as_word(session);
}

}  // namespace pqmint
