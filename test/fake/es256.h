// SPDX-License-Identifier: PostgreSQL
// ES256 (RFC 7518, 3.4) as who receives a proof checks it.
#pragma once

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <memory>
#include <string>
#include <string_view>

namespace pqmint::test {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

/// The public key on P-256 with these coordinates, of 32 bytes each; null if there is none.
inline Key p256_key(const std::string& x, const std::string& y) {
  std::string point = "\x04" + x + y;
  char group[] = "P-256";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end(),
  };
  EVP_PKEY* key = nullptr;
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr);
  const bool made =
      EVP_PKEY_fromdata_init(context) == 1 && EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) == 1;
  EVP_PKEY_CTX_free(context);
  return {made ? key : nullptr, EVP_PKEY_free};
}

/// Whether `signature`, the two numbers of 32 bytes, is that of `text`. Leaves no error in OpenSSL's queue.
inline bool es256_verifies(const Key& key, std::string_view text, std::string_view signature) {
  const auto bytes_of = [](std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); };
  if (!key || signature.size() != 64) return false;
  ECDSA_SIG* pair = ECDSA_SIG_new();
  ECDSA_SIG_set0(pair, BN_bin2bn(bytes_of(signature), 32, nullptr), BN_bin2bn(bytes_of(signature) + 32, 32, nullptr));
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(pair, &der);
  ECDSA_SIG_free(pair);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const bool good = EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
                    EVP_DigestVerify(context, der, static_cast<size_t>(size), bytes_of(text), text.size()) == 1;
  EVP_MD_CTX_free(context);
  OPENSSL_free(der);
  ERR_clear_error();
  return good;
}

}  // namespace pqmint::test
