// SPDX-License-Identifier: PostgreSQL
// A cached private key, and what is signed with it. A proof is a JWT that the public key in it verifies and that says
// what it was asked to; any two texts survive in a JWT as they are.
//
// Input: the URL, a line end, and the key as PEM.

#include "net/aws/dpop.h"

#include "../fake/es256.h"
#include "net/digest.h"
#include "net/json.h"
#include "net/openssl.h"
#include "net/signed_jwt.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

bool verifies(const Json::Value& key, std::string_view text, std::string_view signature) {
  const auto made = test::p256_key(base64url_decode(text_in(key, "x")), base64url_decode(text_in(key, "y")));
  return test::es256_verifies(made, text, signature);
}

Document decoded(std::string_view part) {
  auto document = parse_json_object(base64url_decode(part));
  PROMISE(document, part);
  return std::move(*document);
}

}  // namespace

void dpop(std::string_view input) {
  const size_t end = std::min(input.find('\n'), input.size());
  const std::string_view url = input.substr(0, end), pem = input.substr(std::min(end + 1, input.size()));

  Json::Value one, other;
  one["a"] = std::string(url);
  other[std::string(url)] = std::string(pem);
  const Secret made = signed_jwt(one, other, [](std::string_view text) { return std::string(text.substr(0, 8)); });
  const auto halves = split(made.reveal(), ".");
  PROMISE(halves.size() == 3 && halves[2] == base64url(made.reveal().substr(0, 8)), made.reveal());
  PROMISE(decoded(halves[0]) == one, url);
  PROMISE(decoded(halves[1]) == other, input);

  const auto proof = dpop_proof(pem, "POST", url, 1'768'480'496);
  PROMISE(ERR_peek_error() == 0, "the host's queue of errors is as it was");
  if (!proof) {
    promise_sentence(proof.error().text);
    return;
  }
  const auto parts = split(proof->reveal(), ".");
  PROMISE(parts.size() == 3, proof->reveal());
  const Document header = decoded(parts[0]), payload = decoded(parts[1]);
  PROMISE(text_in(header, "alg") == "ES256" && text_in(payload, "htm") == "POST", parts[0]);
  PROMISE(text_in(payload, "htu") == url && number_in(payload, "iat") == 1'768'480'496, parts[1]);
  const std::string signature = base64url_decode(parts[2]);
  PROMISE(signature.size() == 64, parts[2]);
  const std::string_view text = proof->reveal().substr(0, parts[0].size() + 1 + parts[1].size());
  PROMISE(verifies(header["jwk"], text, signature), proof->reveal());
}

}  // namespace pqmint::fuzz
