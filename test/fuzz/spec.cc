// SPDX-License-Identifier: PostgreSQL
// Token specs. What was read, written down again and read once more is the same; an error is a sentence.

#include "core/spec.h"

#include "base/endpoint.h"
#include "base/percent.h"
#include "core/token.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

using Provider = TokenSpec::Provider;

std::string written(const TokenSpec& spec) {
  std::string out = "pqmint:";
  switch (spec.provider) {
    case Provider::kAuto:
      break;
    case Provider::kRds:
      out += "rds";
      break;
    case Provider::kDsql:
      out += "dsql";
      break;
    case Provider::kEntra:
      out += "entra";
      break;
    case Provider::kCommand:
      out += "command";
      break;
    case Provider::kOff:
      out += "off";
      break;
  }
  char mark = '?';
  const auto say = [&](const char* key, std::string_view value) {
    if (value.empty()) return;
    out.append(1, std::exchange(mark, '&')).append(key).append("=");
    append_percent_encoded(out, value);
  };
  if (!spec.endpoint_host.empty()) say("endpoint", spec.endpoint_host + ":" + std::to_string(spec.endpoint_port));
  say("region", spec.region);
  say("profile", spec.credentials.profile);
  say("role_arn", spec.credentials.role_arn);
  say("external_id", spec.credentials.external_id);
  say("role_session_name", spec.credentials.role_session_name);
  if (spec.expires_in != 0) say("expires_in", std::to_string(spec.expires_in));
  say("client_id", spec.entra.client_id);
  say("tenant_id", spec.entra.tenant_id);
  say("scope", spec.entra.scope);
  say("command", spec.command.command);
  if (spec.command.timeout != 0) say("timeout", std::to_string(spec.command.timeout));
  if (spec.command.lifetime != 0) say("lifetime", std::to_string(spec.command.lifetime));
  return out;
}

}  // namespace

void spec(std::string_view input) {
  if (has(input, std::string_view("\0", 1))) return;  // it comes as a C string
  const auto read = parse_token_spec(input);
  if (!read) {
    // What stood there may have been a password: 32 bytes of it at most are shown, and only of keys and providers.
    PROMISE(!read.error().text.empty() && read.error().text.size() < 400, read.error().text);
    return;
  }
  PROMISE(input.starts_with("pqmint:"), input);
  const std::string text = written(*read);
  const auto again = parse_token_spec(text);
  PROMISE(again, text);
  PROMISE(written(*again) == text, text);
  PROMISE(again->provider == read->provider && again->endpoint_host == read->endpoint_host, text);
  PROMISE(again->endpoint_port == read->endpoint_port || read->endpoint_host.empty(), text);
  PROMISE(again->credentials.profile == read->credentials.profile && again->entra.scope == read->entra.scope, text);

  PROMISE(read->endpoint_port >= 1 && read->endpoint_port <= 65535, input);
  PROMISE(read->expires_in >= 0 && read->expires_in <= kDsqlMaxTokenLife, input);
  PROMISE(read->region.empty() || is_region_name(read->region), input);
  for (const char c : read->endpoint_host) {
    PROMISE(static_cast<unsigned char>(c) > ' ' && c != '\x7f' && c != '/' && c != '@' && c != ',', input);
  }
  PROMISE(read->provider != Provider::kOff || text == "pqmint:off", text);
  PROMISE((read->provider == Provider::kCommand) == !read->command.program.empty(), text);
  PROMISE(again->command.command == read->command.command, text);
  PROMISE(read->command.timeout >= 0 && read->command.timeout <= kMaxCommandTimeout, input);
  PROMISE(read->command.lifetime >= 0 && read->command.lifetime <= kMaxCommandLifetime, input);
  PROMISE(read->provider != Provider::kEntra || (read->region.empty() && read->credentials.profile.empty()), text);
}

}  // namespace pqmint::fuzz
