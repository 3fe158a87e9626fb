// SPDX-License-Identifier: PostgreSQL
// The transport floor: a token travels inside verified TLS, or the user has said otherwise, or not at all.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/endpoint.h"
#include "base/result.h"

namespace pqmint {

/// What libpq is to be told; nothing means that the user's own setting stands.
struct TlsPlan {
  std::optional<std::string> sslmode;
  std::optional<std::string> sslrootcert;
};

/// What the floor needs to know of a connection.
struct TlsWish {
  std::string_view sslmode;      // libpq's effective value
  std::string_view sslrootcert;  // empty: the user names none
  int libpq_version = 0;
  /// Whose certificate authority will be asked for: the private one of RDS, or those that the system trusts.
  enum class Authority { kRds, kPublic } authority = Authority::kPublic;
  std::string_view region;      // tells the partition, for the download command
  std::string_view gssencmode;  // libpq's effective value
};

/// RDS has a private authority. DSQL has public certificates, and so has RDS Proxy (AWS Certificate Manager). Where a
/// command makes the token, the name of the host tells.
TlsWish::Authority authority_of(Service service, HostKind kind);

/// What takes the place of an sslmode that lets go of TLS; nothing for one that does not.
std::optional<std::string> raised_sslmode(std::string_view sslmode);

/// Why no token may travel as the user wants it, known before anything is fetched: without TLS, or inside of Kerberos'
/// encryption, which would take its place. Null: it may.
const char* forbidden(std::string_view sslmode, std::string_view gssencmode);

/// What is forbidden() is refused; `allow` and `prefer` become verify-full; the rest is the user's choice. Where
/// verification needs roots and the user names none: ~/.postgresql/root.crt, else those of the service. An error names
/// where they were looked for and the one command that brings them.
Result<TlsPlan> plan_tls(const TlsWish& wish);

}  // namespace pqmint
