// SPDX-License-Identifier: PostgreSQL
// Microsoft Entra's token endpoint: requests as the official SDK makes them, assertions, refusals, and what a token
// says of itself.

#include "net/entra.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/percent.h"
#include "net/digest.h"
#include "net/json.h"
#include "source_fixture.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::closed_port;
using test::contains;
using test::Heard;
using test::HttpServer;
using test::Reply;
using Manner = Reply::Manner;

constexpr char kTenant[] = "11111111-2222-3333-4444-555555555555";
constexpr char kClient[] = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
constexpr char kScope[] = "https://ossrdbms-aad.database.windows.net/.default";

std::string decoded(const std::string& text) {
  return percent_decode(text).value_or("");
}

std::map<std::string, std::string> form_of(const std::string& body) {
  std::map<std::string, std::string> form;
  for (size_t at = 0; at < body.size();) {
    const size_t end = std::min(body.find('&', at), body.size());
    const std::string pair = body.substr(at, end - at);
    form[pair.substr(0, pair.find('='))] = decoded(pair.substr(pair.find('=') + 1));
    at = end + 1;
  }
  return form;
}

std::string unsigned_token(const std::string& claims) {
  return base64url(R"({"alg":"RS256"})") + "." + base64url("{" + claims + "}") + ".c2ln";
}

Reply granting(const std::string& more = R"("expires_in":3599)") {
  return {200, R"({"token_type":"Bearer",)" + more + R"(,"access_token":")" +
                   unsigned_token(R"("oid":"o-1","appid":"a-1","upn":"me@x.example")") + R"("})"};
}

class EntraSource : public test::SourceTest {
 protected:
  EntraSource() {
    setting("tenant_id", kTenant);
    setting("client_id", kClient);
    setting("scope", kScope);
    setting("client_secret", "s3cret");
  }
  std::string secret_from(Reply reply, milliseconds time = milliseconds(5000)) {
    HttpServer server([&](const Heard&) { return reply; });
    setting("authority", server.url());
    const std::string said = told(fetch_client_secret, time);
    heard_ = server.heard();
    return said;
  }
  std::vector<Heard> heard_;
};

TEST_F(EntraSource, TheRequestIsTheSdks) {
  const Json::Value recorded =
      test::vectors("azure_requests.json")["cases"]["secret/public-cloud-default-options"]["requests"][1];
  const std::string secret = test::vectors("azure_requests.json")["constants"]["SECRET"].asString();
  setting("client_secret", secret);
  EXPECT_EQ(secret_from(granting()), "OK me@x.example");
  ASSERT_EQ(heard_.size(), 1u);
  EXPECT_EQ(heard_[0].method, recorded["method"].asString());
  EXPECT_EQ(heard_[0].target, recorded["path"].asString());
  EXPECT_EQ(heard_[0].headers.at("content-type"), recorded["headers"]["content-type"].asString());
  EXPECT_EQ(heard_[0].headers.at("client-request-id").size(), 36u);
  std::map<std::string, std::string> wanted;
  for (const Json::Value& field : recorded["form"]) {
    const std::string name = field[0].asString();
    // What the SDK says of itself, and nobody needs (spec/azure.md 2.4).
    if (name.starts_with("x-") || name == "client-request-id") continue;
    wanted[name] = field[1].asString();
  }
  EXPECT_EQ(form_of(heard_[0].body), wanted);
  EXPECT_TRUE(contains(heard_[0].body, "s3cr~et%2Bwith%20%26%3D%25%2F%20specials%20%C3%A9")) << heard_[0].body;
}

TEST_F(EntraSource, LifeAndRenewal) {
  const auto life = [&](const std::string& more) {
    HttpServer server([&](const Heard&) { return granting(more); });
    setting("authority", server.url());
    const int64_t now = time(nullptr);
    const auto found = ask(fetch_client_secret);
    return std::pair(found->expires - now, found->refresh_at - now);
  };
  const auto near = [](std::pair<int64_t, int64_t> a, std::pair<int64_t, int64_t> b) {
    return std::abs(a.first - b.first) <= 2 && std::abs(a.second - b.second) <= 2;
  };
  EXPECT_TRUE(near(life(R"("expires_in":3600)"), {3600, 2700}));
  EXPECT_TRUE(near(life(R"("expires_in":"3600")"), {3600, 2700}));
  EXPECT_TRUE(near(life(R"("expires_in":86400)"), {86400, 43200}));
  EXPECT_TRUE(near(life(R"("expires_in":86400,"refresh_in":"1000")"), {86400, 1000}));
  EXPECT_TRUE(near(life(R"("ext_expires_in":3600)"), {1, 0})) << "without a word about its life it is used once";
}

TEST_F(EntraSource, Refusals) {
  const auto refusal = [](int status, const std::string& error, int code, const std::string& text) {
    return Reply{status, R"({"error":")" + error + R"(","error_description":"AADSTS)" + std::to_string(code) + ": " +
                             text + R"(\r\nTrace ID: t-1\r\nCorrelation ID: c-1","error_codes":[)" +
                             std::to_string(code) + R"(],"trace_id":"t-1","correlation_id":"c-1"})"};
  };
  const std::string wrong = secret_from(refusal(401, "invalid_client", 7000215, "Invalid client secret provided."));
  EXPECT_EQ(
      wrong,
      "Microsoft Entra says no: invalid_client: AADSTS7000215: Invalid client secret provided.; the client secret is "
      "wrong: AZURE_CLIENT_SECRET must be the secret's value, not its ID; correlation id c-1, trace id t-1");
  EXPECT_EQ(heard_.size(), 1u);
  for (const auto& [code, remedy] : {std::pair{7000222, "has expired"},
                                     {700016, "is not in the tenant"},
                                     {90002, "no such tenant"},
                                     {500011, "does not know the database service"},
                                     {53003, "Conditional Access"}}) {
    EXPECT_TRUE(contains(secret_from(refusal(400, "e", code, "x.")), remedy)) << code;
    EXPECT_TRUE(contains(secret_from(refusal(400, "e", code, "x.")), "AADSTS" + std::to_string(code)));
  }
  EXPECT_TRUE(contains(secret_from({400, R"({"error":"e","error_codes":[53003]})"}), "(AADSTS53003)"));
  EXPECT_TRUE(contains(secret_from({403, "<html>s3cret", {{"Content-Type", "text/html"}}}),
                       "status 403, text/html, 12 bytes, which is none of its own errors"));
}

TEST_F(EntraSource, BadAnswers) {
  EXPECT_TRUE(contains(secret_from({200, "{}"}), "holds no access token"));
  EXPECT_TRUE(contains(secret_from({200, "s3cret"}), "holds no access token"));
  EXPECT_TRUE(contains(secret_from({200, R"({"access_token":"a b","expires_in":1})"}), "no password may have"));
  EXPECT_TRUE(contains(secret_from({200, R"({"access_token":")" + std::string(65536, 'a') + R"(","expires_in":1})"}),
                       "no password may have"));
  EXPECT_TRUE(contains(secret_from({302, "", {{"Location", "http://127.0.0.1/"}}}), "status 302"));
}

TEST_F(EntraSource, FaultsOfTheNetwork) {
  setting("authority", "http://127.0.0.1:" + std::to_string(closed_port()));
  EXPECT_TRUE(
      contains(told(fetch_client_secret, milliseconds(400)), "cannot reach Microsoft Entra at http://127.0.0.1"));
  for (const Manner manner :
       {Manner::kTruncated, Manner::kDropped, Manner::kSilent, Manner::kNotHttp, Manner::kEndless}) {
    EXPECT_TRUE(contains(secret_from({200, std::string(100, 'x'), {}, manner}, milliseconds(300)), "cannot reach"))
        << int(manner);
  }
  Reply pieces = granting();
  pieces.manner = Manner::kInPieces;
  EXPECT_EQ(secret_from(pieces), "OK me@x.example");
}

TEST_F(EntraSource, WhatMayPassIsTriedAgain) {
  const auto tries = [&](Reply first) {
    int count = 0;
    HttpServer server([&](const Heard&) { return ++count == 1 ? first : granting(); });
    setting("authority", server.url());
    told(fetch_client_secret);
    return count;
  };
  EXPECT_EQ(tries({503, "", {{"Retry-After", "1"}}}), 2);
  EXPECT_EQ(tries({408, ""}), 2);
  EXPECT_EQ(tries({500, ""}), 2);
  EXPECT_EQ(tries({429, "", {{"Retry-After", "1"}}}), 2);
  EXPECT_EQ(tries({429, ""}), 1) << "without a word it would be too early";
  EXPECT_EQ(tries({429, "", {{"Retry-After", "60"}}}), 1) << "no connection waits that long";
  EXPECT_EQ(tries({501, ""}), 1);
  EXPECT_EQ(tries({400, "{}"}), 1);
}

// --- certificates

class EntraCertificate : public EntraSource {
 protected:
  EntraCertificate() {
    sh("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=app -keyout key.pem -out cert.pem");
    sh("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout other.key -out other.pem");
    sh("cat key.pem cert.pem >both.pem; cat other.pem cert.pem key.pem >chain.pem");
    sh("openssl rsa -aes256 -passout pass:s3cret-pass -in key.pem -out locked.key; cat locked.key cert.pem "
       ">locked.pem");
    sh("openssl pkcs12 -export -inkey key.pem -in cert.pem -certfile other.pem -passout pass:s3cret-pass -out app.pfx");
    sh("openssl ecparam -name prime256v1 -genkey -noout -out ec.key; openssl req -x509 -new -key ec.key -days 2 -subj "
       "/CN=ec "
       "-out ec.crt; cat ec.key ec.crt >ec.pem");
  }
  void sh(const std::string& script) {
    ASSERT_EQ(std::system(("cd " + home + " && { " + script + "; } 2>/dev/null").c_str()), 0) << script;
  }

  std::string with(const std::string& file, const std::string& password = "") {
    HttpServer server([&](const Heard&) { return granting(); });
    setting("authority", server.url());
    setting("certificate_path", home + "/" + file);
    setting("certificate_password", password);
    const std::string said = told(fetch_client_certificate);
    heard_ = server.heard();
    return said;
  }

  /// The assertion's parts, after its signature has been verified with the certificate's key.
  std::pair<Json::Value, Json::Value> verified() {
    const std::string assertion = form_of(heard_.at(0).body)["client_assertion"];
    const size_t first = assertion.find('.'), second = assertion.rfind('.');
    FILE* file = fopen((home + "/cert.pem").c_str(), "r");
    X509* certificate = PEM_read_X509(file, nullptr, nullptr, nullptr);
    fclose(file);
    EVP_PKEY* key = X509_get_pubkey(certificate);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* padding = nullptr;
    EVP_DigestVerifyInit(context, &padding, EVP_sha256(), nullptr, key);
    EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, 32);
    const std::string signature = base64url_decode(assertion.substr(second + 1));
    EXPECT_EQ(EVP_DigestVerify(context, reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                               reinterpret_cast<const unsigned char*>(assertion.data()), second),
              1);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    X509_free(certificate);
    return {*parse_json_object(base64url_decode(assertion.substr(0, first))),
            *parse_json_object(base64url_decode(assertion.substr(first + 1, second - first - 1)))};
  }
};

TEST_F(EntraCertificate, TheAssertionIsTheSdks) {
  EXPECT_EQ(with("both.pem"), "OK me@x.example");
  const auto form = form_of(heard_[0].body);
  EXPECT_EQ(form.at("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
  EXPECT_EQ(form.at("grant_type"), "client_credentials");
  const auto [header, payload] = verified();
  const Json::Value recorded = test::vectors("azure_requests.json")["cases"]["cert/pem-public-cloud"]["requests"];
  Json::Value theirs;
  for (const Json::Value& request : recorded) {
    if (request.isMember("client_assertion_decoded")) theirs = request["client_assertion_decoded"];
  }
  EXPECT_EQ(header.getMemberNames(), theirs["header"].getMemberNames());
  EXPECT_EQ(header["alg"], theirs["header"]["alg"]);
  EXPECT_EQ(header["typ"], theirs["header"]["typ"]);
  EXPECT_EQ(header["x5t#S256"].asString().size(), theirs["header"]["x5t#S256"].asString().size());
  EXPECT_EQ(payload["iss"].asString(), kClient);
  EXPECT_EQ(payload["sub"].asString(), kClient);
  EXPECT_TRUE(payload["aud"].asString().ends_with("/" + std::string(kTenant) + "/oauth2/v2.0/token"));
  EXPECT_EQ(payload["exp"].asInt64() - payload["nbf"].asInt64(), 600);
  EXPECT_EQ(payload["jti"].asString().size(), 36u);
}

TEST_F(EntraCertificate, AllKindsOfFiles) {
  EXPECT_EQ(with("locked.pem", "s3cret-pass"), "OK me@x.example");
  verified();
  EXPECT_EQ(with("app.pfx", "s3cret-pass"), "OK me@x.example");
  verified();
  EXPECT_EQ(with("both.pem", "needless"), "OK me@x.example");
  setting("send_certificate_chain", "true");
  EXPECT_EQ(with("chain.pem"), "OK me@x.example") << "in any order: the leaf is the one that the key belongs to";
  EXPECT_EQ(verified().first["x5c"].size(), 2u);
}

TEST_F(EntraCertificate, WhatIsWrongWithAFile) {
  EXPECT_TRUE(contains(with("missing.pem"), "No such file"));
  EXPECT_TRUE(contains(with("cert.pem"), "has no private key that can be read; if it is encrypted"));
  EXPECT_TRUE(contains(with("key.pem"), "has no certificate that belongs to its private key"));
  EXPECT_TRUE(contains(with("locked.pem"), "if it is encrypted, set AZURE_CLIENT_CERTIFICATE_PASSWORD"));
  EXPECT_TRUE(contains(with("locked.pem", "wrong"), "is AZURE_CLIENT_CERTIFICATE_PASSWORD right?"));
  EXPECT_TRUE(contains(with("app.pfx", "wrong"), "is AZURE_CLIENT_CERTIFICATE_PASSWORD right?"));
  EXPECT_TRUE(contains(with("ec.pem"), "must be RSA"));
  write("garbage", "nothing");
  EXPECT_TRUE(contains(with("garbage"), "has no private key"));
  EXPECT_TRUE(heard_.empty());
}

// --- workload identity

TEST_F(EntraSource, WorkloadIdentityReadsItsFileEachTime) {
  HttpServer server([](const Heard&) { return granting(); });
  setting("authority", server.url());
  setting("federated_token_file", write("token", " first \n"));
  EXPECT_EQ(told(fetch_workload_identity), "OK me@x.example");
  write("token", "second");
  told(fetch_workload_identity);
  EXPECT_EQ(form_of(server.heard()[0].body)["client_assertion"], "first");
  EXPECT_EQ(form_of(server.heard()[1].body)["client_assertion"], "second");
  write("token", "");
  EXPECT_TRUE(contains(told(fetch_workload_identity), "is empty"));
  std::filesystem::remove(home + "/token");
  EXPECT_TRUE(contains(told(fetch_workload_identity), "fsGroup"));
  EXPECT_EQ(server.count(), 2u);
}

TEST_F(EntraSource, AFederationThatDoesNotMatchIsShown) {
  HttpServer server([](const Heard&) {
    return Reply{
        400,
        R"({"error":"invalid_request","error_description":"AADSTS700213: No matching federated identity record found.",)"
        R"("error_codes":[700213],"correlation_id":"c-1"})"};
  });
  setting("authority", server.url());
  setting("federated_token_file",
          write("token", unsigned_token(R"("iss":"https://oidc","sub":"system:sa:x","aud":["api://A"])")));
  EXPECT_TRUE(contains(told(fetch_workload_identity), "iss=https://oidc sub=system:sa:x aud=api://A"));
}

TEST_F(EntraSource, TheProxyOfAksIdentityBindings) {
  ASSERT_EQ(
      std::system(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x -addext "
                   "subjectAltName=DNS:bound.example -keyout " +
                   home + "/k.pem -out " + home + "/c.pem 2>/dev/null")
                      .c_str()),
      0);
  HttpServer proxy([](const Heard&) { return granting(); }, "127.0.0.1", 0, home + "/c.pem", home + "/k.pem");
  setting("authority", "https://login.microsoftonline.com");
  setting("federated_token_file", write("token", "t"));
  setting("kubernetes_token_proxy", proxy.url() + "/prefix/");
  setting("kubernetes_sni_name", "bound.example");
  setting("kubernetes_ca_file", home + "/c.pem");
  EXPECT_EQ(told(fetch_workload_identity), "OK me@x.example");
  EXPECT_EQ(proxy.heard()[0].target, "/prefix/" + std::string(kTenant) + "/oauth2/v2.0/token");
  EXPECT_TRUE(proxy.heard()[0].headers.at("host").starts_with("bound.example"));
  setting("kubernetes_ca_data", "x");
  EXPECT_TRUE(contains(told(fetch_workload_identity), "unset one of them"));
  setting("kubernetes_ca_data", "");
  setting("kubernetes_token_proxy", "http://127.0.0.1/");
  EXPECT_TRUE(contains(told(fetch_workload_identity), "must be an https URL"));
  setting("kubernetes_token_proxy", "");
  EXPECT_TRUE(contains(told(fetch_workload_identity), "without AZURE_KUBERNETES_TOKEN_PROXY"));
}

// --- what a token says of itself

TEST(EntraToken, TheUserNameItLeadsTo) {
  const auto user = [](const std::string& claims) { return entra_token(unsigned_token(claims), 1, 0)->text; };
  const std::string resource = R"("xms_mirid":"/subscriptions/0/resourcegroups/rg/providers/)";
  EXPECT_EQ(user(resource + R"(Microsoft.ManagedIdentity/userAssignedIdentities/my-app-id","upn":"u")"), "my-app-id");
  EXPECT_EQ(user(resource + R"(MICROSOFT.managedidentity/USERassignedidentities/My-Id")"), "My-Id");
  EXPECT_EQ(user(resource + R"(Microsoft.Compute/virtualMachines/vm","upn":"u@x")"), "u@x");
  EXPECT_EQ(user(resource + R"(Microsoft.Compute/virtualMachines/vm","appid":"a")"), "") << "never guessed from appid";
  EXPECT_EQ(user(R"("preferred_username":"p@x","unique_name":"q@x")"), "p@x");
  EXPECT_EQ(user(R"("unique_name":"q@x")"), "q@x");
  EXPECT_EQ(user(R"("unique_name":"live.com#q@x")"), "") << "the provider's name for a guest";
  EXPECT_EQ(user(R"("upn":"q_x.example#EXT#@t.onmicrosoft.com")"), "q_x.example#EXT#@t.onmicrosoft.com");
  EXPECT_EQ(user(R"("upn":7)"), "");
  EXPECT_EQ(entra_token(unsigned_token(R"("oid":"o","azp":"z")"), 1, 0)->identity, "oid=o, appid=z");
  EXPECT_EQ(entra_token("opaque", 1, 0)->text, "");
  EXPECT_FALSE(entra_token("", 1, 0));
  EXPECT_FALSE(entra_token("a\nb", 1, 0));
}

TEST(EntraToken, ExpiryInAllItsSpellings) {
  const auto at = [](const char* text) { return token_expiry(*parse_json_object(text), 1000); };
  EXPECT_EQ(at(R"({"expires_on":"1768480496"})"), 1768480496);
  EXPECT_EQ(at(R"({"expires_on":1768480496,"expires_in":"5"})"), 1768480496);
  EXPECT_EQ(at(R"({"expires_on":"2026-01-15T12:34:56Z"})"), 1768480496);
  EXPECT_EQ(at(R"({"expires_on":"2026-01-15 12:34:56"})"), 1768480496);
  EXPECT_EQ(at(R"({"expires_on":"01/15/2026 12:34:56 +00:00"})"), 1768480496);
  EXPECT_EQ(at(R"({"expires_on":"soon","expires_in":"60"})"), 1060);
  EXPECT_EQ(at(R"({"expires_in":60})"), 1060);
  EXPECT_EQ(at(R"({})"), std::nullopt);
}

TEST(EntraToken, ResourceOfAScope) {
  EXPECT_EQ(resource_of("https://x.net/.default"), "https://x.net");
  EXPECT_EQ(resource_of("https://x.net//.default"), "https://x.net/") << "the second slash is part of the resource";
  EXPECT_EQ(resource_of("https://x.net"), "https://x.net");
}

}  // namespace
}  // namespace pqmint
