// SPDX-License-Identifier: PostgreSQL
// A person at a terminal: a code is shown there, the person logs in with a browser, a token of Microsoft Entra goes out
// (RFC 8628, spec/azure.md 2.12). Only `pqmint token --device-code` asks for it, never a connection.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/percent.h"
#include "base/shown.h"
#include "net/entra/entra.h"
#include "net/json.h"
#include "net/said.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int64_t kUsualInterval = 5;  // s, RFC 8628's own default
constexpr int64_t kLongestLife = 900;  // s, as long as Entra's own codes live; more is no number to reckon with
constexpr size_t kShownMessage = 600;

HttpOutcome post(const Query& query, const char* endpoint, const Secret& form) {
  HttpRequest request;
  request.method = "POST";
  request.url = tenant_url(query.settings, endpoint);
  request.may_use_proxy = true;
  request.ca_bundle = query.settings["ca_bundle"];
  request.add_header("Content-Type", "application/x-www-form-urlencoded;charset=utf-8");
  request.body = form.clone();
  return exchange(request, query.deadline.no_later_than(seconds(15)), query.clock);
}

/// To the terminal itself: stdout is for the token.
bool tell(const Settings& settings, std::string_view text) {
  const std::string_view terminal = settings["terminal"].empty() ? "/dev/tty" : settings["terminal"];
  const int fd = open(std::string(terminal).c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return false;
  const std::string line = shown(text, kShownMessage) + "\n";
  const bool good = write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  close(fd);
  return good;
}

Error refusal(const HttpResponse& response, const Json::Value& answer, std::string_view code = {}) {
  const std::string_view error = text_in(answer, "error");
  const std::string_view description = text_in(answer, "error_description");
  if (error.empty()) return Error{"Microsoft Entra answered with " + response.description()};
  const char* meaning = error == "authorization_declined" || error == "access_denied" ? "the login was declined"
                        : error == "expired_token" || error == "code_expired"
                            ? "nobody logged in before the code expired; run the command again"
                            : "the login by device code failed";
  return Error{std::string(meaning) + " (" + said(error, 60, {code}) + (description.empty() ? "" : ": ") +
               said(description.substr(0, description.find_first_of("\r\n")), 240, {code}) + ")"};
}

}  // namespace

Result<Fetched> fetch_device_code(const Query& query) {
  std::string who = "client_id=";
  append_percent_encoded(who, query.settings["client_id"]);
  std::string scope = "&scope=";
  append_percent_encoded(scope, query.settings["scope"]);
  const HttpOutcome asked = post(query, "devicecode", Secret(who + scope + "%20openid%20profile%20offline_access"));
  if (!asked) {
    return Error{"cannot reach Microsoft Entra at " + shown_url(tenant_url(query.settings, "devicecode"), kShownPath) +
                 ": " + asked.why + "; check the network and HTTPS_PROXY"};
  }
  const Document offer = parse_json_object(asked.response.body.reveal()).value_or(Document());
  const std::string_view code = text_in(offer, "device_code");
  if (!asked.response.is_ok() || code.empty()) return refusal(asked.response, offer);
  if (!tell(query.settings, text_in(offer, "message"))) {
    return Error{"a device code needs a terminal to be shown on, and there is none; run az login instead"};
  }

  const auto offered = [&](const char* name, int64_t usual) {
    return seconds(std::clamp<int64_t>(number_in(offer, name).value_or(usual), 1, kLongestLife));
  };
  const Deadline deadline = query.deadline.no_later_than(offered("expires_in", kLongestLife));
  seconds interval = offered("interval", kUsualInterval);
  Secret poll_form("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&");
  append_percent_encoded(poll_form.append(who).append("&device_code="), code);
  for (;;) {
    const milliseconds pause = std::min<milliseconds>(interval, deadline.left());
    if (pause.count() == 0) return Error{"nobody logged in before the code expired; run the command again"};
    poll(nullptr, 0, static_cast<int>(pause.count()));
    const HttpOutcome outcome = post(query, "token", poll_form);
    const long status = outcome.response.status;
    if (!outcome || status == 429 || status >= 500) {
      interval *= 2;  // as RFC 8628 (3.5) has it for a network that fails; a service that does is no different
      continue;
    }
    const Document answer = parse_json_object(outcome.response.body.reveal()).value_or(Document());
    const std::string_view error = text_in(answer, "error");
    if (error == "authorization_pending") continue;
    if (error == "slow_down") {
      interval += seconds(5);
      continue;
    }
    const std::string_view token = text_in(answer, "access_token");
    if (!outcome.response.is_ok() || token.empty() || !is_bearer(answer)) {
      return refusal(outcome.response, answer, code);
    }
    const int64_t now = query.clock.now();
    return entra_token(token, token_expiry(answer, now).value_or(now + 1), 0);
  }
}

}  // namespace pqmint
