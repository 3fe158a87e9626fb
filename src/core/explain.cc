// SPDX-License-Identifier: PostgreSQL
// A grant whose token was refused comes in, a sentence goes out.

#include "core/explain.h"

namespace pqmint {
namespace {

// As SQL would want the name: in double quotes, those within it doubled.
std::string identifier(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    out += c;
    if (c == '"') out += c;
  }
  return out + "\"";
}

std::string causes_at_rds(const Grant& grant, std::string_view user) {
  return "the role lacks rds_iam (GRANT rds_iam TO " + identifier(user) +
         "); the keys may not rds-db:connect (allow it on arn:aws:rds-db:" + grant.region +
         ":ACCOUNT:dbuser:RESOURCE-ID/" + std::string(user) + ")";
}

std::string causes_at_dsql(std::string_view user) {
  if (user == "admin") return "the keys may not dsql:DbConnectAdmin on this cluster";
  return "the keys may not dsql:DbConnect on this cluster; the role is not theirs (as admin: AWS IAM GRANT " +
         identifier(user) + " TO 'arn:aws:iam::ACCOUNT:role/NAME')";
}

}  // namespace

std::string explain_refusal(const Grant& grant, std::string_view user) {
  std::string keys = grant.identity + " (" + grant.credential_source;
  if (!grant.credential_name.empty()) keys += " " + grant.credential_name;
  return "the server refused a token that was signed for " + grant.endpoint + ", user " + identifier(user) +
         ", region " + grant.region + " (from " + grant.region_source + "), with the keys " + keys +
         "); likely causes: the secret key is wrong or was revoked; " +
         (grant.service == Service::kRds ? causes_at_rds(grant, user) : causes_at_dsql(user)) +
         "; this machine's clock is off by minutes";
}

}  // namespace pqmint
