// SPDX-License-Identifier: PostgreSQL
// Every way that AWS hands out credentials, from a program's connection to the judge's yes: the services are fakes on
// loopback, everything else is real. What each source does with each fault stands in test/unit/net.
#include <gtest/gtest.h>
#include <json/json.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <ctime>
#include <filesystem>
#include <sstream>

#include "fake_aws.h"
#include "harness.h"

namespace pqmint::test {
namespace {

namespace fs = std::filesystem;

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
}

std::string sha1(const std::string& text) {
  unsigned char digest[SHA_DIGEST_LENGTH];
  EVP_Q_digest(nullptr, "SHA1", nullptr, text.data(), text.size(), digest, nullptr);
  char hex[2 * SHA_DIGEST_LENGTH + 1];
  for (int i = 0; i < SHA_DIGEST_LENGTH; ++i) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  return hex;
}

std::string sha256(const std::string& text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  EVP_Q_digest(nullptr, "SHA256", nullptr, text.data(), text.size(), digest, nullptr);
  char hex[2 * SHA256_DIGEST_LENGTH + 1];
  for (int i = 0; i < SHA256_DIGEST_LENGTH; ++i) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  return hex;
}

class AwsSources : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.clock("real");
    fs::create_directory(environment_.home() + "/.aws");
  }
  void config(const std::string& text) { write_file(environment_.home() + "/.aws/config", text); }
  void credentials(const std::string& text) { write_file(environment_.home() + "/.aws/credentials", text); }

  /// Logs in, and says what the judge thought of it.
  std::string log_in(const std::string& more = "") {
    server_.verdicts();
    Client client(environment_);
    const std::string said = client.say({"connectdb", good_ + more});
    if (said != "OK") return said;
    EXPECT_EQ(client.say({"query", "select current_user"}), "iam_user");
    expect_contains(server_.verdicts(), "accept rds user=iam_user");
    return said;
  }

  Json::Value check(const std::string& more = "") {
    const Outcome outcome = run({stage() + "/bin/pqmint", "check", "--json", good_ + more}, environment_);
    Json::Value value;
    std::istringstream in(outcome.out);
    EXPECT_TRUE(Json::parseFromStream(Json::CharReaderBuilder(), in, &value, nullptr)) << outcome.out << outcome.err;
    return value["hosts"][0];
  }

  Server& server_ = Server::get();
  std::string good_ = server_.conninfo(kWriter, "iam_user");
  Environment environment_ = Environment().preload();
};

constexpr char kBase[] =
    "[base]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = "
    "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY\n";

TEST_F(AwsSources, ARoleOfAProfile) {
  HttpServer sts([](const Heard&) { return assumed_role(); });
  credentials(kBase);
  config(
      "[profile app]\nrole_arn = arn:aws:iam::123456789012:role/App\nsource_profile = base\nrole_session_name = me\n"
      "external_id = x-1\nregion = eu-west-1\n");
  environment_.set("AWS_PROFILE", "app").set("AWS_ENDPOINT_URL_STS", sts.url());
  EXPECT_EQ(log_in(), "OK");
  ASSERT_EQ(sts.count(), 1u);
  const Heard heard = sts.heard()[0];
  expect_contains(heard.body,
                  "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2FApp");
  expect_contains(heard.body, "RoleSessionName=me");
  expect_contains(heard.body, "ExternalId=x-1");
  expect_contains(heard.headers.at("authorization"), "Credential=AKIAI44QH8DHBEXAMPLE/");
  expect_contains(heard.headers.at("authorization"), "/eu-west-1/sts/aws4_request");
  const Json::Value host = check();
  EXPECT_EQ(host["credential"]["source"].asString(), "assume-role");
  EXPECT_EQ(host["credential"]["name"].asString(), "app");
  EXPECT_EQ(host["credential"]["identity"].asString(), "ASIA...MPLE");
  EXPECT_FALSE(host["credential"]["expires_at"].isNull());
  EXPECT_EQ(host["clock_skew"].asInt(), 0);
  EXPECT_EQ(host["credential_trail"][1]["source"].asString(), "assume-role");
  EXPECT_EQ(host["credential_trail"][1]["reason"].asString(), "used");
}

TEST_F(AwsSources, ARoleOnTopOfARole) {
  HttpServer sts([](const Heard&) { return assumed_role(); });
  credentials(kBase);
  config("[profile app]\nrole_arn = arn:aws:iam::123456789012:role/App\nsource_profile = base\n");
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url());
  EXPECT_EQ(log_in("passfile=pqmint:rds?profile=app&role_arn=arn:aws:iam::210987654321:role/Top"), "OK");
  ASSERT_EQ(sts.count(), 2u);
  expect_contains(sts.heard()[1].body, "210987654321%3Arole%2FTop");
  expect_contains(sts.heard()[1].headers.at("authorization"), std::string("Credential=") + kRoleKeyId);
  EXPECT_EQ(sts.heard()[1].headers.at("x-amz-security-token"), kRoleSessionToken);
}

TEST_F(AwsSources, ThreadsThatWantOneRoleAskOnce) {
  HttpServer sts([](const Heard&) {
    Reply reply = assumed_role();
    reply.delay = std::chrono::milliseconds(300);  // the others come meanwhile
    return reply;
  });
  environment_.keys();
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url());
  Client client(environment_);
  const std::string role = "passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/App";
  EXPECT_EQ(client.say({"threads", "16", good_ + role, "select session_user"}), "iam_user");
  EXPECT_EQ(sts.count(), 1u);
}

TEST_F(AwsSources, ARefusedRoleIsNotFallenThrough) {
  HttpServer sts([](const Heard&) {
    return Reply{
        403,
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/u "
        "is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>",
        {{"Content-Type", "text/xml"}}};
  });
  environment_.keys();
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url());
  const std::string said = log_in("passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/App");
  expect_contains(said, "BAD pqmint: ");
  expect_contains(said, "An error occurred (AccessDenied) when calling the AssumeRole operation");
  EXPECT_EQ(sts.count(), 1u);
  EXPECT_EQ(server_.verdicts(), "");
}

TEST_F(AwsSources, WebIdentity) {
  HttpServer sts([](const Heard&) { return assumed_role(); });
  write_file(environment_.home() + "/jwt", "header.payload.signature\n");
  environment_.set("AWS_WEB_IDENTITY_TOKEN_FILE", environment_.home() + "/jwt")
      .set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/Pod")
      .set("AWS_ENDPOINT_URL_STS", sts.url());
  EXPECT_EQ(log_in(), "OK");
  ASSERT_EQ(sts.count(), 1u);
  expect_contains(sts.heard()[0].body, "Action=AssumeRoleWithWebIdentity");
  expect_contains(sts.heard()[0].body, "WebIdentityToken=header.payload.signature");
  EXPECT_FALSE(sts.heard()[0].headers.contains("authorization"));
  EXPECT_EQ(check()["credential"]["source"].asString(), "web-identity");
}

TEST_F(AwsSources, IdentityCenter) {
  HttpServer sso([](const Heard& heard) {
    if (heard.target == "/token") {
      return Reply{200, R"({"accessToken":"second","expiresIn":28800,"refreshToken":"rotated","tokenType":"Bearer"})"};
    }
    return role_credentials();
  });
  config(
      "[default]\nsso_session = corp\nsso_account_id = 012345678901\nsso_role_name = Admin\n"
      "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n");
  const std::string cache = environment_.home() + "/.aws/sso/cache";
  fs::create_directories(cache);
  const std::string file = cache + "/" + sha1("corp") + ".json";
  write_file(
      file, R"({"startUrl":"https://corp.awsapps.com/start","region":"eu-west-1","accessToken":"first","expiresAt":")" +
                utc(60) + R"(","clientId":"id","clientSecret":"secret","registrationExpiresAt":")" + utc(864000) +
                R"(","refreshToken":"r1","somebodyElses":"field"})");
  environment_.set("AWS_ENDPOINT_URL_SSO", sso.url()).set("AWS_ENDPOINT_URL_SSO_OIDC", sso.url());
  EXPECT_EQ(log_in(), "OK");
  ASSERT_EQ(sso.count(), 2u);
  expect_contains(sso.heard()[0].body, "\"refreshToken\":\"r1\"");
  EXPECT_EQ(sso.heard()[1].headers.at("x-amz-sso_bearer_token"), "second");
  expect_contains(sso.heard()[1].target, "account_id=012345678901");
  const std::string rewritten = read_file(file);
  for (const char* part : {"rotated", "second", "somebodyElses"}) expect_contains(rewritten, part);
  EXPECT_EQ(fs::status(file).permissions() & fs::perms::all, fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(check()["credential"]["source"].asString(), "sso");
  fs::remove(file);
  expect_contains(log_in(), "aws sso login");
}

TEST_F(AwsSources, ALoginSession) {
  const std::string session = "arn:aws:sts::123456789012:assumed-role/Dev/me";
  config("[default]\nlogin_session = " + session + "\nregion = eu-west-1\n");
  const std::string cache = environment_.home() + "/.aws/login/cache";
  fs::create_directories(cache);
  write_file(cache + "/" + sha256(session) + ".json",
             "{\"accessToken\":{\"accessKeyId\":\"" + std::string(kRoleKeyId) + "\",\"secretAccessKey\":\"" +
                 kRoleSecretKey + "\",\"sessionToken\":\"" + kRoleSessionToken +
                 "\",\"accountId\":\"123456789012\",\"expiresAt\":\"" + utc(840) +
                 "\"},\"tokenType\":\"aws_sigv4\",\"clientId\":\"arn:aws:signin:::devtools/same-device\","
                 "\"refreshToken\":\"r\",\"idToken\":\"i\",\"dpopKey\":\"-----BEGIN EC PRIVATE KEY-----\"}");
  EXPECT_EQ(log_in(), "OK");
  EXPECT_EQ(check()["credential"]["source"].asString(), "login");
}

TEST_F(AwsSources, AProcess) {
  write_file(environment_.home() + "/keys",
             "#!/bin/sh\n[ -z \"$LD_PRELOAD\" ] || exit 9\necho '" + keys_document("SessionToken") + "'\n", 0700);
  config("[default]\ncredential_process = " + environment_.home() + "/keys --for 'a b'\n");
  EXPECT_EQ(log_in(), "OK");
  EXPECT_EQ(check()["credential"]["source"].asString(), "process");
  write_file(environment_.home() + "/keys", "#!/bin/sh\necho do-not-show >&2; exit 3\n", 0700);
  const std::string said = log_in();
  expect_contains(said, "BAD pqmint: ");
  EXPECT_EQ(said.find("do-not-show"), std::string::npos);
}

TEST_F(AwsSources, AContainer) {
  HttpServer agent([](const Heard&) { return Reply{200, keys_document("Token")}; });
  write_file(environment_.home() + "/token", "agent-token");
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url() + "/v1/credentials")
      .set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", environment_.home() + "/token");
  EXPECT_EQ(log_in(), "OK");
  ASSERT_EQ(agent.count(), 1u);
  EXPECT_EQ(agent.heard()[0].headers.at("authorization"), "agent-token");
  EXPECT_EQ(agent.heard()[0].target, "/v1/credentials");
  EXPECT_EQ(check()["credential"]["source"].asString(), "container");
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x");
  expect_contains(log_in(), "BAD pqmint: ");
}

Reply metadata(const Heard& heard) {
  if (heard.method == "PUT") return {200, "imds-token"};
  if (heard.headers.find("x-aws-ec2-metadata-token") == heard.headers.end()) return {401, ""};
  if (heard.target == "/latest/meta-data/iam/security-credentials/") return {200, "my-role"};
  if (heard.target == "/latest/meta-data/iam/security-credentials/my-role") return {200, keys_document("Token")};
  if (heard.target == "/latest/meta-data/placement/region") return {200, "us-east-1"};
  return {404, ""};
}

TEST_F(AwsSources, TheInstance) {
  HttpServer imds(metadata);
  environment_.set("AWS_EC2_METADATA_DISABLED", "false").set("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url());
  EXPECT_EQ(log_in(), "OK");
  EXPECT_EQ(check()["credential"]["source"].asString(), "imds");
  // The region too, where nothing else names one.
  const std::string global = server_.conninfo("orders.global-c9akciq32.global.rds.amazonaws.com", "iam_user");
  EXPECT_EQ(Client(environment_).say({"connectdb", global}), "OK");
}

TEST_F(AwsSources, ADeadMetadataServiceCostsASecondOnce) {
  HttpServer silent([](const Heard&) { return Reply{200, "", {}, Reply::Manner::kSilent}; });
  environment_.set("AWS_EC2_METADATA_DISABLED", "false").set("AWS_EC2_METADATA_SERVICE_ENDPOINT", silent.url());
  Client client(environment_);
  expect_contains(client.say({"connectdb", good_}), "imds: ");
  const size_t asked = silent.count();
  EXPECT_LE(asked, 2u);
  for (int i = 0; i < 5; ++i) expect_contains(client.say({"connectdb", good_}), "imds: ");
  EXPECT_EQ(silent.count(), asked) << "that nobody answers is remembered for a while";
}

TEST_F(AwsSources, OneCallForAThousandConnections) {
  HttpServer sts([](const Heard&) {
    Reply reply = assumed_role();
    reply.delay = std::chrono::milliseconds(50);
    return reply;
  });
  environment_.keys();
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url());
  // Nobody listens there: what counts is what happens before a socket is opened.
  const std::string nobody =
      "host=" + std::string(kWriter) + " hostaddr=127.0.0.1 port=" + std::to_string(closed_port()) +
      " user=u sslrootcert=/dev/null passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/App";
  Client client(environment_);
  for (int i = 0; i < 16; ++i) client.say({"threads", "64", nobody, "select 1"});
  EXPECT_EQ(sts.count(), 1u);
}

TEST_F(AwsSources, AWrongClockIsCorrected) {
  // The servers live an hour ahead of this machine; STS says so.
  server_.clock("+3600");
  HttpServer sts([](const Heard&) {
    Reply reply = assumed_role(7200);
    reply.headers["Date"] = http_date(3600);
    return reply;
  });
  environment_.keys();
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url());
  const std::string role = "passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/App";
  EXPECT_EQ(log_in(role), "OK");
  EXPECT_NEAR(check(role)["clock_skew"].asInt(), 3600, 3);
  environment_.set("AWS_DISABLE_CLOCK_SKEW_CORRECTION", "true");
  const std::string said = log_in(role);
  expect_contains(said, "PAM authentication failed");
  expect_contains(said, " behind AWS's, and AWS_DISABLE_CLOCK_SKEW_CORRECTION forbids to allow for it: timedatectl");
  EXPECT_EQ(said.find("which was allowed for"), std::string::npos);
  server_.clock("real");
}

// Else a token would be signed with keys that are dead by the one clock and alive by the other.
TEST_F(AwsSources, WithoutCorrectionOneClockCountsForAll) {
  HttpServer sts([](const Heard&) {
    Reply reply = assumed_role(-7200 + 3600);
    reply.headers["Date"] = http_date(-7200);
    return reply;
  });
  environment_.keys();
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url()).set("AWS_DISABLE_CLOCK_SKEW_CORRECTION", "true");
  expect_contains(log_in("passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/App"),
                  "the refreshed credentials are still expired; check this machine's clock");
}

TEST_F(AwsSources, ARegionIsTakenWithoutWhatStandsAroundIt) {
  environment_.keys();
  environment_.set("AWS_REGION", "eu-west-1\r\n");
  EXPECT_EQ(check("host=db.internal passfile=pqmint:rds")["region"].asString(), "eu-west-1");
  environment_.set("AWS_REGION", " ").set("AWS_DEFAULT_REGION", "eu-west-2");
  EXPECT_EQ(check("host=db.internal passfile=pqmint:rds")["region_source"].asString(), "AWS_DEFAULT_REGION");
  environment_.set("AWS_REGION", "eu\r\nwest");
  expect_contains(log_in("host=db.internal passfile=pqmint:rds"), "the region \"eu??west\" (from AWS_REGION)");
  expect_contains(log_in("host=db\033.internal passfile=pqmint:"), "\"db?.internal\"");
}

// What `pqmint token` prints is never dialled, so libpq would not find it out.
TEST_F(AwsSources, OnlyAHostsNameIsSigned) {
  environment_.keys();
  for (const char* host : {"https://x.example", "'a b'", "u@h", "x:1", "a/b", "a?b", "a#b"}) {
    const Outcome outcome = run({stage() + "/bin/pqmint", "token",
                                 "host=" + std::string(host) + " user=u passfile=pqmint:rds?region=us-east-1"},
                                environment_);
    EXPECT_EQ(outcome.status, 1) << host;
    EXPECT_EQ(outcome.out, "");
    expect_contains(outcome.err, "is no host name: leave out scheme, user, path and blanks");
  }
}

TEST_F(AwsSources, RefusedKeysFromMemoryAreFetchedAnewOnce) {
  int count = 0;
  HttpServer sts([&](const Heard&) {
    Reply reply = assumed_role();
    if (++count == 2) {  // keys that the judge does not know
      const size_t at = reply.body.find(kRoleKeyId);
      reply.body.replace(at, std::string(kRoleKeyId).size(), "ASIAREVOKEDREVOKED00");
    }
    return reply;
  });
  environment_.keys();
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url());
  const std::string role = "passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/App";
  count = 1;
  Client client(environment_);
  expect_contains(client.say({"connectdb", good_ + role}), "PAM authentication failed");
  EXPECT_EQ(count, 2) << "fresh keys that are refused are not asked for again";
  server_.verdicts();
  EXPECT_EQ(client.say({"connectdb", good_ + role}), "OK") << "keys from memory are";
  EXPECT_EQ(count, 3);
  const std::string verdicts = server_.verdicts();
  expect_contains(verdicts, "reject");
  expect_contains(verdicts, "accept");
}

TEST_F(AwsSources, KeysAtRestLoadNoModuleForTheNetwork) {
  environment_.keys();
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  const std::string maps = read_file("/proc/" + std::to_string(client.pid()) + "/maps");
  for (const char* part : {"net.so", "libcurl", "libjsoncpp"}) EXPECT_EQ(maps.find(part), std::string::npos) << part;
}

}  // namespace
}  // namespace pqmint::test
