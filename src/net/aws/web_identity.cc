// SPDX-License-Identifier: PostgreSQL
// AssumeRoleWithWebIdentity: a token file that somebody else keeps fresh comes in, a role's temporary keys go out.

#include "net/aws/service.h"
#include "net/aws/sts.h"
#include "net/token_file.h"

namespace pqmint {

Result<Fetched> fetch_web_identity(const Query& query) {
  // STS takes 20,000 characters.
  constexpr size_t kMaxToken = 20'000;
  const auto token = read_token_file(std::string(query.settings["web_identity_token_file"]), kMaxToken);
  if (!token) {
    return Error{asker(query.settings) + "web identity: " + token.error().text +
                 "; check AWS_WEB_IDENTITY_TOKEN_FILE (or web_identity_token_file in the profile)"};
  }
  StsForm form("AssumeRoleWithWebIdentity");
  form.add_role(query).add("WebIdentityToken", token->reveal());
  Query unsigned_query = query;  // the token is the proof
  unsigned_query.signer = nullptr;
  return ask_sts(form, unsigned_query, token->reveal());
}

}  // namespace pqmint
