// SPDX-License-Identifier: PostgreSQL
// An application with a secret: both come in, a token of Microsoft Entra goes out.

#include "net/entra/entra.h"

namespace pqmint {

Result<Fetched> fetch_client_secret(const Query& query) {
  std::vector<std::pair<std::string, Secret>> proof;
  proof.emplace_back("client_secret", Secret(query.settings["client_secret"]));
  return request_token(query, std::move(proof));
}

}  // namespace pqmint
