// SPDX-License-Identifier: PostgreSQL
// The token: credentials and a target come in, the pre-signed SigV4 text that RDS and DSQL take as a password goes out.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/secret.h"
#include "core/credential.h"

namespace pqmint {

/// 900 s is both the default and the most that RDS accepts (X-Amz-Expires above it is rejected by the server).
inline constexpr int64_t kRdsTokenLife = 900;
inline constexpr int64_t kDsqlDefaultTokenLife = 900;
/// One week: the most that SigV4 lets a pre-signed request live.
inline constexpr int64_t kDsqlMaxTokenLife = 604800;

/// RDS: signed for `host:port` and one database user. `host` must be lower-case already; `port` is 1 to 65535;
/// `now` is seconds since the epoch. The text's order of parameters is botocore's. Empty only
/// if OpenSSL fails (out of memory, no SHA-256). Thread-safe.
Secret mint_rds_token(const Credentials& credentials, std::string_view host, int port, std::string_view user,
                      std::string_view region, int64_t now);

/// DSQL: signed for `host` alone, without port or user; `admin` chooses the action DbConnectAdmin.
/// `life` is in seconds, 1 to kDsqlMaxTokenLife. Empty as above. Thread-safe.
Secret mint_dsql_token(const Credentials& credentials, std::string_view host, bool admin, std::string_view region,
                       int64_t life, int64_t now);

}  // namespace pqmint
