// SPDX-License-Identifier: PostgreSQL
// Token specs: text in, TokenSpec out.

#include "core/spec.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <vector>

#include "base/endpoint.h"
#include "base/percent.h"
#include "base/shown.h"
#include "base/text.h"
#include "base/words.h"
#include "core/token.h"

namespace pqmint {
namespace {

using Provider = TokenSpec::Provider;

constexpr std::string_view kPrefix = "pqmint:";

struct ProviderName {
  std::string_view name;
  Provider provider;
};
constexpr ProviderName kProviders[] = {
    {"auto", Provider::kAuto},   {"rds", Provider::kRds},         {"dsql", Provider::kDsql},
    {"entra", Provider::kEntra}, {"command", Provider::kCommand}, {"off", Provider::kOff},
};

// Which providers have a use for a key. `auto` may turn out to be any of those that a host name tells.
enum Users : uint8_t { kAws = 1, kOnlyDsql = 2, kOnlyEntra = 4, kOnlyCommand = 8, kEveryone = 15 };

struct Key {
  std::string_view name;
  Users users;
};
constexpr Key kKeys[] = {
    {"endpoint", kEveryone},    {"region", kAws},          {"profile", kAws},
    {"role_arn", kAws},         {"external_id", kAws},     {"role_session_name", kAws},
    {"expires_in", kOnlyDsql},  {"client_id", kOnlyEntra}, {"tenant_id", kOnlyEntra},
    {"scope", kOnlyEntra},      {"command", kOnlyCommand}, {"timeout", kOnlyCommand},
    {"lifetime", kOnlyCommand},
};

bool has_use_for(Provider provider, Users users) {
  switch (provider) {
    case Provider::kAuto:
      return (users & (kAws | kOnlyDsql | kOnlyEntra)) != 0;
    case Provider::kRds:
      return (users & kAws) != 0;
    case Provider::kDsql:
      return (users & (kAws | kOnlyDsql)) != 0;
    case Provider::kEntra:
      return (users & kOnlyEntra) != 0;
    case Provider::kCommand:
      return (users & kOnlyCommand) != 0;
    case Provider::kOff:
      return false;
  }
  return false;
}

// How many letters must be changed, added or left out to make `a` of `b` (Levenshtein).
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// So many letters wrong, and it is a slip of the fingers.
constexpr size_t kSlip = 2;

template <typename Known>
std::string_view nearest(std::string_view name, const Known& known) {
  // A word of any length is compared only as far as it matters.
  name = name.substr(0, 32);
  return std::ranges::min_element(known, {}, [&](const auto& k) { return distance(name, k.name); })->name;
}

template <typename Known>
auto find(std::string_view name, const Known& known) {
  const auto* at = std::ranges::find(known, name, [](const auto& k) { return k.name; });
  return at == std::end(known) ? nullptr : at;
}

// A spec stands where passwords stand: what cannot be read as one is not repeated at length.
std::string shortened(std::string_view text) {
  return quoted(text, 32);
}

std::optional<Error> set_seconds(int64_t& seconds, std::string_view key, std::string_view value, int64_t most) {
  const auto given = whole_number(value);
  if (!given || *given < 1 || *given > most) {
    return Error{std::string(key) + "= in the token spec must be a number of seconds from 1 to " +
                 std::to_string(most)};
  }
  seconds = *given;
  return std::nullopt;
}

std::optional<Error> set_command(CommandWish& wish, std::string value) {
  const auto words = split_command(value);
  if (!words) return Error{"command= in the token spec: " + words.error().text};
  wish.program = words->front();
  wish.command = std::move(value);
  return std::nullopt;
}

// host, host:port, or [address]:port.
std::optional<Error> set_endpoint(TokenSpec& spec, std::string_view value) {
  const bool bracketed = value.starts_with('[');
  const size_t bracket = value.find(']');
  if (bracketed && bracket == value.npos) return Error{"endpoint= in the token spec has a [ without a ]"};
  const size_t colon = bracketed ? value.find(':', bracket) : value.rfind(':');
  std::string_view host = value.substr(0, colon);
  if (colon != value.npos) {
    const auto port = whole_number(value.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535) {
      return Error{"endpoint= in the token spec must be a host name, or host:port with a port from 1 to 65535"};
    }
    spec.endpoint_port = static_cast<int>(*port);
  }
  if (!is_bare_name(host)) {
    return Error{"endpoint= in the token spec must be a bare host name, or host:port: no scheme, path or user"};
  }
  spec.endpoint_host = host;
  return std::nullopt;
}

std::optional<Error> set(TokenSpec& spec, std::string_view key, std::string value) {
  if (key == "endpoint") return set_endpoint(spec, value);
  if (key == "region") {
    if (!is_region_name(value))
      return Error{"region=" + shortened(value) + " in the token spec is not the name of a region"};
    spec.region = std::move(value);
  } else if (key == "profile") {
    spec.credentials.profile = std::move(value);
  } else if (key == "expires_in") {
    return set_seconds(spec.expires_in, key, value, kDsqlMaxTokenLife);
  } else if (key == "command") {
    return set_command(spec.command, std::move(value));
  } else if (key == "timeout") {
    return set_seconds(spec.command.timeout, key, value, kMaxCommandTimeout);
  } else if (key == "lifetime") {
    return set_seconds(spec.command.lifetime, key, value, kMaxCommandLifetime);
  } else if (key == "role_arn") {
    // STS takes 20 to 2048 characters; a mere role name is what people write by mistake.
    if (!value.starts_with("arn:") || value.size() < 20 || value.size() > 2048) {
      return Error{"role_arn=" + shortened(value) +
                   " in the token spec is not the ARN of a role, such as arn:aws:iam::123456789012:role/NAME"};
    }
    spec.credentials.role_arn = std::move(value);
  } else if (key == "client_id") {
    spec.entra.client_id = std::move(value);
  } else if (key == "tenant_id") {
    spec.entra.tenant_id = std::move(value);
  } else if (key == "scope") {
    if (!value.ends_with("/.default")) {
      return Error{
          "scope=" + shortened(value) +
          " in the token spec must end in /.default, as https://ossrdbms-aad.database.windows.net/.default does"};
    }
    spec.entra.scope = std::move(value);
  } else if (key == "external_id") {
    spec.credentials.external_id = std::move(value);
  } else if (key == "role_session_name") {
    spec.credentials.role_session_name = std::move(value);
  }
  return std::nullopt;
}

}  // namespace

bool is_bare_name(std::string_view text) {
  // A table, because every connection's name is looked at.
  static constexpr std::array<bool, 256> kStrange = [] {
    std::array<bool, 256> table{};
    for (size_t c = 0; c <= ' '; ++c) table[c] = true;
    for (const char c : std::string_view("\x7f/@,?#%\\")) table[static_cast<unsigned char>(c)] = true;
    return table;
  }();
  const bool has_port = std::ranges::count(text, ':') == 1;  // an IPv6 address has more
  return !text.empty() && !has_port && std::ranges::none_of(text, [](unsigned char c) { return kStrange[c]; });
}

Result<TokenSpec> parse_token_spec(std::string_view text) {
  if (!text.starts_with(kPrefix)) return Error{"a token spec begins with pqmint:"};
  text.remove_prefix(kPrefix.size());
  const size_t question = text.find('?');
  const std::string_view provider_name = text.substr(0, question);

  TokenSpec spec;
  if (!provider_name.empty()) {
    const auto* provider = find(provider_name, kProviders);
    if (!provider) {
      return Error{"the token spec asks for a provider " + shortened(provider_name) +
                   ", which is not known; did you mean " + quoted(nearest(provider_name, kProviders)) + "?"};
    }
    spec.provider = provider->provider;
  }

  std::vector<std::string_view> seen;
  std::string_view rest = question == text.npos ? std::string_view{} : text.substr(question + 1);
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest = end == rest.npos ? std::string_view{} : rest.substr(end + 1);
    const size_t equals = pair.find('=');
    const std::string_view name = pair.substr(0, equals);
    const auto* key = find(name, kKeys);
    if (!key) {
      // Behind a & that was not encoded stands a piece of the command, which may be a secret.
      const bool is_slip = distance(name.substr(0, 32), nearest(name, kKeys)) <= kSlip;
      if (spec.provider == Provider::kCommand && !is_slip) {
        return Error{
            "the token spec has a key that is not known; if it is a part of the command, write the & before it as "
            "%26"};
      }
      return Error{"the token spec has a key " + shortened(name) + ", which is not known; did you mean " +
                   quoted(nearest(name, kKeys)) + "?"};
    }
    if (equals == pair.npos || equals + 1 == pair.size()) {
      return Error{std::string(name) + "= in the token spec has no value"};
    }
    if (std::ranges::find(seen, name) != seen.end()) {
      return Error{std::string(name) + "= stands twice in the token spec"};
    }
    seen.push_back(name);
    if (!has_use_for(spec.provider, key->users)) {
      return Error{std::string(name) + "= in the token spec is of no use to the provider " +
                   quoted(provider_name.empty() ? "auto" : provider_name)};
    }
    auto value = percent_decode(pair.substr(equals + 1));
    if (!value || value->find('\0') != value->npos) {
      return Error{std::string(name) +
                   "= in the token spec is not percent-encoded as it should be: write % as %25, & as %26"};
    }
    if (auto error = set(spec, name, std::move(*value))) return *error;
  }
  if (spec.provider == Provider::kCommand && spec.command.command.empty()) {
    return Error{
        "the token spec asks for the provider \"command\" and names none; add the program that prints the token, as in "
        "pqmint:command?command=vault%20read%20-field=password%20database/static-creds/app"};
  }
  const CredentialWish& credentials = spec.credentials;
  if (credentials.role_arn.empty() && (!credentials.external_id.empty() || !credentials.role_session_name.empty())) {
    return Error{"external_id= and role_session_name= in the token spec are for a role; add role_arn="};
  }
  return spec;
}

}  // namespace pqmint
