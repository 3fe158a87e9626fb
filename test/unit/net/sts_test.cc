// SPDX-License-Identifier: PostgreSQL
// STS: requests as botocore makes them, byte for byte; answers well formed and not; where the service is called.

#include "net/sts.h"

#include <gtest/gtest.h>

#include "../support.h"
#include "http_server.h"
#include "net/aws_endpoint.h"

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

TEST_F(Sts, RequestsAreThoseOfBotocore) {
  int signed_requests = 0;
  for (const Json::Value& row : test::vectors("sts_requests.json")) {
    SCOPED_TRACE(row["name"].asString());
    const Json::Value& parameters = row["params"];
    // MFA is refused before it comes to a request.
    if (parameters.isMember("SerialNumber")) continue;
    const bool web = parameters.isMember("WebIdentityToken");
    values_.clear();
    setting("region", row["region"].asString());
    setting("role_arn", parameters["RoleArn"].asString());
    setting("role_session_name", parameters["RoleSessionName"].asString());
    if (row["endpoint_url"].isString()) setting("endpoint_url_sts", row["endpoint_url"].asString());
    for (const auto& [name, key] : {std::pair{"use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT"},
                                    {"use_dualstack_endpoint", "AWS_USE_DUALSTACK_ENDPOINT"}}) {
      if (row["env"].isMember(key)) setting(name, row["env"][key].asString());
    }
    StsForm form(web ? "AssumeRoleWithWebIdentity" : "AssumeRole");
    form.add_role(query());
    for (const char* name : {"ExternalId", "DurationSeconds", "WebIdentityToken"}) {
      if (parameters.isMember(name)) form.add(name, parameters[name].asString());
    }
    const std::string id = row["access_key"].asString(), secret = row["secret_key"].asString(),
                      token = row["session_token"].isString() ? row["session_token"].asString() : "";
    signer_ = {id.c_str(), secret.c_str(), token.empty() ? nullptr : token.c_str()};
    Query asked = query();
    if (web) asked.signer = nullptr;
    const auto request = sts_request(form, asked, *parse_instant(row["time"].asString()));
    ASSERT_TRUE(request) << request.error().text;
    std::string url = row["url"].asString();
    if (url.ends_with('/')) url.pop_back();
    EXPECT_EQ(request->url, url);
    const auto header = [&](const std::string& name) {
      for (const auto& [each, value] : request->headers) {
        if (each == name) return std::string(value.reveal());
      }
      return std::string();
    };
    for (const char* name : {"Content-Type", "X-Amz-Date", "X-Amz-Security-Token"}) {
      EXPECT_EQ(header(name), row["headers"][name].isString() ? row["headers"][name].asString() : "") << name;
    }
    // The signature covers the body's bytes, whose order is the caller's: it is compared where the order is the same.
    if (request->body->reveal() != row["body"].asString()) continue;
    EXPECT_EQ(header("Authorization"),
              row["headers"]["Authorization"].isString() ? row["headers"]["Authorization"].asString() : "");
    signed_requests += !web;
  }
  EXPECT_EQ(signed_requests, 5);
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

TEST_F(Sts, ABadDocumentIsNotBelieved) {
  for (const std::string& bad :
       {std::string(), std::string("<html>"), std::string("{}"), answer().substr(0, 300), std::string("<Credentials>"),
        std::string("<Credentials><AccessKeyId>A</AccessKeyId></Credentials>"), answer("AssumeRole", "soon"),
        "<AccessKeyId>outside</AccessKeyId>" + std::string("<Credentials></Credentials>"), std::string(1000, '<')}) {
    EXPECT_TRUE(contains(assume_from(xml(bad)), "holds no credentials")) << bad;
  }
  EXPECT_TRUE(contains(assume_from(xml(answer("AssumeRole", "2020-01-15T13:34:56Z"))), "still expired"));
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
  for (const char* code :
       {"ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch", "RegionDisabledException"}) {
    EXPECT_TRUE(contains(assume_from(fault(403, code)), std::string("An error occurred (") + code + ")")) << code;
  }
  EXPECT_TRUE(
      contains(assume_from({502, "<html>", {{"Content-Type", "text/html"}}}), "status 502, text/html, 6 bytes"));
  EXPECT_TRUE(contains(assume_from(fault(400, std::string(5000, 'x'), std::string(50'000, 'y'))), "..."));
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
  values_.clear();
  setting("endpoint_url_sts", "sts.example");
  EXPECT_TRUE(contains(assume(), "no http or https URL")) << assume();
}

TEST_F(Sts, ThrottlingIsTriedAgain) {
  int count = 0;
  HttpServer server([&](const Heard&) { return ++count < 2 ? fault(400, "Throttling") : xml(answer()); });
  setting("role_arn", "r");
  setting("endpoint_url_sts", server.url());
  EXPECT_EQ(assume(), "ASIA1");
  EXPECT_EQ(count, 2);
}

TEST_F(Sts, AWrongClockIsSetRightOnce) {
  int count = 0;
  HttpServer server([&](const Heard& heard) {
    ++count;
    Reply reply = contains(heard.headers.at("x-amz-date"), "20990115T")
                      ? xml(answer("AssumeRole", "2099-01-15T13:34:56Z"))
                      : fault(403, "SignatureDoesNotMatch");
    reply.headers["Date"] = "Thu, 15 Jan 2099 12:34:56 GMT";
    return reply;
  });
  setting("role_arn", "r");
  setting("endpoint_url_sts", server.url());
  EXPECT_EQ(assume(), "ASIA1");
  EXPECT_EQ(count, 2);
  EXPECT_EQ(assume(), "ASIA1");
  EXPECT_EQ(count, 3) << "the clock is known now";
}

TEST_F(Sts, TheRolesSettings) {
  HttpServer server([](const Heard&) { return xml(answer()); });
  setting("role_arn", "r");
  setting("duration_seconds", "1800");
  setting("external_id", "a b+c");
  setting("endpoint_url_sts", server.url() + "/path/");
  EXPECT_EQ(assume(), "ASIA1");
  EXPECT_TRUE(contains(server.heard()[0].body, "&RoleSessionName=pqmint-")) << server.heard()[0].body;
  EXPECT_TRUE(server.heard()[0].body.ends_with("&ExternalId=a+b%2Bc&DurationSeconds=1800")) << server.heard()[0].body;
  EXPECT_EQ(server.heard()[0].target, "/path");
  values_[1].second = "half an hour";
  assume();
  EXPECT_FALSE(contains(server.heard()[1].body, "DurationSeconds")) << "botocore passes over it";
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
  EXPECT_FALSE(server.heard()[0].headers.contains("authorization"));
  write("jwt", "\n");
  EXPECT_TRUE(contains(assume_by_web(), "is empty"));
  write("jwt", std::string(20'001, 'x'));
  EXPECT_TRUE(contains(assume_by_web(), "larger than 20000 bytes"));
  std::filesystem::remove(file);
  EXPECT_TRUE(contains(assume_by_web(), "No such file")) << assume_by_web();
  EXPECT_TRUE(contains(assume_by_web(), "AWS_WEB_IDENTITY_TOKEN_FILE"));
  EXPECT_EQ(server.count(), 2u);
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

TEST(AwsEndpoint, TheWholeTable) {
  const auto url = [](AwsService service, const char* region, bool fips = false, bool dual = false) {
    const pqmint_setting both[] = {{"use_fips_endpoint", fips ? "true" : ""},
                                   {"use_dualstack_endpoint", dual ? "true" : ""}};
    const auto found = aws_endpoint(service, region, Settings(both));
    return found ? found->url : found.error().text;
  };
  constexpr AwsService kSts = AwsService::kSts;
  struct Row {
    const char *region, *plain, *dual, *fips, *both;
  };
  for (const Row& row : {
           Row{"eu-west-1", "sts.eu-west-1.amazonaws.com", "sts.eu-west-1.api.aws", "sts-fips.eu-west-1.amazonaws.com",
               "sts-fips.eu-west-1.api.aws"},
           {"us-gov-west-1", "sts.us-gov-west-1.amazonaws.com", "sts.us-gov-west-1.api.aws",
            "sts.us-gov-west-1.amazonaws.com", "sts-fips.us-gov-west-1.api.aws"},
           {"cn-north-1", "sts.cn-north-1.amazonaws.com.cn", "sts.cn-north-1.api.amazonwebservices.com.cn",
            "sts-fips.cn-north-1.amazonaws.com.cn", "sts-fips.cn-north-1.api.amazonwebservices.com.cn"},
           {"us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov", "sts.us-iso-east-1.api.aws.ic.gov",
            "sts-fips.us-iso-east-1.c2s.ic.gov", "sts-fips.us-iso-east-1.api.aws.ic.gov"},
           {"eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu", "sts.eusc-de-east-1.api.amazonwebservices.eu",
            "sts-fips.eusc-de-east-1.amazonaws.eu", "sts-fips.eusc-de-east-1.api.amazonwebservices.eu"},
       }) {
    EXPECT_EQ(url(kSts, row.region), "https://" + std::string(row.plain));
    EXPECT_EQ(url(kSts, row.region, false, true), "https://" + std::string(row.dual));
    EXPECT_EQ(url(kSts, row.region, true, false), "https://" + std::string(row.fips));
    EXPECT_EQ(url(kSts, row.region, true, true), "https://" + std::string(row.both));
  }
  EXPECT_EQ(url(kSts, ""), "https://sts.amazonaws.com");
  EXPECT_EQ(url(kSts, "aws-global"), "https://sts.amazonaws.com");
  EXPECT_EQ(url(kSts, "us-isob-east-1"), "https://sts.us-isob-east-1.sc2s.sgov.gov");
  EXPECT_TRUE(contains(url(kSts, "eu-isoe-west-1", false, true), "no dual-stack endpoints"));
  EXPECT_EQ(url(kSts, "eu-isoe-west-1", true), "https://sts-fips.eu-isoe-west-1.cloud.adc-e.uk");
  EXPECT_TRUE(contains(url(kSts, "x y"), "not the name of a region"));
  EXPECT_EQ(url(AwsService::kSsoPortal, "eu-west-1"), "https://portal.sso.eu-west-1.amazonaws.com");
  EXPECT_EQ(url(AwsService::kSsoPortal, "eu-west-1", true), "https://portal.sso-fips.eu-west-1.amazonaws.com");
  EXPECT_EQ(url(AwsService::kSsoOidc, "us-gov-west-1", true), "https://oidc.us-gov-west-1.amazonaws.com");
  EXPECT_TRUE(contains(url(AwsService::kSsoOidc, ""), "no region"));
  EXPECT_EQ(url(AwsService::kSignin, "eu-west-1"), "https://eu-west-1.signin.aws.amazon.com");
  EXPECT_EQ(url(AwsService::kSignin, "cn-north-1"), "https://cn-north-1.signin.amazonaws.cn");
  EXPECT_EQ(url(AwsService::kSignin, "us-gov-west-1"), "https://us-gov-west-1.signin.amazonaws-us-gov.com");
  EXPECT_EQ(url(AwsService::kSignin, "eusc-de-east-1"), "https://signin.eusc-de-east-1.amazonaws.eu");
  EXPECT_EQ(url(AwsService::kSignin, "eu-west-1", true), "https://signin-fips.eu-west-1.amazonaws.com");
  EXPECT_EQ(url(AwsService::kSignin, "eu-west-1", false, true), "https://signin.eu-west-1.api.aws");
}

TEST(AwsEndpoint, TheUsersOwnUrlWinsAndKeepsTheRegion) {
  const pqmint_setting own[] = {{"endpoint_url_sts", "http://127.0.0.1:1/"}, {"use_fips_endpoint", "true"}};
  const auto found = aws_endpoint(AwsService::kSts, "eu-west-1", Settings(own));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->url, "http://127.0.0.1:1");
  EXPECT_EQ(found->signing_region, "eu-west-1");
}

}  // namespace
}  // namespace pqmint
