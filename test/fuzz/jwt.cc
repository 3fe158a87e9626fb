// SPDX-License-Identifier: PostgreSQL
// Entra's tokens. What is taken can be a password, and what its claims lead to can be a user and stand in one line.
//
// Input: claims as JSON, which are put into a token; or, if it begins with '.', a token as it is behind that.

#include "net/digest.h"
#include "net/entra/entra.h"
#include "promise.h"

namespace pqmint::fuzz {

void jwt(std::string_view input) {
  const std::string token = input.starts_with('.') ? std::string(input.substr(1))
                                                   : "eyJhbGciOiJSUzI1NiJ9." + base64url(input) + ".c2lnbmF0dXJl";
  const auto found = entra_token(token, 2'000'000'000, 1'900'000'000);
  if (!found) {
    promise_sentence(found.error().text);
    PROMISE(token.size() < 80 || !has(found.error().text, token), token);
    return;
  }
  PROMISE(found->token.reveal() == token && token.size() <= 65'535, token);
  PROMISE(
      token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-") == token.npos,
      token);
  for (const char c : found->text) PROMISE(static_cast<unsigned char>(c) >= ' ' && c != '\x7f', found->text);
  for (const char c : found->identity) PROMISE(static_cast<unsigned char>(c) >= ' ' && c != '\x7f', found->identity);
  PROMISE(found->identity.size() < 160 && found->expires == 2'000'000'000, found->identity);
  if (!input.starts_with('.')) {
    PROMISE(base64url_decode(base64url(input)) == input, input);
    PROMISE(found->text.size() <= input.size(), input);
  }
}

}  // namespace pqmint::fuzz
