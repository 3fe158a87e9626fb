// SPDX-License-Identifier: PostgreSQL
// Microsoft Entra's token endpoint and the three sources that post to it: requests as the official SDK recorded them,
// every way to be refused, and what a token says of itself.

#include "net/entra/entra.h"

#include <json/json.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sys/fsuid.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <thread>

#include "base/percent.h"
#include "net/digest.h"
#include "net/json.h"
#include "net/source_fixture.h"
#include "net/token_file.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test::closed_port;
using test::contains;
using test::Heard;
using test::HttpServer;
using test::Reply;
using Manner = Reply::Manner;
using Form = std::map<std::string, std::string>;

constexpr char kTenant[] = "11111111-2222-3333-4444-555555555555";
constexpr char kClient[] = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
constexpr char kScope[] = "https://ossrdbms-aad.database.windows.net/.default";
constexpr char kPath[] = "/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token";

std::string jwt(const std::string& claims) {
  return base64url(R"({"alg":"RS256"})") + "." + base64url(claims) + ".c2ln";
}

Reply token_reply(const std::string& life = R"("expires_in":3599)",
                  const std::string& token = jwt(R"({"upn":"ann@contoso.com","oid":"o-1","appid":"a-1"})")) {
  return {200, R"({"token_type":"Bearer",)" + life + R"(,"ext_expires_in":9999,"access_token":")" + token + R"("})"};
}

Reply refused(int status, const std::string& error, const std::string& description, const std::string& more = "") {
  return {status, R"({"error":")" + error + R"(","error_description":")" + description + R"(")" + more + "}"};
}

Form form_of(const std::string& body) {
  Form form;
  for (size_t at = 0; at < body.size();) {
    const size_t end = std::min(body.find('&', at), body.size());
    const std::string pair = body.substr(at, end - at);
    const size_t equals = pair.find('=');
    form[pair.substr(0, equals)] = percent_decode(pair.substr(equals + 1)).value_or("not percent-encoded");
    at = end + 1;
  }
  return form;
}

/// Header and payload of a client assertion.
struct Assertion {
  explicit Assertion(const std::string& text) {
    const size_t first = text.find('.'), second = text.find('.', first + 1);
    header = parse_json_object(base64url_decode(text.substr(0, first))).value_or(Json::Value());
    payload = parse_json_object(base64url_decode(text.substr(first + 1, second - first - 1))).value_or(Json::Value());
    is_signed = text.substr(0, second);
    signature = base64url_decode(text.substr(second + 1));
  }
  std::string is_signed, signature;
  Json::Value header, payload;
};

std::string from_base64(std::string text) {
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return base64url_decode(text);
}

/// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of exactly 32 bytes.
bool is_ps256(const Assertion& assertion, const std::string& certificate_der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(certificate_der.data());
  const std::unique_ptr<X509, void (*)(X509*)> leaf(
      d2i_X509(nullptr, &bytes, static_cast<long>(certificate_der.size())), X509_free);
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_PKEY_CTX* padding = nullptr;
  return leaf &&
         EVP_DigestVerifyInit(context.get(), &padding, EVP_sha256(), nullptr, X509_get0_pubkey(leaf.get())) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, 32) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(assertion.signature.data()),
                          assertion.signature.size(),
                          reinterpret_cast<const unsigned char*>(assertion.is_signed.data()),
                          assertion.is_signed.size()) == 1;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Keys and certificates, made once; what could not be made fails the test that reads it.
std::string made_path(const std::string& name) {
  struct Directory {
    Directory() {
      path = mkdtemp(path.data());
      const std::string script = "cd " + path + R"( && exec 2>/dev/null
        ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        openssl req -x509 $ec -days 2 -subj '/CN=test CA' -keyout ca.key -out ca.crt
        openssl req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf
        openssl x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out leaf.crt
        openssl req $ec -keyout server.key -out server.csr -subj /CN=server
        echo 'subjectAltName=IP:127.0.0.1,DNS:x.ests.aks' >server.ext
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext \
          -out server.crt
        openssl x509 -in leaf.crt -outform DER -out leaf.der
        openssl x509 -in ca.crt -outform DER -out ca.der
        openssl pkcs8 -topk8 -in leaf.key -v2 aes-256-cbc -passout pass:s3cret-pass -out closed.key
        openssl rsa -in leaf.key -traditional -aes128 -passout pass:s3cret-pass -out old-closed.key
        pfx='openssl pkcs12 -export -inkey leaf.key -in leaf.crt'
        $pfx -certfile ca.crt -passout pass:s3cret-pass -out closed.pfx
        $pfx -certfile ca.crt -passout pass: -out open.pfx
        $pfx -legacy -passout pass:s3cret-pass -out legacy.pfx
        openssl pkcs12 -export -nokeys -in leaf.crt -passout pass: -out keyless.pfx
        openssl req -x509 $ec -days 2 -subj /CN=ec -keyout ec.key -out ec.crt
        openssl req -x509 -newkey rsa:1024 -nodes -days 2 -subj /CN=small -keyout small.key -out small.crt
      )";
      if (std::system(script.c_str()) == -1) ADD_FAILURE() << "no shell";
    }
    ~Directory() { std::filesystem::remove_all(path); }
    std::string path = ::testing::TempDir() + "pqmint-entra-XXXXXX";
  };
  static const Directory directory;
  return directory.path + "/" + name;
}

class Entra : public test::SourceTest {
 protected:
  Entra() : server_([this](const Heard& heard) { return answer(heard); }) {
    for (const char* name :
         {"http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"}) {
      unsetenv(name);
    }
    setting("authority", server_.url());
    setting("tenant_id", kTenant);
    setting("client_id", kClient);
    setting("scope", kScope);
    setting("client_secret", "s3cret");
    ERR_clear_error();
  }

  static std::string made(const std::string& name) { return contents(made_path(name)); }

  Reply answer(const Heard&) {
    if (replies_.size() > 1) {
      const Reply first = replies_.front();
      replies_.erase(replies_.begin());
      return first;
    }
    return replies_.front();
  }

  std::string told_after(std::vector<Reply> replies, milliseconds time = milliseconds(5000)) {
    replies_ = std::move(replies);
    before_ = server_.count();
    return told(fetch_client_secret, time);
  }
  size_t requests() const { return server_.count() - before_; }
  static Heard last_of(const HttpServer& server) {
    const auto heard = server.heard();
    if (heard.empty()) ADD_FAILURE() << "nothing was asked";
    return heard.empty() ? Heard() : heard.back();
  }
  Heard last() const { return last_of(server_); }
  Assertion last_assertion() const { return Assertion(form_of(last().body)["client_assertion"]); }

  /// A file of these parts, with this password.
  std::string with_certificate(const std::string& bytes, const std::string& password = "") {
    setting("certificate_path", write("identity", bytes));
    setting("certificate_password", password);
    return told(fetch_client_certificate);
  }

  std::vector<Reply> replies_ = {token_reply()};
  size_t before_ = 0;
  HttpServer server_;
};

// ------------------------------------------------------------------------------------------------ recorded requests

/// Recorded cases that say nothing about this code, or what spec/azure.md 7 says not to copy.
const std::map<std::string, std::string> kNotOurs = {
    {"secret/unknown-authority-instance-discovery", "no discovery: core decides which authority is allowed [R 3]"},
    {"secret/http-authority-refused", "core refuses it"},
    {"secret/cae", "never asked for: libpq cannot deliver a claims challenge [R 2.4]"},
    {"secret/region-westus2", "AZURE_REGIONAL_AUTHORITY_NAME is ignored [R 2.4]"},
    {"secret/adfs", "AD FS is out of scope [R 2.4]"},
    {"cert/adfs-tenant", "AD FS is out of scope [R 2.4]"},
    {"secret/additional-tenant-refused", "one tenant for each connection [R 3]"},
    {"cert/pfx-refused", "PFX is read [R 2.8]"},
    {"env/username-password", "not implemented; core says so [R 2.8]"},
    {"error/interaction-required-50076-ropc", "the same"},
    {"env/empty-string-secret", "core passes the source over"},
    {"env/tenant-missing", "core passes the source over"},
    {"wi/aks-proxy-variables-ignored-by-default", "the variables count here [R 2.9]"},
    {"wi/aks-proxy-enableAzureProxy-option", "the SDK of that day ignored them and called the public cloud"},
};

Form recorded_form(const Json::Value& request) {
  Form form;
  for (const Json::Value& field : request["form"]) {
    const std::string name = field[0].asString();
    if (name.starts_with("x-client-") || name == "x-ms-lib-capability" || name == "client-request-id" ||
        name == "client_info") {
      continue;
    }
    form[name] = field[1].asString();
  }
  return form;
}

TEST_F(Entra, RequestsAreThoseOfTheSdk) {
  const Json::Value root = test::vectors("azure_requests.json");
  setting("client_secret", root["constants"]["SECRET"].asString());
  const std::string leaf = from_base64(root["client_certificate"]["leaf_der_b64"].asString());
  EXPECT_EQ(base64url(digest("SHA256", leaf)), root["client_certificate"]["x5t_sha256_b64url"].asString());
  const std::string own_thumbprint = base64url(digest("SHA256", made("leaf.der")));
  int compared = 0;
  for (const std::string& name : root["cases"].getMemberNames()) {
    const std::string group = name.substr(0, name.find('/'));
    if (!std::set<std::string>{"secret", "cert", "env", "wi", "error"}.contains(group) || kNotOurs.contains(name)) {
      continue;
    }
    SCOPED_TRACE(name);
    const Json::Value& recorded = root["cases"][name];
    std::vector<Json::Value> posts;
    for (const Json::Value& request : recorded["requests"]) {
      if (request["method"].asString() == "POST") posts.push_back(request);
    }
    const std::string said = recorded["outcome"]["error"]["message"].asString();

    Source source = fetch_client_secret;
    if (group == "wi") source = fetch_workload_identity;
    if (group == "cert" || (!posts.empty() && recorded_form(posts[0]).contains("client_assertion") && group == "env")) {
      source = fetch_client_certificate;
    }
    const bool is_closed = contains(name, "encrypted-key");
    setting("certificate_path", write("identity", made("leaf.crt") + made(is_closed ? "closed.key" : "leaf.key")));
    setting("scope", contains(name, "double-slash") ? "https://ossrdbms-aad.database.windows.net//.default" : kScope);
    setting("federated_token_file", group == "wi" ? home + "/token" : "");
    if (name == "wi/file-empty") write("token", "");

    // The mocks' answers, of which the status, the headers and what became of them are recorded. Seconds of
    // Retry-After are made hundredths, to be done today.
    replies_.clear();
    for (const Json::Value& post : posts) {
      const int status = post["answer"]["status"].asInt();
      std::smatch parts;
      Reply reply = status == 200 ? token_reply() : Reply{status, "{}"};
      if (name == "error/200-empty-json") reply.body = "{}";
      if (status >= 400 &&
          std::regex_search(said, parts, std::regex(R"((\w+): Error\(s\): (\d+) - .* Description: (.*) - Corr)"))) {
        reply = refused(status, parts[1], parts[3], R"(,"error_codes":[)" + parts[2].str() + "]");
      }
      const Json::Value& headers = post["answer"]["headers"];
      if (headers.isMember("Retry-After")) reply.headers["retry-after-ms"] = headers["Retry-After"].asString() + "0";
      if (headers.isMember("Location")) reply.headers["Location"] = server_.url() + headers["Location"].asString();
      replies_.push_back(reply);
    }
    if (replies_.empty()) replies_.push_back(token_reply());
    before_ = server_.count();

    // The SDK kept one assertion for five minutes; here the file, or the key, is used for each request.
    const bool is_twice = posts.size() == 2 && (group == "wi" || group == "cert");
    if (group == "wi" && !posts.empty()) write("token", recorded_form(posts[0])["client_assertion"] + "\n");
    std::string told_now = told(source);
    if (is_twice) told_now = told(source);

    EXPECT_EQ(told_now.starts_with("OK"), !recorded["outcome"].isMember("error")) << told_now;
    EXPECT_FALSE(contains(told_now, "s3cr~et")) << told_now;
    std::smatch code;
    if (std::regex_search(said, code, std::regex("AADSTS[0-9]+"))) {
      EXPECT_TRUE(contains(told_now, code.str())) << told_now;
    }
    ASSERT_EQ(requests(), posts.size()) << told_now;
    const auto all = server_.heard();
    for (size_t i = 0; i < posts.size(); ++i) {
      const Heard& heard = all[before_ + i];
      EXPECT_EQ(heard.method, "POST");
      EXPECT_EQ(heard.target, posts[i]["path"].asString());
      EXPECT_EQ(heard.headers.at("content-type"), posts[i]["headers"]["content-type"].asString());
      Form own = form_of(heard.body), theirs = recorded_form(posts[i]);
      if (own.contains("client_assertion") && group != "wi") {
        const Assertion assertion(own["client_assertion"]), model(theirs["client_assertion"]);
        EXPECT_TRUE(is_ps256(model, leaf));
        EXPECT_TRUE(is_ps256(assertion, made("leaf.der")));
        EXPECT_EQ(assertion.header["x5t#S256"].asString(), own_thumbprint);
        Json::Value header = assertion.header;
        header["x5t#S256"] = model.header["x5t#S256"];
        EXPECT_EQ(header, model.header);
        EXPECT_EQ(assertion.payload["aud"].asString(), server_.url() + posts[i]["path"].asString());
        EXPECT_EQ(model.payload["aud"].asString(),
                  posts[i]["scheme"].asString() + "://" + posts[i]["host"].asString() + posts[i]["path"].asString());
        for (const char* claim : {"iss", "sub"}) EXPECT_EQ(assertion.payload[claim], model.payload[claim]) << claim;
        EXPECT_EQ(assertion.payload["exp"].asInt64() - assertion.payload["nbf"].asInt64(),
                  posts[i]["client_assertion_decoded"]["exp_minus_nbf"].asInt64());
        own.erase("client_assertion"), theirs.erase("client_assertion");
      }
      EXPECT_EQ(own, theirs);
      ++compared;
    }
  }
  EXPECT_EQ(compared, 26);
  for (const auto& [name, why] : kNotOurs) EXPECT_TRUE(root["cases"].isMember(name)) << name << ": " << why;
}

TEST_F(Entra, TheSecretIsEncodedByteForByte) {
  setting("client_secret", "s3cr~et+with &=%/ specials \xC3\xA9");
  ASSERT_TRUE(ask(fetch_client_secret));
  EXPECT_EQ(last().body, "client_id=" + std::string(kClient) +
                             "&scope=https%3A%2F%2Fossrdbms-aad.database.windows.net%2F.default"
                             "&grant_type=client_credentials"
                             "&client_secret=s3cr~et%2Bwith%20%26%3D%25%2F%20specials%20%C3%A9");
  EXPECT_TRUE(std::regex_match(last().headers.at("client-request-id"),
                               std::regex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")));
}

// ------------------------------------------------------------------------------------------------------- the answer

TEST_F(Entra, ATokenAndWhatItSays) {
  const int64_t now = time(nullptr);
  const auto found = ask(fetch_client_secret);
  ASSERT_TRUE(found) << found.error().text;
  EXPECT_EQ(found->token.reveal(), jwt(R"({"upn":"ann@contoso.com","oid":"o-1","appid":"a-1"})"));
  EXPECT_EQ(found->text, "ann@contoso.com");
  EXPECT_EQ(found->identity, "oid=o-1, appid=a-1");
  EXPECT_NEAR(static_cast<double>(found->expires), static_cast<double>(now + 3599), 3);
  Reply slow = token_reply();
  slow.manner = Manner::kInPieces;
  EXPECT_EQ(told_after({slow}), "OK ann@contoso.com");
}

TEST_F(Entra, LifeAndSoftWindow) {
  struct Row {
    const char* life;
    int64_t expires, soft;  // seconds from now
  };
  for (const Row& row : {
           Row{R"("expires_in":3600)", 3600, 2700},
           Row{R"("expires_in":"3600")", 3600, 2700},
           Row{R"("expires_in":7199)", 7199, 5400},
           Row{R"("expires_in":7200)", 7200, 3600},
           Row{R"("expires_in":86399,"refresh_in":43199)", 86399, 43199},
           Row{R"("expires_in":3600,"refresh_in":"1800")", 3600, 1800},
           Row{R"("expires_in":3600,"refresh_in":9000)", 3600, 3600},
           Row{R"("expires_in":3600,"refresh_in":-5)", 3600, 0},
           Row{R"("x":1)", 1, 1},                // used once, never kept
           Row{R"("expires_in":-100)", 1, 1},    // never 0, which means for ever
           Row{R"("expires_in":"soon")", 1, 1},  //
           Row{R"("expires_in":1e99)", 1, 1},    // no number to reckon with
           Row{R"("expires_in":"1e99")", 1, 1},  //
           Row{R"("expires_in":null)", 1, 1},    //
           Row{R"("expires_in":9223372036854775807)", 315360000, 157680000},
       }) {
    SCOPED_TRACE(row.life);
    replies_ = {token_reply(row.life)};
    const int64_t now = time(nullptr);
    const auto found = ask(fetch_client_secret);
    ASSERT_TRUE(found) << found.error().text;
    EXPECT_NEAR(static_cast<double>(found->expires - now), static_cast<double>(row.expires), 2);
    EXPECT_NEAR(static_cast<double>(found->refresh_at - now), static_cast<double>(row.soft), 2);
  }
}

TEST_F(Entra, LifeCountsFromTheServersClock) {
  constexpr long kAhead = 3000;
  Reply reply = token_reply();
  reply.headers["Date"] = test::http_date(kAhead);
  replies_ = {reply};
  const auto found = ask(fetch_client_secret);
  ASSERT_TRUE(found);
  EXPECT_NEAR(static_cast<double>(found->expires), static_cast<double>(time(nullptr) + kAhead + 3599), 3);
  EXPECT_TRUE(clock_.learned);
}

TEST_F(Entra, WhatHoldsNoTokenIsAnError) {
  EXPECT_EQ(told_after({{200, "{}"}}),
            "the answer of Microsoft Entra holds no access token (status 200, application/json, 2 bytes); is there a "
            "proxy in between?");
  EXPECT_TRUE(contains(told_after({{200, "<html>log in</html>", {{"Content-Type", "text/html"}}}}),
                       "holds no access token (status 200, text/html, 19 bytes)"));
  EXPECT_TRUE(contains(told_after({{200, R"({"access_token":7,"expires_in":3599})"}}), "holds no access token"));
  EXPECT_TRUE(contains(told_after({{200, R"({"access_token":"","expires_in":3599})"}}), "holds no access token"));
  EXPECT_TRUE(contains(told_after({{200, R"(["access_token"])"}}), "holds no access token"));
  EXPECT_TRUE(contains(told_after({{200, R"({"access_token":"a","access_token":"b"})"}}), "holds no access token"));
}

// Any other type wants a proof of its owner with each use, and a server would take it for a wrong password.
TEST_F(Entra, OnlyABearersTokenIsOne) {
  const auto of_type = [&](const std::string& type) {
    return told_after({{200, R"({"access_token":"a.b.c","expires_in":3599)" + type + "}"}});
  };
  for (const char* type : {R"(,"token_type":"Bearer")", R"(,"token_type":"bearer")", R"(,"token_type":"BEARER")", ""}) {
    EXPECT_EQ(of_type(type), "OK ") << type;
  }
  for (const char* type : {R"(,"token_type":"pop")", R"(,"token_type":"Bearer ")", R"(,"token_type":"")",
                           R"(,"token_type":null)", R"(,"token_type":["Bearer"])"}) {
    EXPECT_TRUE(contains(of_type(type), "needs a proof with each use")) << type;
  }
}

TEST_F(Entra, OnlyWhatCanBeAPasswordIsAToken) {
  for (const char* token : {"a b", "a\\nb", "a\\u0000b", "s3cr\\u00e9t", "a\\\"b", "a,b", "a:b"}) {
    EXPECT_TRUE(contains(told_after({token_reply(R"("expires_in":3599)", token)}), "that no password may have"))
        << token;
  }
  EXPECT_TRUE(ask(fetch_client_secret).error().text.find("a:b") == std::string::npos);
  EXPECT_TRUE(entra_token("AZaz09._~+/=-", 1, 1));
  EXPECT_FALSE(entra_token("", 1, 1));
  EXPECT_EQ(entra_token(std::string(20'000, 'a'), 1, 1)->token.size(), 20'000u);
  // The server's own limit, as in src/net/command.cc.
  EXPECT_TRUE(entra_token(std::string(65530, 'a'), 1, 1));
  const auto found = entra_token(std::string(65531, 'a'), 1, 1);
  ASSERT_FALSE(found);
  EXPECT_TRUE(contains(found.error().text, "(65531 bytes)"));
  // A letter of the host's locale is none of a token.
  setlocale(LC_CTYPE, "de_DE.ISO-8859-1");
  EXPECT_FALSE(entra_token("a\xE9z", 1, 1));
  setlocale(LC_CTYPE, "C");
}

// ----------------------------------------------------------------------------------------------------- the refusals

TEST_F(Entra, ARefusalIsOneSentenceWithItsNumbersAndItsRemedy) {
  EXPECT_EQ(told_after({refused(401, "invalid_client",
                                "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the "
                                "request is the client secret value, not the client secret ID, for a secret added to "
                                "app 'x'. Trace ID: t-1 Correlation ID: c-1 Timestamp: 2026-01-01 00:00:00Z",
                                R"(,"error_codes":[7000215],"trace_id":"t-1","correlation_id":"c-1")")}),
            "Microsoft Entra says no: invalid_client: AADSTS7000215: Invalid client secret provided.; the client "
            "secret is wrong: AZURE_CLIENT_SECRET must be the secret's value, not its ID; correlation id c-1, trace "
            "id t-1");
  EXPECT_EQ(requests(), 1u);
}

TEST_F(Entra, EveryKnownCodeHasItsRemedy) {
  for (const auto& [code, remedy] : std::map<int, std::string>{
           {7000215, "AZURE_CLIENT_SECRET must be the secret's value"},
           {7000222, "has expired; make a new one"},
           {7000216, "no proof"},
           {7000218, "no proof"},
           {700016, "AZURE_CLIENT_ID is not in the tenant AZURE_TENANT_ID"},
           {90002, "no such tenant"},
           {900023, "neither a GUID nor a domain"},
           {90013, "neither a GUID nor a domain"},
           {500011, "the cloud is another one"},
           {50001, "the cloud is another one"},
           {650057, "the cloud is another one"},
           {1002012, "must end in /.default"},
           {70011, "must end in /.default"},
           {700027, "upload it there"},
           {700024, "clock is off, or the token file is stale"},
           {70021, "no federated credential"},
           {700211, "issuer"},
           {700212, "audience"},
           {700213, "subject"},
           {90061, "its OpenID configuration must be public"},
           {50166, "its OpenID configuration must be public"},
           {7000229, "an administrator must consent"},
           {7000112, "disabled"},
           {7000113, "disabled"},
           {53003, "Conditional Access"},
           {50005, "Conditional Access"},
           {530003, "Conditional Access"},
           {50076, "az login"},
           {50079, "az login"},
           {50158, "az login"},
           {65001, "consent"},
           {700082, "az login"},
           {50173, "az login"},
           {70043, "az login"},
           {70008, "az login"},
           {50196, "wait some minutes"},
           {50049, "AZURE_AUTHORITY_HOST"},
       }) {
    // Once by the list of codes, once by the description alone.
    for (const std::string& more : {R"(,"error_codes":[)" + std::to_string(code) + "]", std::string()}) {
      const std::string said = told_after({refused(400, "e", "AADSTS" + std::to_string(code) + ": x", more)});
      EXPECT_TRUE(contains(said, "AADSTS" + std::to_string(code) + ": x; ")) << said;
      EXPECT_TRUE(contains(said, remedy)) << said;
    }
  }
}

TEST_F(Entra, OddRefusals) {
  // Without an id of the server's, the one that was sent.
  std::string said = told_after({refused(400, "e", "AADSTS1: x")});
  EXPECT_TRUE(contains(said, "correlation id " + last().headers.at("client-request-id"))) << said;
  // The list knows the number, the description does not.
  said = told_after({refused(400, "e", "x", R"(,"error_codes":[700016])")});
  EXPECT_TRUE(contains(said, "e: x (AADSTS700016); the application")) << said;
  // Line ends and controls; the newer spelling puts the ids on lines of their own.
  said = told_after({refused(400, "in\\nvalid", "AADSTS90002: Ten\\u0007ant.\\r\\nTrace ID: t\\r\\nTimestamp: now")});
  EXPECT_TRUE(contains(said, "says no: in?valid: AADSTS90002: Ten?ant.; there is")) << said;
  // A reason in brackets belongs to the sentence before it.
  said = told_after({refused(401, "invalid_client",
                             "AADSTS700027: The certificate is not registered on application. [Reason - The key was "
                             "not found., Thumbprint of key used by client: 'AB12'] More. Trace ID: t")});
  EXPECT_TRUE(contains(said, "'AB12'] More.; the certificate")) << said;
  said = told_after({refused(400, "e", std::string(5000, 'x'))});
  EXPECT_LT(said.size(), 500u);
  EXPECT_TRUE(contains(told_after({{400, R"({"error":"e"})"}}), "says no: e; correlation id "));
  // What is none of Entra's errors.
  said = told_after({{403, "<html>s3cret</html>", {{"Content-Type", "text/html"}}}});
  EXPECT_EQ(said,
            "Microsoft Entra answered with status 403, text/html, 19 bytes, which is none of its own errors; is "
            "there a proxy in between?");
  EXPECT_TRUE(contains(told_after({{400, R"({"error":{"code":1}})"}}), "none of its own errors"));
  EXPECT_TRUE(contains(told_after({{400, R"({"error":"e","error_codes":"x"})"}}), "says no: e"));
  EXPECT_TRUE(contains(told_after({{400, R"({"error":"e","error_codes":[]})"}}), "says no: e"));
  EXPECT_TRUE(contains(told_after({{400, R"({"error":"e","error_codes":[99999999999999]})"}}), "says no: e"));
  EXPECT_TRUE(contains(told_after({{302, "", {{"Location", server_.url() + "/x"}}}}), "status 302"));
  EXPECT_EQ(requests(), 1u) << "a redirect is not followed";
}

// -------------------------------------------------------------------------------------------------------- tries again

TEST_F(Entra, DisturbancesAreTriedAgainTwice) {
  for (const int status : {408, 500, 502, 503, 504}) {
    EXPECT_EQ(told_after({Reply{status, "{}", {{"retry-after-ms", "10"}}}, token_reply()}), "OK ann@contoso.com")
        << status;
    EXPECT_EQ(requests(), 2u);
  }
  const auto heard = server_.heard();
  ASSERT_GE(heard.size(), 2u);
  EXPECT_EQ(heard[0].body, heard[1].body);
  EXPECT_EQ(heard[0].headers.at("client-request-id"), heard[1].headers.at("client-request-id"));
  EXPECT_TRUE(contains(told_after({Reply{500, "{}"}}), "status 500"));
  EXPECT_EQ(requests(), 3u);
}

TEST_F(Entra, OtherRefusalsAreFinal) {
  for (const int status : {400, 401, 403, 404, 410, 429, 501, 505}) {
    EXPECT_TRUE(contains(told_after({Reply{status, "{}"}, token_reply()}), "status " + std::to_string(status)));
    EXPECT_EQ(requests(), 1u) << status;
  }
}

TEST_F(Entra, TheServersWishToBeLeftAloneIsHonouredWhenItIsShort) {
  const auto after = [](int status, const std::string& name, const std::string& value) {
    Reply reply = refused(status, "temporarily_unavailable", "AADSTS90055: Busy. Trace ID: t");
    reply.headers[name] = value;
    return reply;
  };
  auto begin = steady_clock::now();
  EXPECT_EQ(told_after({after(429, "Retry-After", "1"), token_reply()}), "OK ann@contoso.com");
  EXPECT_GE(steady_clock::now() - begin, milliseconds(990));
  begin = steady_clock::now();
  EXPECT_EQ(told_after({after(503, "x-ms-retry-after-ms", "30"), after(429, "retry-after-ms", "30"), token_reply()}),
            "OK ann@contoso.com");
  EXPECT_EQ(told_after({after(429, "Retry-After", "-1"), token_reply()}), "OK ann@contoso.com");
  EXPECT_EQ(told_after({after(429, "Retry-After", "Thu, 01 Jan 2026 00:00:00 GMT"), token_reply()}),
            "OK ann@contoso.com");
  for (const char* wait : {"6", "99999999999", "Thu, 01 Jan 2099 00:00:00 GMT"}) {
    for (const int status : {429, 500, 503}) {
      EXPECT_TRUE(contains(told_after({after(status, "Retry-After", wait)}, milliseconds(60'000)), "AADSTS90055"))
          << wait;
      EXPECT_EQ(requests(), 1u) << wait;
    }
  }
  EXPECT_TRUE(contains(told_after({after(429, "Retry-After", "60")}), "it asks to be left alone for 60 s"));
  EXPECT_TRUE(contains(told_after({after(429, "Retry-After", "soon")}), "AADSTS90055"));
  EXPECT_EQ(requests(), 1u);
  EXPECT_LT(steady_clock::now() - begin, milliseconds(1000));
}

TEST_F(Entra, NothingWaitsPastTheDeadline) {
  const auto begin = steady_clock::now();
  EXPECT_TRUE(contains(told_after({Reply{503, "{}", {{"Retry-After", "3"}}}}, milliseconds(400)), "status 503"));
  EXPECT_TRUE(contains(told_after({Reply{500, "{}"}}, milliseconds(400)), "status 500"));
  Reply silent;
  silent.manner = Manner::kSilent;
  EXPECT_TRUE(contains(told_after({silent}, milliseconds(300)), "did not answer in time"));
  EXPECT_LT(steady_clock::now() - begin, milliseconds(1000));
}

TEST_F(Entra, BrokenTransport) {
  for (const auto& [manner, why] : std::vector<std::pair<Manner, const char*>>{{Manner::kTruncated, "broke off"},
                                                                               {Manner::kDropped, "broke off"}}) {
    Reply broken = token_reply();
    broken.manner = manner;
    EXPECT_EQ(told_after({broken, token_reply()}), "OK ann@contoso.com");
    const std::string said = told_after({broken}, milliseconds(400));
    EXPECT_TRUE(contains(said, why)) << said;
    EXPECT_TRUE(contains(said, "cannot reach Microsoft Entra at " + server_.url() + kPath)) << said;
    EXPECT_TRUE(contains(said, "HTTPS_PROXY")) << said;
  }
  Reply endless = token_reply();
  endless.manner = Manner::kEndless;
  EXPECT_TRUE(contains(told_after({endless}), "more than 1 MiB"));
  EXPECT_EQ(requests(), 1u);
  Reply babble = token_reply();
  babble.manner = Manner::kNotHttp;
  EXPECT_TRUE(contains(told_after({babble}, milliseconds(400)), "cannot reach Microsoft Entra"));
  setting("authority", "http://127.0.0.1:" + std::to_string(closed_port()));
  EXPECT_TRUE(contains(told(fetch_client_secret, milliseconds(400)), "127.0.0.1 port"));
}

TEST_F(Entra, OverHttpsWithAnAuthorityOfItsOwn) {
  HttpServer entra([this](const Heard& heard) { return answer(heard); }, "127.0.0.1", 0, made_path("server.crt"),
                   made_path("server.key"));
  setting("authority", entra.url());
  setting("ca_bundle", made_path("ca.crt"));
  EXPECT_EQ(told(fetch_client_secret), "OK ann@contoso.com");
  setting("ca_bundle", made_path("ec.crt"));
  const auto begin = steady_clock::now();
  EXPECT_TRUE(contains(told(fetch_client_secret), "SSL certificate problem"));
  EXPECT_LT(steady_clock::now() - begin, milliseconds(400)) << "a wrong certificate is not tried again";
  EXPECT_EQ(entra.count(), 1u);
}

// The password of a proxy stands in HTTPS_PROXY, and libcurl's own messages may repeat all of that.
TEST_F(Entra, AProxyThatRefusesIsToldWithoutItsPassword) {
  HttpServer proxy([](const Heard& heard) {
    return heard.method == "CONNECT" ? Reply{407, "s3cret", {{"Proxy-Authenticate", "Basic realm=\"s3cret\""}}}
                                     : Reply();
  });
  const std::string port = std::to_string(proxy.port());
  setting("authority", "https://login.invalid");
  for (const std::string& url :
       {"http://user:s3cret-of-proxy@127.0.0.1:" + port, "user:s3cret-of-proxy@127.0.0.1:" + port}) {
    set("HTTPS_PROXY", url);
    const size_t before = proxy.count();
    const std::string said = told(fetch_client_secret, milliseconds(300));
    EXPECT_TRUE(contains(said, "407")) << said;
    EXPECT_TRUE(contains(said, "check the network, HTTPS_PROXY")) << said;
    ASSERT_GT(proxy.count(), before);
    EXPECT_EQ(last_of(proxy).target, "login.invalid:443") << "a tunnel, in which the authority is verified";
  }
  for (const char* url :
       {"http://user:s3cret@[bad", "http://user:s3cret@127.0.0.1:port", "gopher://user:s3cret@127.0.0.1:1",
        "http://user:s3cret@127.0.0.1:1:2", "http://user:s3 cret@127.0.0.1", "http://u:s3cret@"}) {
    set("HTTPS_PROXY", url);
    EXPECT_TRUE(contains(told(fetch_client_secret, milliseconds(300)), "HTTPS_PROXY")) << url;
  }
  unsetenv("HTTPS_PROXY");
}

TEST_F(Entra, GoesThroughTheProxyOfTheEnvironment) {
  set("http_proxy", server_.url());
  setting("authority", "http://login.invalid");
  EXPECT_EQ(told(fetch_client_secret), "OK ann@contoso.com");
  EXPECT_EQ(last().target, "http://login.invalid" + std::string(kPath));
  unsetenv("http_proxy");
}

// ------------------------------------------------------------------------------------------------------- certificates

TEST_F(Entra, CertificateFilesThatAreTaken) {
  const std::string key = made("leaf.key"), leaf = made("leaf.crt"), ca = made("ca.crt");
  for (const auto& [bytes, password] : std::vector<std::pair<std::string, std::string>>{
           {key + leaf, ""},
           {leaf + key, ""},
           {leaf + key, "harmless"},
           {ca + leaf + key, ""},
           {key + ca + leaf, ""},
           {leaf + made("closed.key"), "s3cret-pass"},
           {made("old-closed.key") + leaf, "s3cret-pass"},
           {"Bag Attributes\n    friendlyName: x\n" + key + "subject=CN = leaf\n" + leaf, ""},
           {made("closed.pfx"), "s3cret-pass"},
           {made("open.pfx"), ""},
       }) {
    ASSERT_EQ(with_certificate(bytes, password), "OK ann@contoso.com") << bytes.substr(0, 200);
    EXPECT_EQ(last_assertion().header["x5t#S256"].asString(), base64url(digest("SHA256", made("leaf.der"))));
    EXPECT_TRUE(is_ps256(last_assertion(), made("leaf.der")));
  }
}

TEST_F(Entra, TheAssertion) {
  clock_.skew = 5000;
  const int64_t now = clock_.now();
  ASSERT_EQ(with_certificate(made("leaf.crt") + made("leaf.key")), "OK ann@contoso.com");
  const Assertion first = last_assertion();
  EXPECT_EQ(first.header.getMemberNames(), (std::vector<std::string>{"alg", "typ", "x5t#S256"}));
  EXPECT_EQ(first.payload["aud"].asString(), server_.url() + kPath);
  EXPECT_EQ(first.payload["iss"].asString(), kClient);
  EXPECT_EQ(first.payload["sub"].asString(), kClient);
  EXPECT_NEAR(static_cast<double>(first.payload["nbf"].asInt64()), static_cast<double>(now), 2);
  EXPECT_EQ(first.payload["exp"].asInt64() - first.payload["nbf"].asInt64(), 600);
  EXPECT_TRUE(first.payload["exp"].isInt64());
  ASSERT_TRUE(ask(fetch_client_certificate));
  EXPECT_NE(last_assertion().payload["jti"], first.payload["jti"]);
  // The chain, the leaf first however the file has it, in base64 as DER is written.
  setting("send_certificate_chain", "true");
  ASSERT_EQ(with_certificate(made("ca.crt") + made("leaf.crt") + made("leaf.key")), "OK ann@contoso.com");
  const Json::Value chain = last_assertion().header["x5c"];
  ASSERT_EQ(chain.size(), 2u);
  EXPECT_EQ(from_base64(chain[0].asString()), made("leaf.der"));
  EXPECT_EQ(from_base64(chain[1].asString()), made("ca.der"));
  EXPECT_EQ(chain[0].asString().size() % 4, 0u) << "padded";
  EXPECT_FALSE(contains(chain[0].asString(), "\n"));
  ASSERT_EQ(with_certificate(made("closed.pfx"), "s3cret-pass"), "OK ann@contoso.com");
  EXPECT_EQ(last_assertion().header["x5c"], chain);
}

TEST_F(Entra, CertificateFilesThatAreNot) {
  const std::string key = made("leaf.key"), leaf = made("leaf.crt");
  struct Row {
    std::string bytes, password, said;
  };
  for (const Row& row : {
           Row{leaf + made("closed.key"), "", "if it is encrypted, set AZURE_CLIENT_CERTIFICATE_PASSWORD"},
           Row{leaf + made("closed.key"), "wr0ng-pass", "is AZURE_CLIENT_CERTIFICATE_PASSWORD right?"},
           Row{made("closed.pfx"), "", "if it is encrypted, set AZURE_CLIENT_CERTIFICATE_PASSWORD"},
           Row{made("closed.pfx"), "wr0ng-pass", "is AZURE_CLIENT_CERTIFICATE_PASSWORD right?"},
           Row{made("keyless.pfx"), "", "has no private key that can be read"},
           Row{made("ec.crt") + made("ec.key"), "", "must be RSA with at least 2048 bits"},
           Row{made("small.crt") + made("small.key"), "", "must be RSA with at least 2048 bits"},
           Row{leaf, "", "has no private key that can be read"},
           Row{key, "", "has no certificate that belongs to its private key"},
           Row{made("ca.crt") + key, "", "has no certificate that belongs to its private key"},
           Row{"", "", "has no private key that can be read"},
           Row{"hello", "", "has no private key that can be read"},
           Row{key.substr(0, key.size() / 2) + leaf, "", "has no private key that can be read"},
           Row{made("closed.pfx").substr(0, 900), "s3cret-pass", "is AZURE_CLIENT_CERTIFICATE_PASSWORD right?"},
           Row{leaf + key + std::string(1 << 20, ' '), "", "larger than 1048576 bytes"},
       }) {
    const std::string said = with_certificate(row.bytes, row.password);
    EXPECT_TRUE(contains(said, row.said)) << said;
    EXPECT_TRUE(contains(said, "AZURE_CLIENT_CERTIFICATE_PATH")) << said;
    EXPECT_TRUE(contains(said, home + "/identity")) << said;
    EXPECT_FALSE(contains(said, "wr0ng-pass")) << said;
    EXPECT_EQ(ERR_peek_error(), 0u) << "libpq would take it for its own: " << said;
  }
  setting("certificate_path", home + "/nowhere");
  EXPECT_TRUE(contains(told(fetch_client_certificate), "nowhere: No such file or directory; check AZURE_CLIENT_CERT"));
  setting("certificate_path", home);
  EXPECT_TRUE(contains(told(fetch_client_certificate), "Is a directory"));
  EXPECT_EQ(server_.count(), 0u);
}

TEST_F(Entra, APfxOfOldIsToldFromAWrongPassword) {
  if (made("legacy.pfx").empty()) GTEST_SKIP() << "this OpenSSL cannot write one";
  const std::string said = with_certificate(made("legacy.pfx"), "s3cret-pass");
  EXPECT_TRUE(contains(said, "that OpenSSL 3 does not read")) << said;
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST_F(Entra, ACertificateThatIsNotRegistered) {
  replies_ = {refused(401, "invalid_client", "AADSTS700027: Not registered.", R"(,"error_codes":[700027])")};
  const std::string said = with_certificate(made("leaf.crt") + made("leaf.key"));
  EXPECT_TRUE(contains(said, "the certificate is not registered with the application; upload it there")) << said;
}

// -------------------------------------------------------------------------------------------------- workload identity

TEST_F(Entra, TheFederatedTokenIsReadEachTime) {
  const std::string type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
  setting("federated_token_file", write("token", " \t" + jwt("{}") + "\r\n\n"));
  EXPECT_EQ(told(fetch_workload_identity), "OK ann@contoso.com");
  EXPECT_EQ(form_of(last().body), (Form{{"client_id", kClient},
                                        {"scope", kScope},
                                        {"grant_type", "client_credentials"},
                                        {"client_assertion", jwt("{}")},
                                        {"client_assertion_type", type}}));
  write("token", "rotated.assertion.two");
  EXPECT_EQ(told(fetch_workload_identity), "OK ann@contoso.com");
  EXPECT_EQ(form_of(last().body)["client_assertion"], "rotated.assertion.two");
  // As the kubelet does it: the link to the folder is turned to another one, while readers come and go.
  for (const char* folder : {"/1", "/2"}) {
    std::filesystem::create_directory(home + folder);
    write(std::string(folder) + "/token", std::string("token.of.folder") + folder + std::string(3000, folder[1]));
  }
  std::filesystem::create_directory_symlink("1", home + "/..data");
  std::filesystem::create_symlink("..data/token", home + "/projected");
  std::atomic<bool> is_over = false;
  std::thread kubelet([&] {
    for (int i = 0; !is_over; ++i) {
      std::filesystem::create_directory_symlink(i % 2 == 0 ? "2" : "1", home + "/..new");
      std::filesystem::rename(home + "/..new", home + "/..data");
    }
  });
  std::map<std::string, int> seen;
  for (int i = 0; i < 2000; ++i) {
    const auto token = read_token_file(home + "/projected", 64 * 1024);
    ++seen[token ? std::string(token->reveal()) : token.error().text];
  }
  is_over = true;
  kubelet.join();
  for (const auto& [token, count] : seen) {
    EXPECT_TRUE(token == "token.of.folder/1" + std::string(3000, '1') ||
                token == "token.of.folder/2" + std::string(3000, '2'))
        << token;
  }
}

TEST_F(Entra, FederatedTokenFilesThatAreNone) {
  const auto said_of = [&](const std::string& path) {
    setting("federated_token_file", path);
    const std::string said = told(fetch_workload_identity);
    EXPECT_TRUE(contains(said, "AZURE_FEDERATED_TOKEN_FILE")) << said;
    EXPECT_TRUE(contains(said, "runAsUser or fsGroup")) << said;
    return said;
  };
  EXPECT_TRUE(contains(said_of(home + "/nowhere"), "nowhere: No such file or directory"));
  EXPECT_TRUE(contains(said_of(write("token", "")), "is empty"));
  EXPECT_TRUE(contains(said_of(write("token", " \n")), "is empty"));
  EXPECT_TRUE(contains(said_of(write("token", std::string(64 * 1024 + 1, 'a'))), "larger than"));
  EXPECT_TRUE(contains(said_of(write("token", std::string(2 << 20, 'a'))), "larger than"));
  EXPECT_TRUE(contains(said_of(home), "Is a directory"));
  chmod(write("token", jwt("{}")).c_str(), 0);
  setfsuid(65534);  // root may read everything
  EXPECT_TRUE(contains(said_of(home + "/token"), "Permission denied"));
  setfsuid(geteuid());
  EXPECT_EQ(server_.count(), 0u);
}

TEST_F(Entra, WhatDoesNotMatchIsShownButForTheToken) {
  const std::string token = jwt(R"({"iss":"https://oidc.example/","sub":"system:serviceaccount:ns:sa",)"
                                R"("aud":["api://AzureADTokenExchange"]})");
  setting("federated_token_file", write("token", token));
  for (const char* code : {"70021", "700211", "700212", "700213"}) {
    replies_ = {refused(400, "invalid_request", std::string("AADSTS") + code + ": No matching federated identity.")};
    const std::string said = told(fetch_workload_identity);
    EXPECT_TRUE(contains(said,
                         "(the file's token has iss=https://oidc.example/ sub=system:serviceaccount:ns:sa "
                         "aud=api://AzureADTokenExchange)"))
        << said;
    EXPECT_FALSE(contains(said, token.substr(0, 30))) << said;
    EXPECT_FALSE(contains(said, "c2ln")) << said;
  }
  write("token", jwt(R"({"aud":"one\ntwo"})"));
  EXPECT_TRUE(contains(told(fetch_workload_identity), "aud=one?two)"));
  for (const std::string& odd : {std::string("opaque"), std::string("a.b.c"), jwt(R"({"aud":[7]})"), jwt("[]")}) {
    write("token", odd);
    EXPECT_TRUE(contains(told(fetch_workload_identity), "AADSTS700213")) << odd;
  }
}

class Binding : public Entra {
 protected:
  Binding()
      : proxy_([this](const Heard& heard) { return answer(heard); }, "127.0.0.1", 0, made_path("server.crt"),
               made_path("server.key")) {
    setting("federated_token_file", write("token", "a.b.c"));
    setting("authority", "https://login.invalid");
    setting("kubernetes_token_proxy", proxy_.url() + "/of/cluster/");
    setting("kubernetes_sni_name", "x.ests.aks");
    setting("kubernetes_ca_file", made_path("ca.crt"));
  }

  /// With one setting as given: the error. Nothing is sent.
  std::string said_with(const std::string& name, const std::string& value) {
    const auto before = values_;
    setting(name, value);
    const std::string said = told(fetch_workload_identity, milliseconds(400));
    values_ = before;
    EXPECT_EQ(proxy_.count() + server_.count(), 0u) << said;
    return said;
  }

  HttpServer proxy_;
};

TEST_F(Binding, TheRequestGoesThroughTheClusterUnderTheNameOfTheCertificate) {
  set("HTTPS_PROXY", "http://127.0.0.1:" + std::to_string(closed_port()));
  EXPECT_EQ(told(fetch_workload_identity), "OK ann@contoso.com");
  const Heard heard = last_of(proxy_);
  EXPECT_EQ(heard.target, "/of/cluster" + std::string(kPath));
  EXPECT_EQ(heard.headers.at("host"), "x.ests.aks");
  EXPECT_EQ(form_of(heard.body)["client_assertion"], "a.b.c");
  setting("kubernetes_ca_file", "");
  setting("kubernetes_ca_data", made("ca.crt"));
  setting("kubernetes_token_proxy", proxy_.url());
  EXPECT_EQ(told(fetch_workload_identity), "OK ann@contoso.com");
  EXPECT_EQ(last_of(proxy_).target, kPath);
  // Without a name of its own: the proxy's address is what the certificate must hold.
  setting("kubernetes_sni_name", "");
  EXPECT_EQ(told(fetch_workload_identity), "OK ann@contoso.com");
  EXPECT_EQ(last_of(proxy_).headers.at("host"), proxy_.url().substr(strlen("https://")));
  unsetenv("HTTPS_PROXY");
}

TEST_F(Binding, OnlyItsOwnAuthorityAndNameCount) {
  setting("ca_bundle", made_path("ca.crt"));
  EXPECT_TRUE(contains(said_with("kubernetes_ca_file", made_path("ec.crt")), "SSL certificate problem"));
  EXPECT_TRUE(contains(said_with("kubernetes_sni_name", "y.ests.aks"), "SSL"));
  const std::string said = said_with("kubernetes_token_proxy", "https://127.0.0.1:" + std::to_string(closed_port()));
  EXPECT_TRUE(contains(said, "check the AZURE_KUBERNETES_* variables")) << said;
}

TEST_F(Binding, WhatIsSetMustFitTogether) {
  for (const char* url : {"http://127.0.0.1:1", "127.0.0.1:1", "https://", "https://u:s3cret@127.0.0.1:1",
                          "https://127.0.0.1:1/?x=1", "https://127.0.0.1:1/#f"}) {
    EXPECT_TRUE(contains(said_with("kubernetes_token_proxy", url), "AZURE_KUBERNETES_TOKEN_PROXY")) << url;
  }
  EXPECT_TRUE(contains(said_with("kubernetes_token_proxy", ""), "set without AZURE_KUBERNETES_TOKEN_PROXY"));
  EXPECT_TRUE(contains(said_with("kubernetes_ca_data", made("ca.crt")),
                       "both AZURE_KUBERNETES_CA_FILE and AZURE_KUBERNETES_CA_DATA are set"));
  EXPECT_TRUE(contains(said_with("kubernetes_ca_file", home + "/nowhere"), "check AZURE_KUBERNETES_CA_FILE"));
  EXPECT_TRUE(contains(said_with("kubernetes_ca_file", write("empty", "")), "AZURE_KUBERNETES_CA_FILE is empty"));
  for (const char* name : {"a/b", "a?b", "a b", "a:1", "u@h"}) {
    EXPECT_TRUE(contains(said_with("kubernetes_sni_name", name), "must be a host name")) << name;
  }
}

// ---------------------------------------------------------------------------------------------------- pieces of their
// own

TEST(EntraPieces, Resource) {
  EXPECT_EQ(resource_of(kScope), "https://ossrdbms-aad.database.windows.net");
  EXPECT_EQ(resource_of("https://x.net//.default"), "https://x.net/");  // the slash is part of the audience
  EXPECT_EQ(resource_of("https://x.net/"), "https://x.net/");
  EXPECT_EQ(resource_of("https://x.net/.default/"), "https://x.net/.default/");
  EXPECT_EQ(resource_of("https://x.net/.default/.default"), "https://x.net/.default");
  EXPECT_EQ(resource_of(""), "");
}

TEST(EntraPieces, UserNamesByTheClaims) {
  const std::string mirid =
      "/subscriptions/0/resourcegroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/";
  const auto claim = [](const std::string& name, const std::string& value) {
    return "\"" + name + "\":\"" + value + "\"";
  };
  const std::string upn = claim("upn", "ann@contoso.com"), preferred = claim("preferred_username", "bob@contoso.com"),
                    unique = claim("unique_name", "cid@contoso.com"), app = R"("appid":"a","oid":"o")";
  for (const auto& [claims, name] : std::vector<std::pair<std::string, std::string>>{
           {claim("xms_mirid", mirid + "my-app-id") + "," + upn, "my-app-id"},
           {claim("xms_mirid", "/SUBSCRIPTIONS/0/PROVIDERS/MICROSOFT.MANAGEDIDENTITY/USERASSIGNEDIDENTITIES/My-App"),
            "My-App"},
           {claim("xms_mirid", "/subscriptions/0/providers/Microsoft.Compute/virtualMachines/vm") + "," + upn,
            "ann@contoso.com"},
           {claim("xms_mirid", "/subscriptions/0/providers/Microsoft.Web/sites/app"), ""},
           {claim("xms_mirid", mirid) + "," + upn, "ann@contoso.com"},
           {claim("xms_mirid", mirid + "x/y") + "," + upn, "ann@contoso.com"},
           {R"("xms_mirid":7,)" + upn, "ann@contoso.com"},
           {unique + "," + preferred + "," + upn, "ann@contoso.com"},
           {unique + "," + preferred, "bob@contoso.com"},
           {unique, "cid@contoso.com"},
           {claim("unique_name", "live.com#cid@example.com"), ""},
           {claim("unique_name", "cid_example.com#EXT#@contoso.onmicrosoft.com"),
            "cid_example.com#EXT#@contoso.onmicrosoft.com"},
           {claim("upn", "cid_example.com#EXT#@contoso.onmicrosoft.com"),
            "cid_example.com#EXT#@contoso.onmicrosoft.com"},
           {app, ""},
           {claim("upn", "a\\nb") + "," + unique, "cid@contoso.com"},
           {claim("upn", "a\\u0000b"), ""},
       }) {
    const auto found = entra_token(jwt("{" + claims + "}"), 10, 5);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->text, name) << claims;
    EXPECT_EQ(found->expires, 10);
    EXPECT_EQ(found->refresh_at, 5);
  }
}

TEST(EntraPieces, IdentitiesByTheClaims) {
  for (const auto& [token, identity] : std::vector<std::pair<std::string, std::string>>{
           {jwt(R"({"oid":"o-1","appid":"a-1","azp":"z-1"})"), "oid=o-1, appid=a-1"},
           {jwt(R"({"oid":"o-1","azp":"z-1"})"), "oid=o-1, appid=z-1"},
           {jwt(R"({"oid":"o\n1"})"), "oid=o?1"},
           {jwt(R"({"appid":"a-1"})"), "appid=a-1"},
           {jwt("{}"), ""},
           {jwt("[]"), ""},
           {"opaque", ""},
           {"a.b", ""},
           {"..", ""},
       }) {
    const auto found = entra_token(token, 1, 1);
    ASSERT_TRUE(found) << token;
    EXPECT_EQ(found->identity, identity) << token;
    EXPECT_EQ(found->token.reveal(), token);
  }
}

TEST(EntraPieces, Expiry) {
  constexpr int64_t kNow = 1'000'000;
  constexpr int64_t kThen = 1'768'480'496;  // 2026-01-15T12:34:56Z
  for (const auto& [answer, expiry] : std::vector<std::pair<std::string, std::optional<int64_t>>>{
           {R"({"expires_on":"1768480496","expires_in":"86399"})", kThen},
           {R"({"expires_on":1768480496})", kThen},
           {R"({"expires_on":"2026-01-15T12:34:56Z"})", kThen},
           {R"({"expires_on":"2026-01-15T12:34:56.789Z"})", kThen},
           {R"({"expires_on":"2026-01-15T12:34:56+00:00"})", kThen},
           {R"({"expires_on":"2026-01-15 12:34:56"})", kThen},
           {R"({"expires_on":"01/15/2026 12:34:56 +00:00"})", kThen},
           {R"({"expires_on":"1/15/2026 12:34:56"})", kThen},
           {R"({"expires_on":"01/15/2026 12:34:56 +05:00","expires_in":60})", kNow + 60},
           {R"({"expires_on":"soon","expires_in":"60"})", kNow + 60},
           {R"({"expires_on":"0","expires_in":60})", kNow + 60},
           {R"({"expires_on":-5})", std::nullopt},
           {R"({"expires_in":3599})", kNow + 3599},
           {R"({"expires_in":"3599"})", kNow + 3599},
           {R"({"expires_in":-3599})", kNow},
           {R"({"expires_in":9223372036854775807})", kNow + 315'360'000},
           {R"({"expires_in":true})", std::nullopt},
           {R"({"expires_on":[]})", std::nullopt},
           {R"({})", std::nullopt},
       }) {
    const auto document = parse_json_object(answer);
    ASSERT_TRUE(document) << answer;
    EXPECT_EQ(token_expiry(*document, kNow), expiry) << answer;
  }
}

}  // namespace
}  // namespace pqmint
