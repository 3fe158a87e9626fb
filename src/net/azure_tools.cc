// SPDX-License-Identifier: PostgreSQL
// The tools that a developer has logged in with: az, azd and Azure PowerShell are asked for a token
// (spec/azure.md 2.11).
//
// One that is not there, or not logged in, is absent and says why: the next in the chain is asked.

#include <string.h>

#include <algorithm>
#include <ctime>

#include "base/shown.h"
#include "net/child.h"
#include "net/digest.h"
#include "net/entra.h"
#include "net/json.h"

namespace pqmint {
namespace {

constexpr std::chrono::seconds kPatience{13};

Fetched absent(std::string why) {
  Fetched none;
  none.is_absent = true;
  none.text = std::move(why);
  return none;
}

/// Nothing but what a scope or a tenant is made of becomes part of a command.
bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-_.:/").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

/// az of old writes the time of its own clock, without a zone: "2026-01-15 13:34:56.000000".
std::optional<int64_t> local_instant(std::string_view text) {
  tm parts = {};
  const std::string copy(text);
  if (strptime(copy.c_str(), "%Y-%m-%d %H:%M:%S", &parts) == nullptr) return std::nullopt;
  parts.tm_isdst = -1;
  const time_t seconds = mktime(&parts);
  return seconds < 0 ? std::nullopt : std::optional<int64_t>(seconds);
}

struct Tool {
  const char* name;
  const char* install;
  const char* log_in;
};

/// The tool's answer as JSON; an absence if it gave none.
Result<Json::Value> ask(const Tool& tool, const std::vector<std::string>& argv, const Query& query, std::string& why) {
  for (const char* setting : {"scope", "tenant_id"}) {
    if (!is_plain(query.settings[setting])) {
      return Error{std::string(setting) +
                   "= in the token spec has a character that none has: " + shown(query.settings[setting], 60)};
    }
  }
  const ChildOutcome child = run_child(argv, {"AZURE_CORE_NO_COLOR=true", "AZURE_CORE_ONLY_SHOW_ERRORS=true"},
                                       query.deadline.no_later_than(kPatience));
  if (child.fault == ChildOutcome::Fault::kNotFound) {
    why = std::string(tool.name) + " is not installed (" + tool.install + ")";
    return Json::Value();
  }
  if (!child.succeeded()) {
    why = std::string(tool.name) + " " + child.description() + "; is somebody logged in? Run " + tool.log_in;
    return Json::Value();
  }
  const auto document = parse_json_object(child.output.reveal());
  if (!document) {
    why = std::string(tool.name) + " did not print JSON; run " + tool.log_in;
    return Json::Value();
  }
  return *document;
}

Result<Fetched> token_of(const Tool& tool, std::string_view token, std::optional<int64_t> expires, const Query& query) {
  const int64_t now = query.clock.now();
  if (token.empty() || !expires)
    return absent(std::string(tool.name) + " printed no token that can be read; run " + tool.log_in);
  if (*expires <= now) return absent(std::string(tool.name) + " printed a token that has expired; run " + tool.log_in);
  const int64_t life = *expires - now;
  return entra_token(token, *expires, now + (life - life / 4));
}

/// -EncodedCommand wants base64 of UTF-16.
std::string encoded_command(std::string_view script) {
  std::string wide;
  for (const char c : script) wide.append(1, c).append(1, '\0');
  std::string out = base64url(wide);
  for (char& c : out) c = c == '-' ? '+' : c == '_' ? '/' : c;
  while (out.size() % 4 != 0) out += '=';
  return out;
}

}  // namespace

Result<Fetched> fetch_azure_cli(const Query& query) {
  constexpr Tool kTool = {"az", "https://aka.ms/azure-cli", "az login"};
  std::vector<std::string> argv = {
      "az", "account", "get-access-token", "--output", "json", "--resource", resource_of(query.settings["scope"])};
  if (const std::string_view tenant = query.settings["tenant_id"]; !tenant.empty()) {
    argv.insert(argv.end(), {"--tenant", std::string(tenant)});
  }
  std::string why;
  const auto answer = ask(kTool, argv, query, why);
  if (!answer) return answer.error();
  if (!why.empty()) return absent(why);
  auto expires = number_in(*answer, "expires_on");
  if (!expires) expires = local_instant(text_in(*answer, "expiresOn"));
  return token_of(kTool, text_in(*answer, "accessToken"), expires, query);
}

Result<Fetched> fetch_azure_developer_cli(const Query& query) {
  constexpr Tool kTool = {"azd", "https://aka.ms/azure-dev", "azd auth login"};
  std::vector<std::string> argv = {"azd",  "auth",        "token",   "--output",
                                   "json", "--no-prompt", "--scope", std::string(query.settings["scope"])};
  if (const std::string_view tenant = query.settings["tenant_id"]; !tenant.empty()) {
    argv.insert(argv.end(), {"--tenant-id", std::string(tenant)});
  }
  std::string why;
  const auto answer = ask(kTool, argv, query, why);
  if (!answer) return answer.error();
  if (!why.empty()) return absent(why);
  return token_of(kTool, text_in(*answer, "token"), parse_instant(text_in(*answer, "expiresOn")), query);
}

Result<Fetched> fetch_azure_powershell(const Query& query) {
  constexpr Tool kTool = {"pwsh", "https://aka.ms/powershell", "Connect-AzAccount"};
  const std::string_view tenant = query.settings["tenant_id"];
  // From 2.17 the switch exists, from 5.0 the token is a SecureString in any case.
  const std::string script =
      "$ErrorActionPreference = 'Stop'\n"
      "$m = Import-Module Az.Accounts -MinimumVersion 2.2.0 -PassThru\n"
      "$a = @{ ResourceUrl = '" +
      resource_of(query.settings["scope"]) + "' }\n" +
      (tenant.empty() ? "" : "$a.TenantId = '" + std::string(tenant) + "'\n") +
      "if ($m.Version -ge [version]'2.17.0' -and $m.Version -lt [version]'5.0.0') { $a.AsSecureString = $true }\n"
      "$t = Get-AzAccessToken @a\n"
      "$s = $t.Token\n"
      "if ($s -is [System.Security.SecureString]) { $s = [System.Net.NetworkCredential]::new('', $s).Password }\n"
      "@{ Token = $s; ExpiresOn = $t.ExpiresOn.ToUnixTimeMilliseconds() } | ConvertTo-Json -Compress\n";
  std::string why;
  const auto answer =
      ask(kTool, {"pwsh", "-NoProfile", "-NonInteractive", "-EncodedCommand", encoded_command(script)}, query, why);
  if (!answer) return answer.error();
  if (!why.empty()) return absent(why);
  auto expires = number_in(*answer, "ExpiresOn");
  if (expires) *expires /= 1000;
  return token_of(kTool, text_in(*answer, "Token"), expires, query);
}

}  // namespace pqmint
