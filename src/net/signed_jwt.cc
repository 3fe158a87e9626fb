// SPDX-License-Identifier: PostgreSQL
// A JWT is as good as a password for as long as it lives, so it is put together where nothing of it stays behind.

#include "net/signed_jwt.h"

#include "net/digest.h"
#include "net/json.h"

namespace pqmint {

Secret signed_jwt(const Json::Value& header, const Json::Value& payload,
                  const std::function<std::string(std::string_view)>& sign) {
  const std::string first = base64url(to_json(header).reveal());
  const std::string second = base64url(to_json(payload).reveal());
  Secret jwt(first);
  const std::string signature = base64url(sign(jwt.append(".").append(second).reveal()));
  if (signature.empty()) return {};
  jwt.append(".").append(signature);
  return jwt;
}

}  // namespace pqmint
