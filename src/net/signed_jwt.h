// SPDX-License-Identifier: PostgreSQL
// What proves who asks (RFC 7515): a header, a payload and a signer come in; the JWT that they make goes out.
#pragma once

#include <json/value.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace pqmint {

/// `sign` is given "header.payload", both in base64url, and gives the signature's bytes; empty: it failed, and so did
/// this.
Secret signed_jwt(const Json::Value& header, const Json::Value& payload,
                  const std::function<std::string(std::string_view)>& sign);

}  // namespace pqmint
