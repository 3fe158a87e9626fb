// SPDX-License-Identifier: PostgreSQL
// The tools that a developer has logged in with: az, azd and Azure PowerShell are asked for a token
// (spec/azure.md 2.11).
//
// One that is not there, or not logged in, is absent and says why: the next in the chain is asked.

#include <string.h>

#include <algorithm>
#include <ctime>

#include "base/shown.h"
#include "base/text.h"
#include "net/child.h"
#include "net/digest.h"
#include "net/entra/entra.h"
#include "net/json.h"

namespace pqmint {
namespace {

constexpr std::chrono::seconds kPatience{10};

/// Nothing but what a scope or a tenant is made of becomes part of a command, and nothing that looks like an option.
bool is_plain(std::string_view text, std::string_view marks) {
  return !text.starts_with('-') && is_made_of(text, marks);
}

/// "AADSTS50076": Entra's own code, if the tool tells one. The words around it may hold anything, a token too.
std::string code_in(std::string_view output) {
  constexpr std::string_view kName = "AADSTS";
  const size_t at = output.find(kName);
  if (at == output.npos) return "";
  const std::string_view rest = output.substr(at);
  return std::string(rest.substr(0, std::min(rest.find_first_not_of("0123456789", kName.size()), kName.size() + 9)));
}

bool is_guid(std::string_view text) {
  return text.size() == 36 && text.find_first_not_of("0123456789abcdefABCDEF-") == text.npos;
}

/// "az login --scope ...": what the tool itself advises, as far as it is options, a tenant, and the scope that was
/// asked for. The line may go on with anything.
std::string advice_in(std::string_view complaint, std::string_view log_in, std::string_view scope) {
  constexpr size_t kLongestOption = 40;
  const size_t at = complaint.find(std::string(log_in) + " --");
  if (at == complaint.npos) return "";
  std::string_view rest = complaint.substr(at + log_in.size() + 1);
  rest = rest.substr(0, rest.find_first_of("\r\n"));
  std::string advice(log_in), option;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(' '), rest.size());
    std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    while (word.ends_with('.')) word.remove_suffix(1);
    if (word.size() >= 2 && word.starts_with('"') && word.ends_with('"')) word = word.substr(1, word.size() - 2);
    if (word.starts_with("--") && word.size() <= kLongestOption && is_plain(word.substr(2), "-")) {
      advice += option;
      option = " " + std::string(word);
    } else if (!option.empty() && (word == scope || is_guid(word))) {
      advice += option + " " + std::string(word);
      option.clear();
    } else {
      // Without its value an option is no advice.
      return advice.size() > log_in.size() ? advice : "";
    }
  }
  return advice + option;
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

/// Why the tool gave no answer, and what to do.
std::string failure_of(const Tool& tool, const ChildOutcome& child, std::string_view scope) {
  const std::string name = tool.name;
  const std::string what = name + " " + child.description();
  switch (child.fault) {
    case ChildOutcome::Fault::kNotFound:
      return name + " is not installed (" + tool.install + ")";
    case ChildOutcome::Fault::kNone:
      break;
    case ChildOutcome::Fault::kTimeout:
      return what + "; run it by hand to see why, or raise connect_timeout";
    default:
      return what;
  }
  std::string code = code_in(child.output.reveal()), advice;
  if (code.empty()) code = code_in(child.complaint.reveal());
  advice = advice_in(child.complaint.reveal(), tool.log_in, scope);
  if (advice.empty()) advice = tool.log_in;
  if (!code.empty()) return what + " and says " + code + "; run " + advice;
  return what + "; is somebody logged in? Run " + advice;
}

/// The tool's answer as JSON; if it gave none, `why` says so. That this machine could not start it is an error: it says
/// nothing of whether somebody is logged in, and another source would be another identity.
Result<Document> ask(const Tool& tool, const std::vector<std::string>& argv, const Query& query, std::string& why) {
  // The SDKs' own rules (spec/azure.md 2.11).
  for (const auto& [setting, marks] : {std::pair{"scope", "-_.:/"}, {"tenant_id", "-."}}) {
    const std::string_view value = query.settings[setting];
    if (is_plain(value, marks)) continue;
    return Error{std::string(setting) + "= in the token spec has a character that none has: " + shown(value, 60)};
  }
  // Without the secrets of other sources, for which none of the tools has a use. Azure's own variables stay: in Cloud
  // Shell az needs them.
  const ChildOutcome child =
      run_child(argv,
                {"AZURE_CORE_NO_COLOR=true", "AZURE_CORE_ONLY_SHOW_ERRORS=true", "AWS_SECRET_ACCESS_KEY",
                 "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "PGPASSWORD"},
                Folder::kRoot, query.deadline.no_later_than(kPatience));
  const bool is_of_this_machine =
      child.fault == ChildOutcome::Fault::kNoProcess || child.fault == ChildOutcome::Fault::kUnread;
  if (is_of_this_machine) return Error{failure_of(tool, child, query.settings["scope"])};
  if (!child.succeeded()) {
    why = failure_of(tool, child, query.settings["scope"]);
    return Document();
  }
  auto document = parse_json_object(child.output.reveal());
  if (!document) {
    why = std::string(tool.name) + " did not print JSON; run " + tool.log_in;
    return Document();
  }
  return std::move(*document);
}

Result<Fetched> token_of(const Tool& tool, std::string_view token, std::optional<int64_t> expires, const Query& query) {
  const int64_t now = query.clock.now();
  if (token.empty() || !expires)
    return Fetched::absent(std::string(tool.name) + " printed no token that can be read; run " + tool.log_in);
  if (*expires <= now)
    return Fetched::absent(std::string(tool.name) + " printed a token that has expired; run " + tool.log_in);
  const int64_t life = *expires - now;
  auto found = entra_token(token, *expires, now + (life - life / 4));
  if (!found) return Fetched::absent(std::string(tool.name) + ": " + found.error().text);
  return found;
}

/// -EncodedCommand wants base64 of UTF-16.
std::string encoded_command(std::string_view script) {
  std::string wide;
  for (const char c : script) wide.append(1, c).append(1, '\0');
  return base64(wide);
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
  if (!why.empty()) return Fetched::absent(why);
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
  if (!why.empty()) return Fetched::absent(why);
  return token_of(kTool, text_in(*answer, "token"), parse_instant(text_in(*answer, "expiresOn")), query);
}

Result<Fetched> fetch_azure_powershell(const Query& query) {
  constexpr Tool kTool = {"pwsh", "https://aka.ms/powershell", "Connect-AzAccount"};
  const std::string_view tenant = query.settings["tenant_id"];
  // From 2.17 the switch exists, from 5.0 the token is a SecureString in any case.
  const std::string script =
      "$ErrorActionPreference = 'Stop'\n"
      "$WarningPreference = 'SilentlyContinue'\n"  // warnings would go to stdout, before the JSON
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
  if (!why.empty()) return Fetched::absent(why);
  auto expires = number_in(*answer, "ExpiresOn");
  if (expires) *expires /= 1000;
  return token_of(kTool, text_in(*answer, "Token"), expires, query);
}

}  // namespace pqmint
