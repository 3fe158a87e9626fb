// SPDX-License-Identifier: PostgreSQL
// STS: requests as botocore makes them, byte for byte; answers well formed and not; where the service is called.

#include "net/aws/sts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <future>
#include <map>

#include "http_server.h"
#include "net/aws/endpoint.h"
#include "support.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::closed_port;
using test::contains;
using test::Heard;
using test::HttpServer;
using test::Reply;
using Manner = Reply::Manner;

class Sts : public test::CleanEnvironment {
 protected:
  void setting(const std::string& name, const std::string& value) { values_.emplace_back(name, value); }

  Query query(milliseconds time = milliseconds(5000)) {
    settings_.clear();
    for (const auto& [name, value] : values_) settings_.push_back({name.c_str(), value.c_str()});
    return {Settings(settings_), &signer_, Deadline::in(time), clock_};
  }

  /// The access key id, or the error.
  std::string assume(milliseconds time = milliseconds(5000)) { return told(fetch_assume_role(query(time))); }
  std::string assume_by_web(milliseconds time = milliseconds(5000)) { return told(fetch_web_identity(query(time))); }

  std::string told(const Result<Fetched>& found) {
    if (found) return found->access_key_id;
    EXPECT_FALSE(contains(found.error().text, "\n"));
    EXPECT_FALSE(contains(found.error().text, "s3cret"));
    return found.error().text;
  }

  /// Asks a server that always gives this reply.
  std::string assume_from(Reply reply, milliseconds time = milliseconds(5000)) {
    HttpServer server([&](const Heard&) { return reply; });
    values_.clear();
    setting("role_arn", "arn:aws:iam::123456789012:role/R");
    setting("profile", "app");
    setting("endpoint_url_sts", server.url());
    setting("max_attempts", "1");
    const std::string said = assume(time);
    count_ = server.count();
    return said;
  }

  pqmint_keys signer_ = {"AKIAIOSFODNN7EXAMPLE", "s3cret", nullptr};
  Clock clock_;
  std::vector<std::pair<std::string, std::string>> values_;
  std::vector<pqmint_setting> settings_;
  size_t count_ = 0;
  std::string last_;
};

std::string answer(const std::string& action = "AssumeRole", const std::string& expiration = "2099-01-15T13:34:56Z") {
  return "<" + action + "Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><" + action +
         "Result><AssumedRoleUser><AssumedRoleId>AROA:s</AssumedRoleId><Arn>a</Arn></AssumedRoleUser><Credentials>"
         "<SessionToken>t/o+k=</SessionToken><AccessKeyId>ASIA1</AccessKeyId>\n <Expiration>" +
         expiration + "</Expiration><SecretAccessKey>a&amp;b</SecretAccessKey></Credentials></" + action +
         "Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></" + action + "Response>";
}

Reply xml(const std::string& body, int status = 200) {
  return {status, body, {{"Content-Type", "text/xml"}}};
}

Reply fault(int status, const std::string& code, const std::string& message = "why") {
  return xml("<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>" + code + "</Code><Message>" + message +
                 "</Message></Error><RequestId>1</RequestId></ErrorResponse>",
             status);
}

std::map<std::string, std::string> headers_of(const HttpRequest& request) {
  std::map<std::string, std::string> all;
  for (const auto& [name, value] : request.headers) all[name] = value.reveal();
  return all;
}

TEST_F(Sts, RequestsAreThoseOfBotocore) {
  int count = 0;
  for (const Json::Value& row : test::vectors("sts_requests.json")) {
    SCOPED_TRACE(row["name"].asString());
    const Json::Value& parameters = row["params"];
    const bool web = parameters.isMember("WebIdentityToken");
    values_.clear();
    setting("region", row["region"].asString());
    setting("role_arn", parameters["RoleArn"].asString());
    setting("role_session_name", parameters["RoleSessionName"].asString());
    if (row["endpoint_url"].isString()) setting("endpoint_url_sts", row["endpoint_url"].asString());
    if (row["env"].isMember("AWS_USE_FIPS_ENDPOINT")) setting("use_fips_endpoint", "true");
    StsForm form(web ? "AssumeRoleWithWebIdentity" : "AssumeRole");
    form.add_role(query()).add("WebIdentityToken", parameters["WebIdentityToken"].asString());
    const std::string id = row["access_key"].asString(), secret = row["secret_key"].asString(),
                      token = row["session_token"].asString();
    signer_ = {id.c_str(), secret.c_str(), row["session_token"].isString() ? token.c_str() : nullptr};
    Query asked = query();
    if (web) asked.signer = nullptr;
    const auto request = sts_request(form, asked, *parse_instant(row["time"].asString()));
    ASSERT_TRUE(request) << request.error().text;
    EXPECT_EQ(request->method, row["method"].asString());
    EXPECT_EQ(request->url + "/", row["url"].asString());
    EXPECT_EQ(request->body->reveal(), row["body"].asString());
    EXPECT_EQ(std::to_string(request->body->size()), row["headers"]["Content-Length"].asString());
    std::map<std::string, std::string> expected;  // these and no others; libcurl adds the length
    for (const std::string& name : row["headers"].getMemberNames()) {
      if (name != "Content-Length") expected[name] = row["headers"][name].asString();
    }
    EXPECT_EQ(headers_of(*request), expected);
    ++count;
  }
  EXPECT_EQ(count, 6);
}

/// The signatures are botocore 1.43.11's for these URLs at this moment.
TEST_F(Sts, APathOfTheUsersOwnIsSignedAsBotocoreDoes) {
  signer_.secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  for (const auto& [url, signature] : {
           std::pair{"http://127.0.0.1:4566/path/", "59443bb493d87348f519840e88c28b14979e440583bd2f9ba5f43e39ff0ae5e3"},
           {"http://127.0.0.1:4566/a//b", "03b415d120b680b9a8b950859cfb9302f199914b8717dd717aa3b24c2284e8ef"},
           {"http://127.0.0.1:4566/a%20b+c:d~e", "092a9c1f49a959d512e35e419ab61f15a1c422bb081db0c22aaf18aca876cfc2"},
           {"http://127.0.0.1:4566/a/../b", "d8106a3682de004332108094b045b21ba82f5d8cd808bd7c66a5c7cc5691de8f"},
           {"http://127.0.0.1:4566/a/./b/..", "d0f41b3f43b29d8dd1eb2fc5cd4883bc923a244096e4343655ba995f03c46011"},
           {"http://127.0.0.1:4566/../", "d0ef17fdd3a8b23a7b1daa2998a03b4241ddae4ed895cf3cc3dc854db4328fe2"},
           {"http://127.0.0.1:4566/a/b/../", "cd9912f09ba362546dfd4484396f8dbac5e23c90a9f878a140f869f00ba2a6a4"},
           {"http://[::1]:4566", "833643a83f86b746a959be9f820df15c3e9386bfb0aedbdabfa36cf3b8c7bd53"},
           {"https://h.example:443", "b93e280d9ae2e4b15fd6e5f333fabb69d8c1030e7a10f4e91d19d979b3bff95d"},
       }) {
    values_.clear();
    setting("region", "eu-west-1");
    setting("role_arn", "arn:aws:iam::123456789012:role/R");
    setting("role_session_name", "sess@x");
    setting("endpoint_url_sts", url);
    StsForm form("AssumeRole");
    form.add_role(query()).add("ExternalId", "a b+c").add("DurationSeconds", "1800");
    const auto request = sts_request(form, query(), 1768480496);
    ASSERT_TRUE(request) << request.error().text;
    EXPECT_EQ(request->url, url);
    EXPECT_TRUE(headers_of(*request)["Authorization"].ends_with(std::string("Signature=") + signature)) << url;
  }
}

TEST_F(Sts, WhatIsSentIsWhatWasSigned) {
  HttpServer server([](const Heard&) { return xml(answer()); });
  signer_.session_token = "tok/en+1==";
  setting("role_arn", "r");
  setting("region", "eu-west-1");
  setting("endpoint_url_sts", server.url() + "/path/");
  EXPECT_EQ(assume(), "ASIA1");
  const Heard heard = server.heard().at(0);
  EXPECT_EQ(heard.method, "POST");
  EXPECT_EQ(heard.target, "/path/");
  EXPECT_EQ("http://" + heard.headers.at("host"), server.url());
  EXPECT_EQ(heard.headers.at("content-length"), std::to_string(heard.body.size()));
  EXPECT_EQ(heard.headers.at("x-amz-security-token"), "tok/en+1==");
  const std::string_view authorization = heard.headers.at("authorization");
  EXPECT_TRUE(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/" +
                                        heard.headers.at("x-amz-date").substr(0, 8) + "/eu-west-1/sts/aws4_request, "))
      << authorization;
  EXPECT_TRUE(contains(std::string(authorization), "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"));
}

TEST_F(Sts, AKeyWithALineBreakDoesNotBecomeAHeader) {
  HttpServer server([](const Heard&) { return xml(answer()); });
  setting("role_arn", "r");
  setting("endpoint_url_sts", server.url());
  signer_.session_token = "token\r\nX-Other: 1";
  EXPECT_TRUE(contains(assume(), "holds a line break")) << assume();
  signer_ = {"AKIA\nX", "s3cret", nullptr};
  EXPECT_TRUE(contains(assume(), "holds a line break"));
  EXPECT_EQ(server.count(), 0u);
}

TEST_F(Sts, TheAnswerMayComeInAnyOrderAndInPieces) {
  EXPECT_EQ(assume_from(xml(answer())), "ASIA1");
  const auto found = parse_sts_answer(answer(), "AssumeRole", 0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->secret_access_key.reveal(), "a&b");
  EXPECT_EQ(found->session_token.reveal(), "t/o+k=");
  EXPECT_EQ(found->expires, 4072167296);
  Reply slow = xml(answer());
  slow.manner = Manner::kInPieces;
  EXPECT_EQ(assume_from(slow), "ASIA1");
  const auto odd = parse_sts_answer(
      "<?xml version=\"1.0\"?><a:R xmlns:a=\"x\"><a:Credentials><a:AccessKeyId> ASIA2 "
      "</a:AccessKeyId><a:SecretAccessKey>"
      "<![CDATA[x<y]]></a:SecretAccessKey><a:SessionToken>&#x41;&#66;&lt;</"
      "a:SessionToken><a:Expiration>2099-01-15T13:34:56Z"
      "</a:Expiration></a:Credentials></a:R>",
      "AssumeRole", 0);
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->access_key_id, "ASIA2");
  EXPECT_EQ(odd->secret_access_key.reveal(), "x<y");
  EXPECT_EQ(odd->session_token.reveal(), "AB<");
}

std::string credentials_with(const std::string& inside) {
  return "<R>" + inside + "<Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>k</SecretAccessKey>" +
         "<SessionToken>t</SessionToken><Expiration>2099-01-15T13:34:56Z</Expiration></Credentials></R>";
}

/// The session token of an answer that has `text` there, or the error.
std::string token_from(const std::string& text) {
  const auto found = parse_sts_answer(
      "<Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>k</SecretAccessKey>"
      "<Expiration>2099-01-15T13:34:56Z</Expiration><SessionToken>" +
          text + "</SessionToken></Credentials>",
      "AssumeRole", 0);
  return found ? std::string(found->session_token.reveal()) : found.error().text;
}

TEST(StsXml, TextIsWhatItStandsFor) {
  EXPECT_EQ(token_from("a&amp;&lt;&gt;&quot;&apos;b"), "a&<>\"'b");
  EXPECT_EQ(token_from("&#65;&#x42;&#xe9;&#x20AC;&#x1F600;"), "AB\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  EXPECT_EQ(token_from("&amp;lt;"), "&lt;") << "resolved once";
  EXPECT_EQ(token_from("a<![CDATA[<b>&amp;]]>c<!-- no -->d<?no no?>e"), "a<b>&amp;cde");
  EXPECT_EQ(token_from("\r\n a b \t"), "a b");
  for (const char* none :
       {"&", "&;", "&none;", "&#;", "&#x;", "&#0;", "&#xD800;", "&#x110000;", "&#-5;", "&#12a;", "a&b"}) {
    EXPECT_EQ(token_from(none), none) << "no entity";
  }
}

TEST(StsXml, NothingIsTakenFromOutsideTheCredentials) {
  constexpr const char* kDecoy = "<AccessKeyId>decoy</AccessKeyId>";
  for (const std::string& before : {
           std::string(kDecoy),
           "<!-- <Credentials>" + std::string(kDecoy) + "</Credentials> -->",
           "<![CDATA[<Credentials>" + std::string(kDecoy) + "</Credentials>]]>",
           std::string("<A b='&lt;Credentials>' c=\"/>\"/>"),
           std::string("<CredentialsOfOthers>") + kDecoy + "</CredentialsOfOthers>",
       }) {
    const auto found = parse_sts_answer(credentials_with(before), "AssumeRole", 0);
    ASSERT_TRUE(found) << before;
    EXPECT_EQ(found->access_key_id, "ASIA1") << before;
  }
  EXPECT_FALSE(
      parse_sts_answer("<R><Credentials><In><AccessKeyId>A</AccessKeyId><SecretAccessKey>k</SecretAccessKey>"
                       "<SessionToken>t</SessionToken><Expiration>2099-01-15T13:34:56Z</Expiration></In>"
                       "</Credentials></R>",
                       "AssumeRole", 0))
      << "further down";
  EXPECT_EQ(token_from("a<SessionToken>inner</SessionToken>b"), "ab");
}

TEST(StsXml, WhatIsNoXmlIsNotBelieved) {
  const std::string whole = answer();
  ASSERT_TRUE(parse_sts_answer(whole, "AssumeRole", 0));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse_sts_answer(whole.substr(0, size), "AssumeRole", 0)) << size;
  }
  ASSERT_TRUE(parse_sts_answer(credentials_with(""), "AssumeRole", 0));
  for (const char* bad :
       {"<a></b>", "</a>", "<>", "< a/>", "<!DOCTYPE a>", "<a b='>", "<!-- ", "<![CDATA[", "<?", "<a <b/>"}) {
    EXPECT_FALSE(parse_sts_answer(credentials_with(bad), "AssumeRole", 0)) << bad;
  }
  EXPECT_FALSE(parse_sts_answer(credentials_with("") + "<", "AssumeRole", 0));
  EXPECT_TRUE(contains(token_from("a</SessionToken><SessionToken>b"), "holds no credentials")) << "twice";
  const auto nested = [](size_t depth) {
    std::string before, after;
    for (size_t i = 2; i < depth; ++i) before += "<a>", after += "</a>";  // beside Credentials and its children
    return parse_sts_answer(before + credentials_with("").substr(3, credentials_with("").size() - 7) + after,
                            "AssumeRole", 0);
  };
  EXPECT_TRUE(nested(32));
  EXPECT_FALSE(nested(33));
  EXPECT_FALSE(nested(100'000));
}

/// The scanner runs after the deadline's last look: whatever stands in the 1 MiB that an answer may have, it is quick.
TEST(StsXml, NoAnswerTakesLong) {
  const auto many = [](const std::string& text) {
    std::string all;
    while (all.size() + text.size() < kMaxHttpBody) all += text;
    return all;
  };
  const auto begin = std::chrono::steady_clock::now();
  for (const char* text :
       {"<", "</", "<a", "<!--", "<![CDATA[", "<a b='", "<a/>", "<a></a>", "&", "&#", "<Credentials>"}) {
    const std::string all = many(text);
    for (const std::string& each : {all, all + ">", "<Credentials><SessionToken>" + all}) {
      EXPECT_FALSE(parse_sts_answer(each, "AssumeRole", 0)) << text;
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(Sts, ABadDocumentIsNotBelieved) {
  for (const std::string& bad :
       {std::string(), std::string("<html>"), std::string("{}"), answer().substr(0, 300), std::string("<Credentials>"),
        std::string("<Credentials><AccessKeyId>A</AccessKeyId></Credentials>"), answer("AssumeRole", "soon"),
        "<AccessKeyId>outside</AccessKeyId>" + std::string("<Credentials></Credentials>"), std::string(1000, '<')}) {
    const std::string said = assume_from(xml(bad));
    EXPECT_TRUE(contains(said, "profile \"app\": AssumeRole: the answer of STS holds no credentials")) << said;
    EXPECT_TRUE(contains(said, "(status 200, text/xml, " + std::to_string(bad.size()) + " bytes)")) << said;
  }
}

TEST_F(Sts, ExpiryCountsByTheServersClock) {
  const std::string late = "credentials were refreshed, but the refreshed credentials are still expired";
  EXPECT_TRUE(contains(assume_from(xml(answer("AssumeRole", "2020-01-15T13:34:56Z"))), late));
  Reply future = xml(answer("AssumeRole", "2090-01-15T13:34:56Z"));
  EXPECT_EQ(assume_from(future), "ASIA1");
  future.headers["Date"] = "Thu, 15 Jan 2099 12:34:56 GMT";
  EXPECT_TRUE(contains(assume_from(future), late));
  EXPECT_FALSE(parse_sts_answer(answer("AssumeRole", "2026-01-15T12:34:56Z"), "AssumeRole", 1768480496));
  EXPECT_TRUE(parse_sts_answer(answer("AssumeRole", "2026-01-15T12:34:57+00:00"), "AssumeRole", 1768480496));
}

TEST_F(Sts, RefusalsAreSentences) {
  const std::string denied =
      assume_from(fault(403, "AccessDenied", "User: u is not authorized\nto do that &amp; more"));
  EXPECT_EQ(
      denied.find("profile \"app\": An error occurred (AccessDenied) when calling the AssumeRole operation: User: u is "
                  "not authorized?to do that & more"),
      0u)
      << denied;
  EXPECT_TRUE(contains(denied, "trust policy"));
  EXPECT_EQ(count_, 1u);
  for (const auto& [code, remedy] : {
           std::pair{"ExpiredToken", "aws sso login"},
           {"InvalidClientTokenId", "another partition"},
           {"SignatureDoesNotMatch", "this machine's clock"},
           {"RequestTimeTooSkewed", "clock"},
           {"RegionDisabledException", "AWS_REGION"},
           {"InvalidIdentityToken", "known to IAM"},
           {"IDPRejectedClaim", "claims"},
           {"IDPCommunicationError", "try again"},
           {"ExpiredTokenException", "must renew it"},
           {"ValidationError", "role_session_name"},
       }) {
    const std::string said = assume_from(fault(403, code));
    EXPECT_EQ(said.find(std::string("profile \"app\": An error occurred (") + code +
                        ") when calling the AssumeRole operation: why ("),
              0u)
        << said;
    EXPECT_TRUE(contains(said, remedy)) << said;
  }
  EXPECT_EQ(assume_from(fault(400, "SomethingNew")),
            "profile \"app\": An error occurred (SomethingNew) when calling the AssumeRole operation: why");
  EXPECT_EQ(assume_from(fault(400, "SomethingNew", "")),
            "profile \"app\": An error occurred (SomethingNew) when calling the AssumeRole operation");
  EXPECT_TRUE(contains(assume_from(fault(400, std::string(5000, 'x'), std::string(50'000, 'y'))), "..."));
}

TEST_F(Sts, WhatIsNoErrorOfStsIsToldByItsLooks) {
  for (const Reply& reply :
       {Reply{502, "<html>", {{"Content-Type", "text/html"}}}, Reply{403, "denied", {{"Content-Type", "text/html"}}},
        Reply{302, "<html>", {{"Content-Type", "text/html"}, {"Location", "http://127.0.0.1:1/"}}},
        Reply{400, "<Code>OutOfPlace</Code>", {{"Content-Type", "text/html"}}},
        Reply{400, fault(400, "Truncated").body.substr(0, 90), {{"Content-Type", "text/html"}}}}) {
    EXPECT_EQ(assume_from(reply), "profile \"app\": AssumeRole: STS answered with status " +
                                      std::to_string(reply.status) + ", text/html, " +
                                      std::to_string(reply.body.size()) +
                                      " bytes, which is none of its own errors; is there a proxy in between?");
    EXPECT_EQ(count_, 1u);
  }
}

/// AWS answers a wrong signature with the canonical request, in which the session token stands.
TEST_F(Sts, ARefusalThatRepeatsTheTokenIsShownWithoutIt) {
  signer_.session_token = "s3cret-session-token";
  const std::string said =
      assume_from(fault(403, "SignatureDoesNotMatch",
                        "The Canonical String should have been 'x-amz-security-token:s3cret-session-token'"));
  EXPECT_TRUE(contains(said, "x-amz-security-token:*'")) << said;
  HttpServer server([](const Heard&) { return fault(400, "InvalidIdentityToken", "what is s3cret.web.token?"); });
  values_.clear();
  setting("role_arn", "r");
  setting("web_identity_token_file", write("jwt", "s3cret.web.token\n"));
  setting("endpoint_url_sts", server.url());
  EXPECT_TRUE(contains(assume_by_web(), "what is *?")) << assume_by_web();
  signer_.session_token = "s3cret-session-token";
  EXPECT_FALSE(contains(assume_from(fault(403, "s3cret-session-token", "no")), "s3cret")) << "nor in the code";
  signer_.session_token = "token";
  EXPECT_TRUE(contains(assume_from(fault(403, "InvalidClientTokenId", "The security token is invalid")),
                       "The security token is invalid"))
      << "a word is no token";
}

TEST_F(Sts, FaultsOfTheNetwork) {
  values_.clear();
  setting("role_arn", "r");
  setting("max_attempts", "1");
  setting("endpoint_url_sts", "http://127.0.0.1:" + std::to_string(closed_port()));
  EXPECT_TRUE(contains(assume(), "cannot reach STS at http://127.0.0.1:")) << assume();
  EXPECT_TRUE(contains(assume_from({200, answer(), {}, Manner::kTruncated}), "cannot reach STS"));
  EXPECT_TRUE(contains(assume_from({200, "", {}, Manner::kDropped}), "cannot reach STS"));
  EXPECT_TRUE(contains(assume_from({200, "", {}, Manner::kSilent}, milliseconds(300)), "did not answer in time"));
  EXPECT_TRUE(contains(assume_from({200, "", {}, Manner::kEndless}), "more than 1 MiB"));
  EXPECT_TRUE(contains(assume_from({200, "", {}, Manner::kNotHttp}), "cannot reach STS"));
}

TEST_F(Sts, ASlowAnswerCostsTheDeadlineAndNoMore) {
  const auto begin = std::chrono::steady_clock::now();
  Reply slow = xml(answer());
  slow.delay = std::chrono::seconds(3);
  EXPECT_TRUE(contains(assume_from(slow, milliseconds(400)), "did not answer in time"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(5000)) << "the server's own end is waited for too";
}

TEST_F(Sts, TlsThatFailsNamesTheBundle) {
  HttpServer server([](const Heard&) { return xml(answer()); });
  setting("role_arn", "r");
  setting("max_attempts", "1");
  setting("endpoint_url_sts", "https://127.0.0.1:" + std::to_string(server.port()));
  setting("ca_bundle", home + "/none.pem");
  EXPECT_TRUE(contains(assume(), "check AWS_CA_BUNDLE (ca_bundle)")) << assume();
}

TEST_F(Sts, AnEndpointMustBeAPlainUrl) {
  for (const char* bad : {"sts.example", "ftp://127.0.0.1:1", "http://", "http://user:pw@127.0.0.1:1"}) {
    values_.clear();
    setting("endpoint_url_sts", bad);
    EXPECT_TRUE(contains(assume(), "which is no http or https URL; correct it")) << bad << ": " << assume();
  }
  values_.clear();
  setting("endpoint_url_sts", "http://127.0.0.1:1/?a=b");
  EXPECT_TRUE(contains(assume(), "which is a URL with a query; correct it")) << assume();
}

TEST_F(Sts, ARequestThatIsTooLargeIsNotSent) {
  HttpServer server([](const Heard&) { return xml(answer()); });
  setting("role_arn", "r");
  setting("external_id", std::string(70'000, 'x'));
  setting("endpoint_url_sts", server.url());
  EXPECT_TRUE(contains(assume(), "larger than STS takes")) << assume();
  EXPECT_EQ(server.count(), 0u);
}

/// How many requests a refusal with this code leads to, of two at most.
size_t requests_for(const std::string& code, int status = 400) {
  HttpServer server([&](const Heard&) { return fault(status, code); });
  const std::string url = server.url();
  const pqmint_setting settings[] = {{"role_arn", "r"}, {"endpoint_url_sts", url.c_str()}, {"max_attempts", "2"}};
  const pqmint_keys signer = {"AKIA", "s3cret", nullptr};
  Clock clock;
  EXPECT_FALSE(fetch_assume_role({Settings(settings), &signer, Deadline::in(milliseconds(9000)), clock}));
  return server.count();
}

TEST_F(Sts, WhatPassesIsTriedAgainAndNothingElse) {
  struct Case {
    const char* code;
    size_t requests;
    int status = 400;
    std::future<size_t> found = {};
  };
  std::vector<Case> cases;
  for (const char* code : {"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
                           "RequestThrottledException", "TooManyRequestsException", "SlowDown", "RequestLimitExceeded",
                           "BandwidthLimitExceeded", "LimitExceededException", "ProvisionedThroughputExceededException",
                           "TransactionInProgressException", "PriorRequestNotComplete", "EC2ThrottledException",
                           "RequestTimeout", "RequestTimeoutException", "IDPCommunicationError"}) {
    cases.push_back({code, 2});
  }
  for (const int status : {429, 500, 502, 503, 504}) cases.push_back({"Other", 2, status});
  for (const char* code : {"AccessDenied", "ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch",
                           "InvalidIdentityToken", "ValidationError", "Other"}) {
    cases.push_back({code, 1, 403});
  }
  // Beside one another, for each pauses.
  for (Case& each : cases) each.found = std::async(std::launch::async, requests_for, each.code, each.status);
  for (Case& each : cases) EXPECT_EQ(each.found.get(), each.requests) << each.code << " " << each.status;
}

TEST_F(Sts, AThrottledCallSucceedsInTheEnd) {
  int count = 0;
  HttpServer server([&](const Heard&) { return ++count < 2 ? fault(400, "Throttling") : xml(answer()); });
  setting("role_arn", "r");
  setting("endpoint_url_sts", server.url());
  EXPECT_EQ(assume(), "ASIA1");
  EXPECT_EQ(count, 2);
}

TEST_F(Sts, AWrongClockIsSetRightOnce) {
  for (const char* code : {"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure", "RequestTimeTooSkewed",
                           "AccessDeniedException"}) {
    SCOPED_TRACE(code);
    clock_ = {};
    HttpServer server([&](const Heard& heard) {
      Reply reply = contains(heard.headers.at("x-amz-date"), "20990115T") ? xml(answer()) : fault(403, code);
      reply.headers["Date"] = "Thu, 15 Jan 2099 12:34:56 GMT";
      return reply;
    });
    values_.clear();
    setting("role_arn", "r");
    setting("endpoint_url_sts", server.url());
    EXPECT_EQ(assume(), "ASIA1");
    EXPECT_EQ(server.count(), 2u);
    EXPECT_EQ(assume(), "ASIA1");
    EXPECT_EQ(server.count(), 3u) << "the clock is known now";
  }
}

TEST_F(Sts, AClockThatIsNotTheCauseIsNotSetAgain) {
  const auto requests = [&](const char* code, const char* date) {
    clock_ = {};
    Reply reply = fault(403, code);
    if (date != nullptr) reply.headers["Date"] = date;
    last_ = assume_from(reply);
    return count_;
  };
  constexpr const char* kFar = "Thu, 15 Jan 2099 12:34:56 GMT";
  EXPECT_EQ(requests("SignatureDoesNotMatch", kFar), 2u) << "once and no more";
  EXPECT_TRUE(contains(last_, " s behind")) << last_;
  EXPECT_EQ(requests("SignatureDoesNotMatch", "Thu, 15 Jan 2015 12:34:56 GMT"), 2u);
  EXPECT_TRUE(contains(last_, " s ahead")) << last_;
  EXPECT_EQ(requests("SignatureDoesNotMatch", nullptr), 1u);
  EXPECT_FALSE(contains(last_, "; this machine's clock is ")) << last_;
  EXPECT_EQ(requests("AccessDenied", kFar), 1u) << "no code of a wrong clock";
  EXPECT_TRUE(contains(last_, " s behind")) << "but worth telling: " << last_;

  // A difference of less than four minutes is none.
  for (const auto& [seconds, expected] : {std::pair{230, 1u}, {-230, 1u}, {260, 2u}, {-260, 2u}}) {
    EXPECT_EQ(requests("SignatureDoesNotMatch", test::http_date(seconds).c_str()), expected) << seconds;
  }
}

TEST_F(Sts, WhatIsNotSignedIsNotSignedAgain) {
  HttpServer server([&](const Heard&) {
    Reply reply = fault(403, "AccessDeniedException");
    reply.headers["Date"] = "Thu, 15 Jan 2099 12:34:56 GMT";
    return reply;
  });
  setting("role_arn", "r");
  setting("web_identity_token_file", write("jwt", "t"));
  setting("endpoint_url_sts", server.url());
  assume_by_web();
  EXPECT_EQ(server.count(), 1u);
}

TEST_F(Sts, AKnownSkewCountsFromTheFirstTry) {
  HttpServer server([](const Heard&) { return xml(answer()); });
  setting("role_arn", "r");
  setting("endpoint_url_sts", server.url());
  clock_.learn(10LL * 365 * 86'400);
  EXPECT_EQ(assume(), "ASIA1");
  const std::string ahead = server.heard()[0].headers.at("x-amz-date").substr(0, 4);
  EXPECT_EQ(ahead, instant_text(time(nullptr) + 10LL * 365 * 86'400).substr(0, 4));
}

TEST_F(Sts, TheRolesSettings) {
  HttpServer server([](const Heard&) { return xml(answer()); });
  setting("role_arn", "r");
  setting("duration_seconds", "1800");
  setting("external_id", "a b+c");
  setting("endpoint_url_sts", server.url() + "/path/");
  EXPECT_EQ(assume(), "ASIA1");
  const std::string body = server.heard()[0].body;
  const std::string begin = "Action=AssumeRole&Version=2011-06-15&RoleArn=r&RoleSessionName=pqmint-";
  ASSERT_EQ(body.find(begin), 0u) << body;
  EXPECT_NEAR(std::stod(body.substr(begin.size())), static_cast<double>(time(nullptr)), 10);
  EXPECT_TRUE(body.ends_with("&ExternalId=a+b%2Bc&DurationSeconds=1800")) << body;
  for (const char* no_number : {"", "half an hour", "3600.5", "1e3", "-900", "3600s"}) {
    values_[1].second = no_number;
    assume();
    EXPECT_FALSE(contains(server.heard().back().body, "DurationSeconds")) << "botocore passes over " << no_number;
  }
}

TEST_F(Sts, EveryCharacterOfAFormIsEncodedAsBotocoreDoes) {
  StsForm form("AssumeRole");
  form.add("A", "az AZ09-_.~*!'()%20+&=/@\xC3\xA9\n").add("B", "").add("C", "%20");
  EXPECT_EQ(form.text().reveal(),
            "Action=AssumeRole&Version=2011-06-15"
            "&A=az+AZ09-_.~%2A%21%27%28%29%2520%2B%26%3D%2F%40%C3%A9%0A&C=%2520");
}

TEST_F(Sts, WebIdentityReadsItsFileEachTime) {
  HttpServer server([](const Heard&) { return xml(answer("AssumeRoleWithWebIdentity")); });
  const std::string file = write("jwt", " first.token \n");
  setting("role_arn", "r");
  setting("web_identity_token_file", file);
  setting("endpoint_url_sts", server.url());
  EXPECT_EQ(assume_by_web(), "ASIA1");
  write("jwt", "second.token");
  EXPECT_EQ(assume_by_web(), "ASIA1");
  EXPECT_TRUE(server.heard()[0].body.ends_with("&WebIdentityToken=first.token")) << server.heard()[0].body;
  EXPECT_TRUE(server.heard()[1].body.ends_with("&WebIdentityToken=second.token"));
  for (const char* header : {"authorization", "x-amz-date", "x-amz-security-token"}) {
    EXPECT_FALSE(server.heard()[0].headers.contains(header)) << header;
  }
  write("jwt", std::string(20'000, 'x'));
  EXPECT_EQ(assume_by_web(), "ASIA1");
}

TEST_F(Sts, ATokenFileThatCannotBeUsedIsNamed) {
  HttpServer server([](const Heard&) { return xml(answer("AssumeRoleWithWebIdentity")); });
  const std::string file = home + "/jwt";
  setting("role_arn", "r");
  setting("profile", "app");
  setting("web_identity_token_file", file);
  setting("endpoint_url_sts", server.url());
  const auto expect = [&](const char* why) {
    const std::string said = assume_by_web();
    EXPECT_EQ(said.find("profile \"app\": web identity: "), 0u) << said;
    for (const char* part : {file.c_str(), why, "; check AWS_WEB_IDENTITY_TOKEN_FILE"}) {
      EXPECT_TRUE(contains(said, part)) << part << " in " << said;
    }
  };
  expect("No such file");
  write("jwt", "");
  expect("is empty");
  write("jwt", " \r\n\t");
  expect("is empty");
  write("jwt", std::string(20'001, 'x'));
  expect("larger than 20000 bytes");
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  expect("Is a directory");
  std::filesystem::remove(file);
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  expect("is empty");  // and does not wait for a writer
  std::filesystem::remove(file);
  write("jwt", "t");
  chmod(file.c_str(), 0);
  if (geteuid() != 0) expect("Permission denied");
  EXPECT_EQ(server.count(), 0u);
}

TEST_F(Sts, WebIdentityRefused) {
  HttpServer server([](const Heard&) { return fault(400, "InvalidIdentityToken", "No OpenIDConnect provider found"); });
  setting("role_arn", "r");
  setting("web_identity_token_file", write("jwt", "t"));
  setting("endpoint_url_sts", server.url());
  EXPECT_TRUE(
      contains(assume_by_web(),
               "An error occurred (InvalidIdentityToken) when calling the AssumeRoleWithWebIdentity operation"));
}

TEST_F(Sts, EachWayToARoleHasItsOwnTrustPolicy) {
  HttpServer server([](const Heard&) { return fault(403, "AccessDenied"); });
  setting("role_arn", "r");
  setting("web_identity_token_file", write("jwt", "t"));
  setting("endpoint_url_sts", server.url());
  EXPECT_TRUE(contains(assume_by_web(), "must accept the identity provider"));
  EXPECT_FALSE(contains(assume_by_web(), "sts:AssumeRole)"));
  EXPECT_TRUE(contains(assume(), "must let this identity assume it"));
  EXPECT_FALSE(contains(assume(), "identity provider"));
}

std::string url_of(AwsService service, const std::string& region, bool fips = false, bool dual = false) {
  const pqmint_setting both[] = {{"use_fips_endpoint", fips ? "true" : ""},
                                 {"use_dualstack_endpoint", dual ? "true" : ""}};
  const auto found = aws_endpoint(service, region, Settings(both));
  if (found) {
    EXPECT_EQ(found->signing_region, region.empty() || region == "aws-global" ? "us-east-1" : region);
  }
  return found ? found->url : found.error().text;
}

/// STS's name in front of a host is replaced by another service's.
std::string as_service(const std::string& host, const std::string& name, const std::string& fips_name) {
  if (host.starts_with("sts-fips.")) return "https://" + fips_name + host.substr(8);
  return "https://" + name + host.substr(3);
}

/// botocore 1.43.11's endpoint rules for sts, sso, sso-oidc and signin, but for the dual stack of iso-e and iso-f,
/// which spec/aws.md has as not supported.
TEST(AwsEndpoint, TheWholeTable) {
  struct Row {
    const char *region, *plain, *dual, *fips, *both, *signin;
  };
  for (const Row& row : {
           Row{"eu-west-1", "sts.eu-west-1.amazonaws.com", "sts.eu-west-1.api.aws", "sts-fips.eu-west-1.amazonaws.com",
               "sts-fips.eu-west-1.api.aws", "eu-west-1.signin.aws.amazon.com"},
           {"us-gov-west-1", "sts.us-gov-west-1.amazonaws.com", "sts.us-gov-west-1.api.aws",
            "sts.us-gov-west-1.amazonaws.com", "sts-fips.us-gov-west-1.api.aws",
            "us-gov-west-1.signin.amazonaws-us-gov.com"},
           {"cn-north-1", "sts.cn-north-1.amazonaws.com.cn", "sts.cn-north-1.api.amazonwebservices.com.cn",
            "sts-fips.cn-north-1.amazonaws.com.cn", "sts-fips.cn-north-1.api.amazonwebservices.com.cn",
            "cn-north-1.signin.amazonaws.cn"},
           {"us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov", "sts.us-iso-east-1.api.aws.ic.gov",
            "sts-fips.us-iso-east-1.c2s.ic.gov", "sts-fips.us-iso-east-1.api.aws.ic.gov",
            "signin.us-iso-east-1.c2s.ic.gov"},
           {"us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov", "sts.us-isob-east-1.api.aws.scloud",
            "sts-fips.us-isob-east-1.sc2s.sgov.gov", "sts-fips.us-isob-east-1.api.aws.scloud",
            "signin.us-isob-east-1.sc2s.sgov.gov"},
           {"eu-isoe-west-1", "sts.eu-isoe-west-1.cloud.adc-e.uk", nullptr, "sts-fips.eu-isoe-west-1.cloud.adc-e.uk",
            nullptr, "signin.eu-isoe-west-1.cloud.adc-e.uk"},
           {"us-isof-south-1", "sts.us-isof-south-1.csp.hci.ic.gov", nullptr, "sts-fips.us-isof-south-1.csp.hci.ic.gov",
            nullptr, "signin.us-isof-south-1.csp.hci.ic.gov"},
           {"eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu", "sts.eusc-de-east-1.api.amazonwebservices.eu",
            "sts-fips.eusc-de-east-1.amazonaws.eu", "sts-fips.eusc-de-east-1.api.amazonwebservices.eu",
            "signin.eusc-de-east-1.amazonaws.eu"},
       }) {
    for (const auto& [service, name, fips_name] : {std::tuple{AwsService::kSts, "sts", "sts-fips"},
                                                   {AwsService::kSsoPortal, "portal.sso", "portal.sso-fips"},
                                                   {AwsService::kSsoOidc, "oidc", "oidc-fips"},
                                                   {AwsService::kSignin, "signin", "signin-fips"}}) {
      SCOPED_TRACE(std::string(name) + " " + row.region);
      const bool signin = service == AwsService::kSignin;
      const bool gov_signin = signin && std::string(row.region).starts_with("us-gov-");
      EXPECT_EQ(url_of(service, row.region),
                signin ? std::string("https://") + row.signin : as_service(row.plain, name, fips_name));
      // GovCloud's exception is not one of sign-in.
      EXPECT_EQ(url_of(service, row.region, true),
                gov_signin ? "https://signin-fips.us-gov-west-1.amazonaws.com" : as_service(row.fips, name, fips_name));
      if (row.dual == nullptr) {
        EXPECT_TRUE(contains(url_of(service, row.region, false, true),
                             "DualStack is enabled but this partition does not support DualStack"));
        EXPECT_TRUE(contains(url_of(service, row.region, true, true),
                             "FIPS and DualStack are enabled, but this partition does not support one or both"));
        continue;
      }
      EXPECT_EQ(url_of(service, row.region, false, true), as_service(row.dual, name, fips_name));
      EXPECT_EQ(url_of(service, row.region, true, true), as_service(row.both, name, fips_name));
    }
  }
}

TEST(AwsEndpoint, ARegionThatNobodyKnowsYetBelongsToItsFormsPartition) {
  for (const auto& [region, suffix] : {
           std::pair{"mx-central-1", "amazonaws.com"},
           {"xx-new-1", "amazonaws.com"},
           {"cn-south-12", "amazonaws.com.cn"},
           {"us-gov-central-9", "amazonaws.com"},
           {"us-iso-west-1", "c2s.ic.gov"},
           {"us-isof-east-1", "csp.hci.ic.gov"},
           {"eusc-de-west-2", "amazonaws.eu"},
           // Not of the form of a partition's regions: aws, as in botocore.
           {"cn-foo", "amazonaws.com"},
           {"cn-north-x", "amazonaws.com"},
           {"cn-north-1-lax-1", "amazonaws.com"},
           {"cn--1", "amazonaws.com"},
           {"eusc-fr-east-1", "amazonaws.com"},
       }) {
    EXPECT_EQ(url_of(AwsService::kSts, region), std::string("https://sts.") + region + "." + suffix);
  }
  EXPECT_EQ(url_of(AwsService::kSts, "us-gov-x", true), "https://sts-fips.us-gov-x.amazonaws.com");
}

TEST(AwsEndpoint, WithoutARegionThereIsOnlyTheGlobalSts) {
  for (const char* region : {"", "aws-global"}) {
    EXPECT_EQ(url_of(AwsService::kSts, region), "https://sts.amazonaws.com");
    EXPECT_EQ(url_of(AwsService::kSts, region, true), "https://sts-fips.us-east-1.amazonaws.com");
    EXPECT_EQ(url_of(AwsService::kSts, region, false, true), "https://sts.us-east-1.api.aws");
    for (const AwsService service : {AwsService::kSsoPortal, AwsService::kSsoOidc, AwsService::kSignin}) {
      EXPECT_TRUE(contains(url_of(service, region), "no region for the ")) << url_of(service, region);
    }
  }
  for (const char* bad : {"x y", "eu-west-1.evil.example", "eu-west-1/", "-eu", "123", "a@b"}) {
    EXPECT_TRUE(contains(url_of(AwsService::kSts, bad), "not the name of a region")) << bad;
  }
}

TEST(AwsEndpoint, TheUsersOwnUrlWinsAndKeepsTheRegion) {
  for (const auto& [service, name, own, expected] : {
           std::tuple{AwsService::kSts, "endpoint_url_sts", "http://127.0.0.1:1/", "http://127.0.0.1:1"},
           {AwsService::kSts, "endpoint_url_sts", "http://127.0.0.1:1/sts/", "http://127.0.0.1:1/sts/"},
           {AwsService::kSts, "endpoint_url_sts", "http://127.0.0.1:1/sts", "http://127.0.0.1:1/sts"},
           {AwsService::kSsoPortal, "endpoint_url_sso", "http://127.0.0.1:1/p/", "http://127.0.0.1:1/p"},
           {AwsService::kSsoOidc, "endpoint_url_sso_oidc", "http://127.0.0.1:1/", "http://127.0.0.1:1"},
           {AwsService::kSignin, "endpoint_url_signin", "http://127.0.0.1:1", "http://127.0.0.1:1"},
       }) {
    const pqmint_setting settings[] = {{name, own}, {"use_fips_endpoint", "true"}, {"use_dualstack_endpoint", "true"}};
    const auto found = aws_endpoint(service, "eu-isoe-west-1", Settings(settings));
    ASSERT_TRUE(found) << found.error().text;
    EXPECT_EQ(found->url, expected);
    EXPECT_EQ(found->signing_region, "eu-isoe-west-1");
  }
}

}  // namespace
}  // namespace pqmint
