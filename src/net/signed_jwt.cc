// SPDX-License-Identifier: PostgreSQL
// A JWT is as good as a password for as long as it lives. Without its signature it is worth nothing, so that and the
// whole are wiped.

#include "net/signed_jwt.h"

#include <string.h>

#include "net/digest.h"
#include "net/json.h"

namespace pqmint {

Secret signed_jwt(const Json::Value& header, const Json::Value& payload,
                  const std::function<std::string(std::string_view)>& sign) {
  const std::string first = base64url(to_json(header).reveal());
  const std::string second = base64url(to_json(payload).reveal());
  Secret jwt(first);
  std::string bytes = sign(jwt.append(".").append(second).reveal());
  std::string signature = base64url(bytes);
  explicit_bzero(bytes.data(), bytes.size());
  if (signature.empty()) return {};
  jwt.append(".").append(signature);
  explicit_bzero(signature.data(), signature.size());
  return jwt;
}

}  // namespace pqmint
