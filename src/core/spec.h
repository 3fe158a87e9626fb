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

struct TokenSpec {
  enum class Provider : uint8_t { kAuto, kRds, kDsql, kEntra, kCommand, kOff };

  Provider provider = Provider::kAuto;
  std::string endpoint_host;  // empty: sign for the host that is dialled
  int endpoint_port = 5432;   // as a missing port means in a conninfo
  std::string region;
  CredentialWish credentials;
  EntraWish entra;
  int64_t expires_in = 0;  // seconds; 0: the service's default
};

/// Reads a spec, "pqmint:" included. A provider or key that is not known is an error that names the nearest known one;
/// so is a key given twice, given without a value, or given to a provider that has no use for it.
Result<TokenSpec> parse_token_spec(std::string_view text);

}  // namespace pqmint
