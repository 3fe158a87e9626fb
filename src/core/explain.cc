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

struct Saying {
  std::string_view part;
  std::string_view meaning;
};
// What Azure's servers say (spec/azure.md 1.5), and what to do about it.
constexpr Saying kAzureSayings[] = {
    {"access token has expired",
     "the token was too old, though Entra had given it a longer life: this machine's clock is off, or the server's"},
    {"valid audience claim",
     "the token is for another cloud or product; put the resource that the server names, with /.default behind it, "
     "into "
     "the token spec: scope="},
    {"neither an AAD_AUTH_TOKENTYPE_APP_USER",
     "the role was made for a person (type user), and this is an application's token; make it with "
     "pgaadauth_create_principal_with_oid(..., 'service'), or log in as a person"},
    {"cannot generate AAD_AUTH_TOKENTYPE_APP_USER",
     "the role was made for an application (type service), and this is a person's token: another source came first; "
     "set AZURE_TOKEN_CREDENTIALS=prod, or client_id= in the token spec"},
    {"does not exist", "the server has no such role; make it with pgaadauth_create_principal, or correct user="},
    {"password authentication failed",
     "the role is not labelled with this token's oid: it is no Entra role, or it was made for another identity"},
    {"validating the access token", "the server could not read the token: was it cut off on the way, by a pooler?"},
};

std::string explain_entra(const Grant& grant, std::string_view user, std::string_view said) {
  std::string text = "the server refused a token of Microsoft Entra for user " + identifier(user) + " (" +
                     grant.identity + ", from " + grant.credential_source + ")";
  for (const auto& [part, meaning] : kAzureSayings) {
    if (said.find(part) != said.npos) return text.append(": ").append(meaning);
  }
  return text +
         "; likely causes: the role does not exist or is labelled with another oid (make it with "
         "pgaadauth_create_principal); the group that the role stands for does not have this member; this machine's "
         "clock is off by minutes";
}

std::string explain_signature(const Grant& grant, std::string_view user) {
  std::string keys = grant.identity + " (" + grant.credential_source;
  if (!grant.credential_name.empty()) keys += " " + grant.credential_name;
  return "the server refused a token that was signed for " + grant.endpoint + ", user " + identifier(user) +
         ", region " + grant.region + " (from " + grant.region_source + "), with the keys " + keys +
         "); likely causes: the secret key is wrong or was revoked; " +
         (grant.service == Service::kRds ? causes_at_rds(grant, user) : causes_at_dsql(user)) +
         "; this machine's clock is off by minutes";
}

std::string explain_command(const Grant& grant, std::string_view user) {
  return "the server refused the token that the command " + grant.credential_name + " printed for user " +
         identifier(user) +
         "; likely causes: it printed something else (run it by hand, with PQMINT_HOST, PQMINT_PORT, PQMINT_USER and "
         "PQMINT_DATABASE set); its token is for another user or server; it prints a token that it keeps, and that is "
         "too old";
}

}  // namespace

std::string explain_refusal(const Grant& grant, std::string_view user, std::string_view said) {
  if (grant.service == Service::kEntra) return explain_entra(grant, user, said);
  if (grant.service == Service::kCommand) return explain_command(grant, user);
  return explain_signature(grant, user);
}

}  // namespace pqmint
