// SPDX-License-Identifier: PostgreSQL
// An application with a certificate: a PEM or PFX file comes in, an assertion is signed with its key, a token of
// Microsoft Entra goes out (spec/azure.md 2.8).

#include <json/value.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

#include "base/shown.h"
#include "net/digest.h"
#include "net/entra/entra.h"
#include "net/openssl.h"
#include "net/signed_jwt.h"
#include "net/token_file.h"

namespace pqmint {
namespace {

constexpr size_t kMaxFile = 1 << 20;
constexpr int64_t kAssertionLife = 600;  // s
constexpr int kLeastBits = 2048;

using Certificate = Owned<X509>;
using Key = Owned<EVP_PKEY>;
using Bio = Owned<BIO>;

/// What the file holds: the key, its own certificate first, the others as they stand.
struct Identity {
  Key key;
  std::vector<Certificate> chain;
};

Bio bio_of(std::string_view bytes) {
  return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

/// Never asks the terminal.
int give_password(char* room, int size, int, void* user) {
  const auto& password = *static_cast<const std::string_view*>(user);
  if (password.empty() || password.size() > static_cast<size_t>(size)) return -1;
  return static_cast<int>(password.copy(room, password.size()));
}

Identity read_pem(std::string_view bytes, std::string_view password) {
  Identity found;
  if (const Bio bio = bio_of(bytes)) {
    found.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, give_password, &password));
  }
  if (const Bio bio = bio_of(bytes)) {
    while (X509* each = PEM_read_bio_X509(bio.get(), nullptr, give_password, &password)) found.chain.emplace_back(each);
  }
  return found;
}

Identity read_pfx(std::string_view bytes, const Secret& password) {
  Identity found;
  const Bio bio = bio_of(bytes);
  const Owned<PKCS12> file(bio ? d2i_PKCS12_bio(bio.get(), nullptr) : nullptr);
  EVP_PKEY* key = nullptr;
  X509* leaf = nullptr;
  STACK_OF(X509)* others = nullptr;
  if (!file || PKCS12_parse(file.get(), password.c_str(), &key, &leaf, &others) != 1) return found;
  found.key.reset(key);
  if (leaf != nullptr) found.chain.emplace_back(leaf);
  for (int i = 0; others != nullptr && i < sk_X509_num(others); ++i) found.chain.emplace_back(sk_X509_value(others, i));
  sk_X509_free(others);
  return found;
}

bool looks_like_pem(std::string_view bytes) {
  return bytes.find("-----BEGIN ") != bytes.npos;
}

std::string der_of(X509* certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate, &bytes);
  if (size < 0) return {};
  std::string out(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return out;
}

Result<Identity> read_identity(const Settings& settings) {
  const std::string path(settings["certificate_path"]);
  const std::string shown_path = "AZURE_CLIENT_CERTIFICATE_PATH (" + shown(path, kShownPath) + ")";
  const auto bytes = read_small_file(path, kMaxFile);
  if (!bytes) return Error{bytes.error().text + "; check AZURE_CLIENT_CERTIFICATE_PATH"};
  const bool pem = looks_like_pem(bytes->reveal());
  const Secret password(settings["certificate_password"]);
  Identity found = pem ? read_pem(bytes->reveal(), password.reveal()) : read_pfx(bytes->reveal(), password);
  if (!found.key && !pem && ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_UNSUPPORTED) {
    return Error{shown_path +
                 " is encrypted in an old way (RC2) that OpenSSL 3 does not read; write it anew as PEM: openssl pkcs12 "
                 "-legacy -in FILE -out NEW.pem"};
  }
  if (!found.key) {
    return Error{shown_path + " has no private key that can be read" +
                 (password.empty() ? "; if it is encrypted, set AZURE_CLIENT_CERTIFICATE_PASSWORD"
                                   : "; is AZURE_CLIENT_CERTIFICATE_PASSWORD right?")};
  }
  if (EVP_PKEY_is_a(found.key.get(), "RSA") != 1 || EVP_PKEY_get_bits(found.key.get()) < kLeastBits) {
    return Error{shown_path + " has a key that Microsoft Entra does not take; it must be RSA with at least 2048 bits"};
  }
  const auto leaf = std::find_if(found.chain.begin(), found.chain.end(), [&](const Certificate& each) {
    return X509_check_private_key(each.get(), found.key.get()) == 1;
  });
  if (leaf == found.chain.end()) {
    return Error{shown_path + " has no certificate that belongs to its private key; put both into the file"};
  }
  std::rotate(found.chain.begin(), leaf, leaf + 1);
  return found;
}

/// PS256: RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt as long as the digest.
std::string sign_ps256(EVP_PKEY* key, std::string_view text) {
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* padding = nullptr;
  size_t size = static_cast<size_t>(EVP_PKEY_get_size(key));
  std::string out(size, '\0');
  const bool good = context && EVP_DigestSignInit(context.get(), &padding, EVP_sha256(), nullptr, key) == 1 &&
                    EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
                    EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST) == 1 &&
                    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                                   reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
  return good ? out.substr(0, size) : std::string();
}

}  // namespace

Result<Fetched> fetch_client_certificate(const Query& query) {
  const QuietErrors quiet;
  const auto identity = read_identity(query.settings);
  if (!identity) return identity.error();
  Json::Value header, payload;
  header["alg"] = "PS256";
  header["typ"] = "JWT";
  header["x5t#S256"] = base64url(digest("SHA256", der_of(identity->chain.front().get())));
  if (query.settings.is("send_certificate_chain")) {
    for (const Certificate& each : identity->chain) header["x5c"].append(base64(der_of(each.get())));
  }
  const std::string client(query.settings["client_id"]);
  const int64_t now = query.clock.now();
  payload["aud"] = tenant_url(query.settings, "token");
  payload["iss"] = client;
  payload["sub"] = client;
  payload["jti"] = random_uuid();
  payload["nbf"] = Json::Int64(now);
  payload["exp"] = Json::Int64(now + kAssertionLife);
  Secret assertion =
      signed_jwt(header, payload, [&](std::string_view text) { return sign_ps256(identity->key.get(), text); });
  if (assertion.empty()) return Error{"OpenSSL could not sign with the key of AZURE_CLIENT_CERTIFICATE_PATH"};

  std::vector<std::pair<std::string, Secret>> proof;
  proof.emplace_back("client_assertion", std::move(assertion));
  proof.emplace_back("client_assertion_type", Secret("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
  return request_token(query, std::move(proof));
}

}  // namespace pqmint
