// SPDX-License-Identifier: PostgreSQL
// What the services of AWS answer with, holding the temporary keys that the judge of test/server knows.
#pragma once

#include <string>

#include "http_server.h"

namespace pqmint::test {

inline constexpr char kRoleKeyId[] = "ASIAIOSFODNN7EXAMPLE";
inline constexpr char kRoleSecretKey[] = "tempSecretTempSecretTempSecretTempSecret";
inline constexpr char kRoleSessionToken[] = "FwoGZXIvYXdzEPT//////////wEaDO+token/with=chars==";

/// The time in so many seconds.
std::string utc(long seconds);

/// STS, of AssumeRole. The keys end in so many seconds, here and below.
Reply assumed_role(long life = 3600);

/// The document of a container, a metadata service or a process. They differ in the name of the session token.
std::string keys_document(const std::string& name_of_token, long life = 3600);

/// The portal of IAM Identity Center, of GetRoleCredentials.
Reply role_credentials(long life = 3600);

}  // namespace pqmint::test
