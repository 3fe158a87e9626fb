// SPDX-License-Identifier: PostgreSQL
// The token: credentials and a target come in, the pre-signed SigV4 text that RDS and DSQL take as
// a password goes out.

#include "core/token.h"

#include <string>

#include "base/percent.h"
#include "base/sigv4.h"

namespace pqmint {
namespace {

/// SHA-256 of nothing: the request that the token stands for has no body.
constexpr std::string_view kEmptyPayloadHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Room for what has no session token in it: names, date, expiry, signature, and an access key id, a scope and a user
/// of the usual length.
constexpr size_t kMostFixedText = 512;

/// What pre-signing needs to know, for either service.
struct Request {
  std::string_view signed_host;  // the Host header that is signed
  std::string_view shown_host;   // what the token begins with
  std::string_view action;       // "connect", "DbConnect", "DbConnectAdmin"
  const std::string_view* user;  // RDS alone names the database user
  int64_t life;
};

/// The order of the parameters is botocore's: the session token is signed before
/// X-Amz-SignedHeaders (names in byte order), but stands after it in the token.
Secret presign(const Request& request, const Credentials& credentials, const SigningScope& scope) {
  constexpr std::string_view kSignedHeaders = "&X-Amz-SignedHeaders=host";
  const std::string_view session_token = credentials.session_token.reveal();

  Secret token;
  // Of a session token, which is base64, few bytes are encoded.
  token.reserve(kMostFixedText + request.shown_host.size() + session_token.size() + session_token.size() / 8);

  token.append(request.shown_host).append("/?");
  const size_t query_at = token.size();
  token.append("Action=").append(request.action);
  if (request.user != nullptr) {
    token.append("&DBUser=");
    append_percent_encoded(token, *request.user);
  }
  token.append("&X-Amz-Algorithm=").append(kSigV4Algorithm).append("&X-Amz-Credential=");
  append_percent_encoded(token, credentials.access_key_id);
  token.append("%2F");
  append_percent_encoded(token, scope.text());
  token.append("&X-Amz-Date=").append(scope.time());
  token.append("&X-Amz-Expires=").append(std::to_string(request.life));
  const size_t query_end = token.size();
  token.append(kSignedHeaders);
  const size_t session_at = token.size();
  // An empty session token is none: botocore would send it, and the server would refuse it.
  if (!session_token.empty()) {
    token.append("&X-Amz-Security-Token=");
    append_percent_encoded(token, session_token);
  }

  const std::string_view text = token.reveal();
  const Secret signature =
      sign_request({"GET\n/\n", text.substr(query_at, query_end - query_at), text.substr(session_at), kSignedHeaders,
                    "\nhost:", request.signed_host, "\n\nhost\n", kEmptyPayloadHash},
                   scope, credentials.secret_access_key);
  if (signature.empty()) return {};
  token.append("&X-Amz-Signature=").append(signature.reveal());
  return token;
}

}  // namespace

Secret mint_rds_token(const Credentials& credentials, std::string_view host, int port, std::string_view user,
                      std::string_view region, int64_t now) {
  std::string address(host);
  address.append(":").append(std::to_string(port));
  // botocore leaves the default port of https out of the Host header, and so out of what is signed,
  // but not out of the text.
  const std::string_view signed_host = port == 443 ? host : std::string_view(address);
  return presign({signed_host, address, "connect", &user, kRdsTokenLife}, credentials,
                 SigningScope(now, region, "rds-db"));
}

Secret mint_dsql_token(const Credentials& credentials, std::string_view host, bool admin, std::string_view region,
                       int64_t life, int64_t now) {
  return presign({host, host, admin ? "DbConnectAdmin" : "DbConnect", nullptr, life}, credentials,
                 SigningScope(now, region, "dsql"));
}

}  // namespace pqmint
