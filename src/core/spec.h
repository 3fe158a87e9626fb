// SPDX-License-Identifier: PostgreSQL
// The token spec: what a user may say where libpq takes a password, read into its parts.
//
//     pqmint:[provider][?key=value&key=value...]      values percent-encoded
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/aws_chain.h"
#include "core/entra_chain.h"

namespace pqmint {

/// A program of the user's own that prints the token.
struct CommandWish {
  std::string command;   // as written; its words can be told apart
  std::string program;   // the first of them
  int64_t timeout = 0;   // seconds that it may take; 0: as long as the connection may wait
  int64_t lifetime = 0;  // seconds that its token is kept for; 0: it is run for each connection
};

/// A connection waits no longer than this for what must be fetched (core/abi.cc), so no command can be given more.
inline constexpr int64_t kMaxCommandTimeout = 60;
/// One day: who keeps a password for longer has a password, not a token.
inline constexpr int64_t kMaxCommandLifetime = 86400;

struct TokenSpec {
  enum class Provider : uint8_t { kAuto, kRds, kDsql, kEntra, kCommand, kOff };

  Provider provider = Provider::kAuto;
  std::string endpoint_host;  // empty: sign for the host that is dialled
  int endpoint_port = 5432;   // as a missing port means in a conninfo
  std::string region;
  CredentialWish credentials;
  EntraWish entra;
  CommandWish command;
  int64_t expires_in = 0;  // seconds; 0: the service's default
};

/// Whether it may be a host's name, or an address: bare, without scheme, user, port, path, blank or control character,
/// any of which would change what is signed.
bool is_bare_name(std::string_view text);

/// Reads a spec, "pqmint:" included. A provider or key that is not known is an error that names the nearest known one;
/// so is a key given twice, given without a value, or given to a provider that has no use for it.
Result<TokenSpec> parse_token_spec(std::string_view text);

}  // namespace pqmint
