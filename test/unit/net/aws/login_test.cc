// SPDX-License-Identifier: PostgreSQL
// `aws login`: the keys in the CLI's cache, their refresh, and the proof that goes with it, which is verified here with
// the public key alone. Facts: spec/aws.md 4.8, botocore's LoginCredentialFetcher, RFC 9449.

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <memory>
#include <set>

#include "es256.h"
#include "net/aws/dpop.h"
#include "net/aws/session_fixture.h"
#include "net/digest.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::ahead;
using test::closed_port;
using test::contains;
using test::Heard;
using test::HttpServer;
using test::Key;
using test::Reply;
using test::Unprivileged;
using Manner = Reply::Manner;

constexpr int kFresh = 10 * 60;
constexpr int kInWindow = 4 * 60;
constexpr const char* kRemedy = "; run: aws login --profile dev";

// ------------------------------------------------------------------------------------------------- keys and proofs

Key new_key(const char* group = "P-256") {
  return {EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", group), EVP_PKEY_free};
}

/// "BEGIN EC PRIVATE KEY" (SEC1) as the CLI has it, or PKCS#8; encrypted if there is a passphrase.
std::string pem_of(const Key& key, bool sec1 = true, const char* passphrase = nullptr) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  const auto* cipher = passphrase != nullptr ? EVP_aes_128_cbc() : nullptr;
  auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(passphrase));
  const int length = passphrase != nullptr ? static_cast<int>(strlen(passphrase)) : 0;
  if (sec1) {
    PEM_write_bio_PrivateKey_traditional(bio.get(), key.get(), cipher, bytes, length, nullptr, nullptr);
  } else {
    PEM_write_bio_PrivateKey(bio.get(), key.get(), cipher, bytes, length, nullptr, nullptr);
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

struct Proof {
  Json::Value header, payload;
  std::string signed_text, signature;
};

Proof split(const std::string& jwt) {
  const size_t first = jwt.find('.');
  const size_t second = jwt.find('.', first + 1);
  EXPECT_EQ(jwt.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."), jwt.npos);
  Proof proof;
  proof.signed_text = jwt.substr(0, second);
  proof.header = parse_json_object(base64url_decode(jwt.substr(0, first))).value_or(Json::Value());
  proof.payload =
      parse_json_object(base64url_decode(jwt.substr(first + 1, second - first - 1))).value_or(Json::Value());
  proof.signature = base64url_decode(jwt.substr(second + 1));
  return proof;
}

Proof split(const Secret& jwt) {
  return split(std::string(jwt.reveal()));
}

/// The public key that the proof itself names.
Key public_key(const Json::Value& jwk) {
  const std::string x = base64url_decode(jwk["x"].asString());
  const std::string y = base64url_decode(jwk["y"].asString());
  EXPECT_EQ(x.size(), 32u);
  EXPECT_EQ(y.size(), 32u);
  Key key = test::p256_key(x, y);
  EXPECT_TRUE(key);
  return key;
}

bool verifies(const Proof& proof) {
  if (proof.signature.size() != 64) return false;
  return test::es256_verifies(public_key(proof.header["jwk"]), proof.signed_text, proof.signature);
}

bool is_same_public_key(const Json::Value& jwk, const Key& key) {
  return EVP_PKEY_eq(public_key(jwk).get(), key.get()) == 1;
}

TEST(Dpop, IsAJwtThatThePublicKeyVerifies) {
  for (const bool sec1 : {true, false}) {
    const Key key = new_key();
    const std::string pem = pem_of(key, sec1);
    ASSERT_TRUE(contains(pem, sec1 ? "BEGIN EC PRIVATE KEY" : "BEGIN PRIVATE KEY"));
    const auto jwt = dpop_proof(pem, "POST", "https://eu-west-1.signin.aws.amazon.com/v1/token", 1768480496);
    ASSERT_TRUE(jwt) << jwt.error().text;
    Proof proof = split(*jwt);
    EXPECT_TRUE(verifies(proof));
    EXPECT_TRUE(is_same_public_key(proof.header["jwk"], key));
    EXPECT_EQ(proof.header["typ"], "dpop+jwt");
    EXPECT_EQ(proof.header["alg"], "ES256");
    EXPECT_EQ(proof.header["jwk"]["kty"], "EC");
    EXPECT_EQ(proof.header["jwk"]["crv"], "P-256");
    EXPECT_EQ(proof.header.size(), 3u);
    EXPECT_EQ(proof.header["jwk"].size(), 4u) << "above all not the private d";
    EXPECT_EQ(proof.payload["htm"], "POST");
    EXPECT_EQ(proof.payload["htu"], "https://eu-west-1.signin.aws.amazon.com/v1/token");
    EXPECT_TRUE(proof.payload["iat"].isInt64());
    EXPECT_EQ(proof.payload["iat"], 1768480496);
    EXPECT_EQ(proof.payload.size(), 4u);
    proof.signed_text.back() = proof.signed_text.back() == 'A' ? 'B' : 'A';
    EXPECT_FALSE(verifies(proof)) << "this test can fail";
  }
}

TEST(Dpop, ShortNumbersAreFilledUp) {
  // One r or s in 128 begins with a zero, which DER leaves out.
  const std::string pem = pem_of(new_key());
  int short_ones = 0;
  std::set<std::string> ids;
  for (int i = 0; i < 1500; ++i) {
    const auto jwt = dpop_proof(pem, "POST", "https://x/v1/token", i);
    ASSERT_TRUE(jwt);
    const Proof proof = split(*jwt);
    ASSERT_TRUE(verifies(proof)) << i;
    short_ones += proof.signature[0] == '\0' || proof.signature[32] == '\0';
    ids.insert(proof.payload["jti"].asString());
  }
  EXPECT_GT(short_ones, 0);
  EXPECT_EQ(ids.size(), 1500u);
  for (const std::string& id : ids) {
    ASSERT_EQ(id.size(), 36u);
    EXPECT_EQ(id[14], '4') << id;
    EXPECT_TRUE(contains("89ab", id.substr(19, 1))) << id;
  }
}

TEST(Dpop, ShortCoordinatesAreFilledUp) {
  for (const char* name : {OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y}) {
    Key key = new_key();
    for (bool is_short = false; !is_short;) {
      key = new_key();
      BIGNUM* number = nullptr;
      ASSERT_EQ(EVP_PKEY_get_bn_param(key.get(), name, &number), 1);
      is_short = BN_num_bytes(number) < 32;
      BN_free(number);
    }
    const Proof proof = split(*dpop_proof(pem_of(key), "POST", "https://x/", 1));
    EXPECT_TRUE(verifies(proof));
    EXPECT_TRUE(is_same_public_key(proof.header["jwk"], key));
  }
}

TEST(Dpop, ASec1KeyMayLackItsPublicHalf) {
  const Key key = new_key();
  EVP_PKEY_set_int_param(key.get(), OSSL_PKEY_PARAM_EC_INCLUDE_PUBLIC, 0);
  const std::string pem = pem_of(key);
  ASSERT_LT(pem.size(), pem_of(new_key()).size());
  const auto jwt = dpop_proof(pem, "POST", "https://x/", 1);
  ASSERT_TRUE(jwt) << jwt.error().text;
  EXPECT_TRUE(verifies(split(*jwt)));
  EXPECT_TRUE(is_same_public_key(split(*jwt).header["jwk"], key));
}

TEST(Dpop, AnythingElseIsNoKey) {
  const Key rsa(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{1024}), EVP_PKEY_free);
  const std::string good = pem_of(new_key());
  for (const std::string& pem : {std::string(), std::string("s3cret"), good.substr(0, good.size() / 2),
                                 pem_of(new_key("P-384")), pem_of(new_key("secp256k1")), pem_of(rsa, false),
                                 pem_of(new_key(), true, "s3cret"), pem_of(new_key(), false, "s3cret")}) {
    const auto jwt = dpop_proof(pem, "POST", "https://x/", 1);
    ASSERT_FALSE(jwt) << pem;
    EXPECT_TRUE(contains(jwt.error().text, "dpopKey is no private key on the curve P-256")) << jwt.error().text;
    EXPECT_FALSE(contains(jwt.error().text, "s3cret"));
  }
}

TEST(Dpop, LeavesTheHostsOpensslErrorsAlone) {
  ERR_clear_error();
  EXPECT_FALSE(dpop_proof("rubbish", "POST", "https://x/", 1));
  EXPECT_EQ(ERR_peek_error(), 0u) << "libpq would take it for its own";
  ERR_raise(ERR_LIB_USER, 7);
  EXPECT_FALSE(dpop_proof("rubbish", "POST", "https://x/", 1));
  EXPECT_TRUE(dpop_proof(pem_of(new_key()), "POST", "https://x/", 1));
  EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), 7);
  EXPECT_EQ(ERR_peek_error(), 0u);
}

// ------------------------------------------------------------------------------------------------------ the session

class Login : public test::SessionFixture {
 protected:
  static constexpr const char* kSession = "arn:aws:sts::012345678901:assumed-role/Admin/größe";

  // sha256 of kSession
  Login() : SessionFixture("login/cache", "b2608846fd35d942e2c6b4c5e4ed2433bb3d390e84ae6b8a88692d025480400a") {
    setting("region", "eu-west-1");
    setting("login_session", kSession);
    save(token(kFresh));
    refreshed_.body =
        R"({"accessToken":{"accessKeyId":"ASIANEW","secretAccessKey":"s3cret-new","sessionToken":"s3cret-new"},)"
        R"("tokenType":"aws_sigv4","expiresIn":900,"refreshToken":"s3cret-rotated"})";
  }

  Json::Value token(int life) const {
    Json::Value token;
    token["accessToken"]["accessKeyId"] = "ASIAOLD";
    token["accessToken"]["secretAccessKey"] = "s3cret-old";
    token["accessToken"]["sessionToken"] = "s3cret-old-session";
    token["accessToken"]["accountId"] = "012345678901";
    token["accessToken"]["expiresAt"] = ahead(life);
    token["tokenType"] = "aws_sigv4";
    token["clientId"] = "arn:aws:signin:::devtools/same-device";
    token["refreshToken"] = "s3cret-refresh";
    token["idToken"] = "s3cret-id";
    token["dpopKey"] = pem_;
    return token;
  }

  std::string fetch_from(const std::string& url, milliseconds time = milliseconds(5000)) {
    setting("endpoint_url_signin", url);
    return told(fetch_login(query(time)));
  }

  Reply answer(const Heard&) {
    if (on_refresh_) on_refresh_();
    return refreshed_;
  }

  std::string fetch(milliseconds time = milliseconds(5000)) {
    HttpServer server([this](const Heard& heard) { return answer(heard); });
    url_ = server.url();
    const std::string said = fetch_from(url_, time);
    heard_ = server.heard();
    return said;
  }

  static Reply denied(int status, const std::string& error) {
    return {status,
            R"({"error":")" + error + R"(","message":"denied"})",
            {{"x-amzn-ErrorType", "AccessDeniedException"}, {"Content-Type", "application/json"}}};
  }

  const Key key_ = new_key();
  const std::string pem_ = pem_of(key_);
  Reply refreshed_;
  std::function<void()> on_refresh_;
  std::string url_;
  std::vector<Heard> heard_;
};

TEST_F(Login, KeysWithTimeLeftAreUsedAsTheyAre) {
  save(token(6 * 60));
  setting("region", "");
  EXPECT_EQ(fetch(), "ASIAOLD");
  EXPECT_TRUE(heard_.empty());
  EXPECT_NEAR(static_cast<double>(expires_), static_cast<double>(time(nullptr) + 6 * 60), 3);
}

TEST_F(Login, TheFilesTimesAreThisMachines) {
  clock_.skew = 2 * 3600;  // the servers are ahead; who wrote the file did not know
  EXPECT_EQ(fetch(), "ASIAOLD");
  EXPECT_TRUE(heard_.empty());
  EXPECT_NEAR(static_cast<double>(expires_), static_cast<double>(clock_.now() + kFresh), 3);
}

TEST_F(Login, BelowFiveMinutesTheyAreRefreshed) {
  save(token(kInWindow));
  EXPECT_EQ(fetch(), "ASIANEW");
  EXPECT_NEAR(static_cast<double>(expires_), static_cast<double>(time(nullptr) + 900), 3);
  ASSERT_EQ(heard_.size(), 1u);
  const Heard& heard = heard_[0];
  Json::Value body;
  body["clientId"] = "arn:aws:signin:::devtools/same-device";
  body["grantType"] = "refresh_token";
  body["refreshToken"] = "s3cret-refresh";
  expect_posted(heard, "/v1/token", body);

  const Proof proof = split(heard.headers.at("dpop"));
  EXPECT_TRUE(verifies(proof));
  EXPECT_TRUE(is_same_public_key(proof.header["jwk"], key_));
  EXPECT_EQ(proof.payload["htm"], "POST");
  EXPECT_EQ(proof.payload["htu"], url_ + "/v1/token") << "the whole URL";
  EXPECT_NEAR(proof.payload["iat"].asDouble(), static_cast<double>(time(nullptr)), 3);
}

TEST_F(Login, TheProofHasTheServersTime) {
  save(token(-1));
  clock_.skew = -3600;
  EXPECT_EQ(fetch(), "ASIANEW");
  const Proof proof = split(heard_.at(0).headers.at("dpop"));
  EXPECT_NEAR(proof.payload["iat"].asDouble(), static_cast<double>(time(nullptr) - 3600), 3);
}

TEST_F(Login, EachTryHasAProofOfItsOwn) {
  save(token(-1));
  setting("max_attempts", "2");
  const Reply good = refreshed_;
  refreshed_ = {503, ""};
  int asked = 0;
  on_refresh_ = [&] {
    if (++asked == 2) refreshed_ = good;
  };
  EXPECT_EQ(fetch(), "ASIANEW");
  ASSERT_EQ(heard_.size(), 2u);
  const Proof first = split(heard_[0].headers.at("dpop"));
  const Proof second = split(heard_[1].headers.at("dpop"));
  EXPECT_TRUE(verifies(first));
  EXPECT_TRUE(verifies(second));
  EXPECT_NE(first.payload["jti"], second.payload["jti"]);
}

TEST_F(Login, ARewriteKeepsWhatItDoesNotKnow) {
  Json::Value old = token(kInWindow);
  old["accessToken"]["more"] = 7;
  old["x"]["größe"].append(Json::Int64(1768500000000));
  save(old);
  chmod(path_.c_str(), 0644);
  EXPECT_EQ(fetch(), "ASIANEW");
  Json::Value now = saved();
  EXPECT_EQ(now["accessToken"]["accessKeyId"], "ASIANEW");
  EXPECT_EQ(now["accessToken"]["secretAccessKey"], "s3cret-new");
  EXPECT_EQ(now["accessToken"]["sessionToken"], "s3cret-new");
  EXPECT_EQ(now["accessToken"]["accountId"], "012345678901");
  EXPECT_EQ(now["refreshToken"], "s3cret-rotated");
  EXPECT_FALSE(now.isMember("expiresIn"));
  const auto expires = parse_instant(now["accessToken"]["expiresAt"].asString());
  ASSERT_TRUE(expires);
  EXPECT_NEAR(static_cast<double>(*expires), static_cast<double>(time(nullptr) + 900), 3);
  for (const char* field : {"accessKeyId", "secretAccessKey", "sessionToken", "expiresAt"}) {
    now["accessToken"][field] = old["accessToken"][field];
  }
  now["refreshToken"] = old["refreshToken"];
  EXPECT_EQ(now, old);
  EXPECT_EQ(mode(), 0600u);
  EXPECT_EQ(files(), 1);
  EXPECT_EQ(fetch(), "ASIANEW") << "from the file that we wrote";
  EXPECT_TRUE(heard_.empty());
}

TEST_F(Login, NoFileIsNoLogin) {
  std::filesystem::remove(path_);
  const std::string said = fetch();
  EXPECT_TRUE(
      contains(said, std::string("Error loading login session token: Unable to load a existing login session for "
                                 "session ") +
                         kSession + ". Please reauthenticate with 'aws login'"))
      << said;
  EXPECT_TRUE(said.ends_with(kRemedy)) << said;
  std::ofstream(path_) << "{ s3cret";
  EXPECT_TRUE(contains(fetch(), "Unable to load a existing login session"));
  std::filesystem::remove_all(home + "/.aws");
  EXPECT_TRUE(contains(fetch(), "Unable to load a existing login session"));
  EXPECT_FALSE(std::filesystem::exists(home + "/.aws"));
}

TEST_F(Login, AFileThatLacksSomething) {
  const auto says = [&](const Json::Value& object, const std::string& missing) {
    save(object);
    const std::string said = fetch();
    EXPECT_TRUE(contains(said,
                         "Error loading login session token: Failed to load access token from token cache, missing "
                         "required fields: " +
                             missing + " (in "))
        << said;
    EXPECT_TRUE(said.ends_with(kRemedy)) << said;
    EXPECT_TRUE(heard_.empty());
  };
  for (const char* field : {"accessToken", "refreshToken", "dpopKey", "clientId"}) {
    Json::Value object = token(kFresh);
    object.removeMember(field);
    says(object, field);
    object[field] = 7;
    says(object, field);
  }
  for (const char* field : {"accessKeyId", "secretAccessKey", "sessionToken", "expiresAt"}) {
    Json::Value object = token(kFresh);
    object["accessToken"].removeMember(field);
    says(object, field);
  }
  says(Json::Value(Json::objectValue), "accessToken, refreshToken, dpopKey, clientId");
}

TEST_F(Login, AFailedRefreshCostsNothingWhileTheKeysLive) {
  const auto survives = [&](Reply reply, milliseconds time = milliseconds(5000)) {
    save(token(kInWindow));
    const Json::Value before = saved();
    refreshed_ = std::move(reply);
    EXPECT_EQ(fetch(time), "ASIAOLD");
    EXPECT_EQ(heard_.size(), 1u);
    EXPECT_EQ(saved(), before);
  };
  const std::string body = refreshed_.body;
  survives(denied(401, "TOKEN_EXPIRED"));
  survives({500, ""});
  survives({200, "<html>"});
  survives({200, "{}"});
  survives({200, R"({"accessToken":"s3cret","expiresIn":900,"refreshToken":"r"})"});
  survives({200, R"({"accessToken":{"accessKeyId":"A","secretAccessKey":"s"},"expiresIn":900,"refreshToken":"r"})"});
  survives({200, R"({"accessToken":{"accessKeyId":"A","secretAccessKey":"s","sessionToken":"t"},"expiresIn":-1})"});
  survives({200, body, {}, Manner::kTruncated});
  survives({200, body, {}, Manner::kNotHttp});
  survives({200, body, {}, Manner::kSilent}, milliseconds(400));
}

TEST_F(Login, DeadKeysThatCannotBeRefreshedNeedALogin) {
  save(token(-1));
  const Json::Value before = saved();
  const auto says = [&](Reply reply, const std::string& why, milliseconds time = milliseconds(5000)) {
    refreshed_ = std::move(reply);
    const std::string said = fetch(time);
    EXPECT_TRUE(contains(said, "the keys of the login session have expired and cannot be refreshed: " + why)) << said;
    EXPECT_TRUE(said.ends_with(kRemedy)) << said;
    EXPECT_EQ(saved(), before);
  };
  for (const int status : {400, 401, 403}) {
    says(denied(status, "TOKEN_EXPIRED"),
         "Your session has expired or credentials have changed. Please reauthenticate using 'aws login';");
    says(denied(status, "USER_CREDENTIALS_CHANGED"),
         "Your session has expired or credentials have changed. Please reauthenticate using 'aws login' with your new "
         "password");
    says(denied(status, "INSUFFICIENT_PERMISSIONS"),
         "Unable to create or refresh login credentials due to insufficient permissions. You may be missing permission "
         "for the 'signin:CreateOAuth2Token' action");
    says(denied(status, "SOMETHING_ELSE"),
         "An error occurred (AccessDeniedException) when calling the CreateOAuth2Token operation: denied");
  }
  says({502, "<html>s3cret</html>", {{"Content-Type", "text/html"}}},
       "CreateOAuth2Token: the service answered with status 502, text/html, 19 bytes");
  says({200, R"({"accessToken":"s3cret"})"}, "CreateOAuth2Token: the answer holds no credentials (status 200,");
  says({200, refreshed_.body, {}, Manner::kDropped}, "cannot reach http://127.0.0.1");
  says({200, refreshed_.body, {}, Manner::kSilent}, "cannot reach http://127.0.0.1", milliseconds(200));
  EXPECT_TRUE(contains(fetch_from("http://127.0.0.1:" + std::to_string(closed_port())), "/v1/token: "));
}

TEST_F(Login, DeadKeysWithoutAKeyOrARegion) {
  Json::Value object = token(-1);
  object["dpopKey"] = "s3cret";
  save(object);
  EXPECT_TRUE(contains(fetch(), "the cached dpopKey is no private key on the curve P-256; run: aws login"));
  EXPECT_TRUE(heard_.empty());
  save(token(-1));
  setting("region", "");
  EXPECT_TRUE(contains(fetch(), "no region for the signin service"));
}

TEST_F(Login, AnAnswerInPiecesIsWhole) {
  save(token(-1));
  refreshed_.manner = Manner::kInPieces;
  EXPECT_EQ(fetch(), "ASIANEW");
}

TEST_F(Login, OneProcessRefreshesForAll) {
  save(token(-1));
  refreshed_.delay = milliseconds(150);
  const int good = processes(
      5, "ASIANEW", [&](const std::string& url) { return fetch_from(url); },
      [this](const Heard& heard) { return answer(heard); },
      [](const HttpServer& server) { EXPECT_EQ(server.count(), 1u); });
  EXPECT_EQ(good, 5);
  EXPECT_EQ(saved()["refreshToken"], "s3cret-rotated");
  EXPECT_EQ(files(), 1);
}

TEST_F(Login, WhatTheCliHasRefreshedMeanwhileIsTaken) {
  refreshed_ = denied(401, "TOKEN_EXPIRED");
  on_refresh_ = [&] {
    Json::Value theirs = token(kFresh);
    theirs["accessToken"]["accessKeyId"] = "ASIATHEIRS";
    save(theirs);
  };
  for (const int life : {kInWindow, -1}) {
    save(token(life));
    EXPECT_EQ(fetch(), "ASIATHEIRS");
    EXPECT_EQ(heard_.size(), 1u);
  }
}

TEST_F(Login, ARefreshThatCannotBeSaved) {
  save(token(kInWindow));
  forbid_writing();
  {
    const Unprivileged nobody;
    EXPECT_EQ(fetch(), "ASIAOLD");
    EXPECT_TRUE(heard_.empty()) << "the refresh token is not spent without need";
  }
  save(token(-1));
  const Unprivileged nobody;
  const Json::Value before = saved();
  EXPECT_EQ(fetch(), "ASIANEW");
  EXPECT_EQ(saved(), before);
}

}  // namespace
}  // namespace pqmint
