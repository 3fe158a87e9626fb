// SPDX-License-Identifier: PostgreSQL
// net.so's one export: core.so asks for credentials that must be fetched; the answer, for now, is
// what to do instead.

#include <pqmint/abi.h>

#include <new>
#include <string>
#include <string_view>

namespace {

/// What the user set that leads to each source.
struct Source {
  std::string_view name;
  std::string_view setting;
  std::string_view variable;  // when the environment asks, not a profile
};

constexpr Source kSources[] = {
    {"assume-role", "role_arn", ""},
    {"web-identity", "web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE"},
    {"sso", "sso_session or sso_start_url", ""},
    {"login", "login_session", ""},
    {"process", "credential_process", ""},
    {"container", "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI"},
    {"imds", "", "no other source is configured"},
};

struct Answer : pqmint_fetched {
  std::string text;
};

/// `text` as one word of a POSIX shell.
std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./@+:";
  const bool plain = !text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos;
  if (plain) return std::string(text);
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string not_yet(std::string_view name, std::string_view profile) {
  Source source = {name, "", ""};
  for (const Source& known : kSources) {
    if (known.name == name) source = known;
  }
  std::string text = profile.empty() ? "the environment" : "profile \"" + std::string(profile) + "\"";
  text.append(" asks for credentials by ").append(name);
  const std::string_view because = profile.empty() ? source.variable : source.setting;
  if (!because.empty()) text.append(" (").append(because).append(")");
  text +=
      ", which this version of pqmint cannot fetch yet; use environment keys or static keys, for "
      "example: eval \"$(aws configure export-credentials";
  if (!profile.empty()) text += " --profile " + shell_word(profile);
  return text + " --format env)\"";
}

const pqmint_fetched* fetch(const pqmint_fetch* what) try {
  auto* answer = new Answer();
  answer->text = not_yet(what->source, what->profile != nullptr ? what->profile : "");
  answer->error = answer->text.c_str();
  return answer;
} catch (const std::bad_alloc&) {
  return nullptr;
}

void release(const pqmint_fetched* fetched) {
  delete static_cast<const Answer*>(fetched);
}

constexpr pqmint_net_module kTable = {PQMINT_ABI_VERSION, fetch, release};

}  // namespace

extern "C" __attribute__((visibility("default"))) const pqmint_net_module* pqmint_net(void) {
  return &kTable;
}
