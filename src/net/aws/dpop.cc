// SPDX-License-Identifier: PostgreSQL
// Proof of possession (RFC 9449, spec/aws.md 4.8), signed by OpenSSL.

#include "net/aws/dpop.h"

#include <json/value.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include <memory>
#include <vector>

#include "net/digest.h"
#include "net/json.h"
#include "net/openssl.h"
#include "net/signed_jwt.h"

namespace pqmint {
namespace {

constexpr int kFieldBytes = 32;  // of P-256: coordinates, r and s

std::string_view as_text(const unsigned char* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

int no_passphrase(char*, int, int, void*) {
  return -1;  // else OpenSSL would ask at the terminal
}

Owned<EVP_PKEY> read_key(std::string_view pem) {
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Owned<EVP_PKEY> key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  char group[32];
  const bool is_p256 = key && EVP_PKEY_get_group_name(key.get(), group, sizeof group, nullptr) == 1 &&
                       strcmp(group, SN_X9_62_prime256v1) == 0;
  if (!is_p256) return nullptr;
  // The file holds the public half too, which OpenSSL takes as it stands: with a damaged one the refresh token would be
  // spent on a proof that nobody can verify.
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  return context && EVP_PKEY_pairwise_check(context.get()) == 1 ? std::move(key) : nullptr;
}

/// A coordinate of the public point; empty if OpenSSL fails.
std::string coordinate(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, name, &number);
  const Owned<BIGNUM> owned(number);
  unsigned char bytes[kFieldBytes];
  if (!owned || BN_bn2binpad(owned.get(), bytes, kFieldBytes) != kFieldBytes) return {};
  return base64url(as_text(bytes, sizeof bytes));
}

/// ES256: r and s one after the other, each filled up with zeroes from the left (RFC 7518, 3.4). OpenSSL has them as
/// DER, which drops the zeroes.
std::string es256(EVP_PKEY* key, std::string_view text) {
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = static_cast<size_t>(EVP_PKEY_get_size(key));
  std::vector<unsigned char> der(size);
  if (!context || EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, key, nullptr) != 1 ||
      EVP_DigestSign(context.get(), der.data(), &size, data, text.size()) != 1) {
    return {};
  }
  const unsigned char* at = der.data();
  const Owned<ECDSA_SIG> signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
  unsigned char raw[2 * kFieldBytes];
  if (!signature || BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw, kFieldBytes) != kFieldBytes ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), raw + kFieldBytes, kFieldBytes) != kFieldBytes) {
    return {};
  }
  return std::string(as_text(raw, sizeof raw));
}

}  // namespace

Result<Secret> dpop_proof(std::string_view pem, std::string_view method, std::string_view url, int64_t now) {
  const QuietErrors quiet;
  const Owned<EVP_PKEY> key = read_key(pem);
  if (!key) return Error{"the cached dpopKey is no private key on the curve P-256"};

  Json::Value header;
  header["typ"] = "dpop+jwt";
  header["alg"] = "ES256";
  header["jwk"]["kty"] = "EC";
  header["jwk"]["crv"] = "P-256";
  header["jwk"]["x"] = coordinate(key.get(), OSSL_PKEY_PARAM_EC_PUB_X);
  header["jwk"]["y"] = coordinate(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y);
  Json::Value payload;
  payload["htm"] = std::string(method);
  payload["htu"] = std::string(url);
  payload["iat"] = static_cast<Json::Int64>(now);
  payload["jti"] = random_uuid();

  Secret proof = signed_jwt(header, payload, [&](std::string_view text) { return es256(key.get(), text); });
  if (text_in(header["jwk"], "x").empty() || text_in(header["jwk"], "y").empty() || proof.empty()) {
    return Error{
        "OpenSSL could not sign with the cached dpopKey; is it restricted by its configuration (OPENSSL_CONF)?"};
  }
  return proof;
}

}  // namespace pqmint
