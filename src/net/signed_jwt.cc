// SPDX-License-Identifier: PostgreSQL
// A JWT is as good as a password for as long as it lives, so it is put together where nothing of it stays behind.

#include "net/signed_jwt.h"

#include <string.h>

#include "net/digest.h"
#include "net/json.h"

namespace pqmint {

Secret signed_jwt(const Json::Value& header, const Json::Value& payload,
                  const std::function<std::string(std::string_view)>& sign) {
  const std::string first = base64url(to_json(header)), second = base64url(to_json(payload));
  std::string text;
  // The longest signature is one of RSA with 16384 bits, which OpenSSL takes at most.
  constexpr size_t kMostSignature = 2048 * 4 / 3 + 2;
  text.reserve(first.size() + second.size() + 2 + kMostSignature);
  text.append(first).append(".").append(second);
  const std::string signature = base64url(sign(text));
  if (!signature.empty()) text.append(".").append(signature);
  Secret out(signature.empty() ? std::string_view() : std::string_view(text));
  explicit_bzero(text.data(), text.size());
  return out;
}

}  // namespace pqmint
