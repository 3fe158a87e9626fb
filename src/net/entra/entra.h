// SPDX-License-Identifier: PostgreSQL
// What Microsoft Entra's sources have in common: scopes, the token endpoint, its errors, and what a token says of
// itself.
#pragma once

#include <json/value.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/http.h"
#include "net/source.h"

namespace pqmint {

/// Version 1 endpoints (managed identity, az) want the resource: the scope without exactly "/.default" at its end.
std::string resource_of(std::string_view scope);

/// One POST to the authority's token endpoint for the client-credentials grant, with retries as spec/azure.md 2.6 has
/// them [R]. `proof` is client_secret=..., or the two fields of a client assertion. `adapt`, if there is one, may
/// redirect the request, anew for each try (AKS identity bindings).
Result<Fetched> request_token(const Query& query, std::vector<std::pair<std::string, Secret>> proof,
                              const std::function<void(HttpRequest&)>& adapt = nullptr);

/// An endpoint of the tenant's: "token", to which request_token() posts, and which is the audience of a client
/// assertion; or "devicecode".
std::string tenant_url(const Settings& settings, const char* endpoint);

/// A token that a source got comes in with its life; Fetched goes out: the user name and the identity read from its
/// claims (spec/azure.md 1.4 [R]; the signature is not checked, it is our own token). An error if the token is none
/// that could be a password (characters, size).
Result<Fetched> entra_token(std::string_view token, int64_t expires, int64_t refresh_at);

/// How long a service wants to be left alone, by its Retry-After and Microsoft's variants of it; nothing if it does not
/// say. `now` is the servers' time.
std::optional<std::chrono::milliseconds> retry_after(const HttpResponse& response, int64_t now);

/// Whether the token of an answer may be used by who has it, as a password is; true if the answer does not say.
bool is_bearer(const Json::Value& answer);

/// expires_on or expires_in of an answer in any of the spellings of spec/azure.md 2.10, never before 1970; nothing if
/// neither is there.
std::optional<int64_t> token_expiry(const Json::Value& answer, int64_t now);

}  // namespace pqmint
