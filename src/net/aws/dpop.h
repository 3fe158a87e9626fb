// SPDX-License-Identifier: PostgreSQL
// Proof of possession (DPoP, RFC 9449): a private key and a request come in; the JWT that shows that whoever sends the
// request has the key goes out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace pqmint {

/// `pem` is a P-256 private key, SEC1 or PKCS#8, not encrypted; `url` the whole URL; `now` seconds since the epoch.
/// Each proof has an identifier of its own, so a request that is sent again needs a new one. Thread-safe; leaves the
/// caller's OpenSSL error queue as it was.
Result<Secret> dpop_proof(std::string_view pem, std::string_view method, std::string_view url, int64_t now);

}  // namespace pqmint
