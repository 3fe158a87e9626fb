// SPDX-License-Identifier: PostgreSQL
// Lines, each with a name in front; colour marks what wants to be seen.

#include "cli/report.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "base/shown.h"

namespace pqmint {
namespace {

enum class Paint { kPlain, kName, kGood, kNote, kBad, kFaint };

class Page {
 public:
  explicit Page(bool in_colour) : in_colour_(in_colour) {}

  void line(const std::string& text, Paint paint = Paint::kPlain) { text_ += painted(text, paint) + "\n"; }

  /// "  name         text"
  void row(std::string name, const std::string& text, Paint paint = Paint::kPlain) {
    constexpr size_t kWidth = 12;
    name.resize(kWidth, ' ');
    text_ += "  " + painted(name, Paint::kFaint) + " " + painted(text, paint) + "\n";
  }
  std::string take() { return std::move(text_); }

 private:
  std::string painted(const std::string& text, Paint paint) const {
    constexpr const char* kCodes[] = {"", "\033[1m", "\033[32m", "\033[33m", "\033[31m", "\033[2m"};
    const char* code = kCodes[static_cast<int>(paint)];
    return in_colour_ && *code ? code + text + "\033[0m" : text;
  }

  bool in_colour_;
  std::string text_;
};

// A server names itself and its user, and a terminal obeys what it is sent.
std::string words(const Json::Value& value) {
  return value.isNull() ? "" : without_controls(value.asString());
}

void tell_credential(Page& page, const Json::Value& host) {
  const Json::Value& credential = host["credential"];
  if (!credential.isNull()) {
    std::string text = words(credential["source"]);
    if (!credential["name"].isNull()) text += " " + words(credential["name"]);
    if (!credential["identity"].isNull()) text += ", " + words(credential["identity"]);
    if (!credential["expires_at"].isNull()) text += ", until " + words(credential["expires_at"]);
    page.row("credentials", text);
  } else if (!host["credential_trail"].empty()) {
    page.row("credentials", "none", Paint::kNote);
  }
  for (const Json::Value& step : host["credential_trail"]) {
    page.row("", words(step["source"]) + ": " + words(step["reason"]), Paint::kFaint);
  }
}

void tell_clock(Page& page, const Json::Value& skew) {
  if (skew.isNull()) return;
  const int seconds = skew.asInt();
  const std::string amount = std::to_string(std::abs(seconds)) + " s ";
  constexpr int kHarmless = 5;
  if (std::abs(seconds) <= kHarmless) {
    page.row("clock", "agrees with the servers'");
  } else {
    page.row("clock",
             amount + (seconds > 0 ? "behind" : "ahead of") + " the servers' time; tokens are signed with theirs",
             Paint::kNote);
  }
}

void tell_tls(Page& page, const Json::Value& tls) {
  const std::string mode = words(tls["sslmode"]), roots = words(tls["sslrootcert"]);
  const bool verifies = mode.starts_with("verify-");
  page.row("TLS",
           mode + (mode == "disable"   ? ""
                   : roots == "system" ? ", the system's roots"
                   : !roots.empty()    ? ", roots " + roots
                   : verifies          ? ", no roots found"
                                       : ", the server is not verified"),
           verifies ? Paint::kPlain : Paint::kNote);
}

void tell_end(Page& page, const Json::Value& host, const std::string& said_elsewhere) {
  if (!host["note"].isNull()) page.row("note", words(host["note"]), Paint::kNote);
  if (!host["error"].isNull()) {
    const std::string error = words(host["error"]);
    page.row("error", error == said_elsewhere ? "see below" : error, Paint::kBad);
  }
}

void tell_host(Page& page, const Json::Value& host, const std::string& said_elsewhere) {
  const std::string name = words(host["host"].isNull() ? host["hostaddr"] : host["host"]);
  const std::string port = words(host["port"]);
  page.line((name.empty() ? "(local socket)" : name) + (port.empty() ? "" : " port " + port), Paint::kName);
  if (!host["managed"].asBool()) {
    page.row("service", "not ours: libpq connects as if pqmint were not there");
    tell_end(page, host, said_elsewhere);
    return;
  }
  if (!host["provider"].isNull()) page.row("service", words(host["provider"]) + " (" + words(host["kind"]) + ")");
  if (!host["endpoint"].isNull()) page.row("endpoint", words(host["endpoint"]));
  if (!host["region"].isNull()) {
    page.row("region", words(host["region"]) + " (from " + words(host["region_source"]) + ")");
  }
  tell_credential(page, host);
  tell_clock(page, host["clock_skew"]);
  if (!host["token"].isNull()) {
    const std::string end = words(host["token"]["expires_at"]);
    page.row("token", words(host["token"]["length"]) + " characters" + (end.empty() ? "" : ", until " + end),
             Paint::kGood);
  }
  tell_tls(page, host["tls"]);
  tell_end(page, host, said_elsewhere);
}

void tell_login(Page& page, const Json::Value& login) {
  if (!login["error"].isNull()) return;
  page.line("logged in to " + words(login["host"]) + " as " + words(login["user"]) + ": PostgreSQL " +
                words(login["server_version"]) + ", " + words(login["tls"]["protocol"]) + " " +
                words(login["tls"]["cipher"]),
            Paint::kGood);
}

}  // namespace

std::string report_for_people(const Json::Value& report, const std::string& said_elsewhere, bool in_colour) {
  Page page(in_colour);
  page.line("user " + words(report["user"]) + ", database " + words(report["dbname"]));
  for (const Json::Value& host : report["hosts"]) tell_host(page, host, said_elsewhere);
  if (report.isMember("login")) tell_login(page, report["login"]);
  return page.take();
}

bool shows_colours(int fd) {
  const char* none = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool is_wanted = (!none || !*none) && (!terminal || std::string_view(terminal) != "dumb");
  return is_wanted && isatty(fd);
}

}  // namespace pqmint
