// SPDX-License-Identifier: PostgreSQL
// AWS SigV4: a canonical request, a secret key and a scope come in, the signature goes out.
//
// Knows nothing of queries, headers or tokens, so that a pre-signed URL and an Authorization header
// are signed by the same code. Source: "Create a signed AWS API request", AWS IAM User Guide.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace pqmint {

inline constexpr std::string_view kSigV4Algorithm = "AWS4-HMAC-SHA256";

/// When and for what a signature counts. The day and the time come from one clock reading: across
/// midnight they would contradict each other otherwise.
class SigningScope {
 public:
  /// `now` is seconds since the epoch; `service` is the name in the credential scope ("rds-db",
  /// "dsql", "sts").
  SigningScope(int64_t now, std::string_view region, std::string_view service);

  std::string_view time() const { return {time_, 16}; }  // "20260115T123456Z"
  std::string_view day() const { return {time_, 8}; }    // "20260115"
  std::string_view text() const { return text_; }        // "20260115/eu-west-1/rds-db/aws4_request"
  std::string_view region() const { return region_; }
  std::string_view service() const { return service_; }

 private:
  char time_[17];
  std::string_view region_;   // borrowed
  std::string_view service_;  // borrowed
  std::string text_;
};

/// The signature, 64 lower-case hexadecimal digits, of the canonical request that the parts make up
/// when joined. It is empty only if OpenSSL fails (out of memory, or no SHA-256). The key derived
/// from `secret` is kept for the scope's day. Thread-safe.
Secret sign_request(std::initializer_list<std::string_view> canonical_request, const SigningScope& scope,
                    const Secret& secret);

}  // namespace pqmint
