// SPDX-License-Identifier: PostgreSQL
// Where clouds have fixed addresses and names: real ones, in a network of the test's own (see own_network). Nothing is
// redirected by a setting here; what pqmint asks by itself is what is heard.
#include <gtest/gtest.h>
#include <json/json.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <sstream>
#include <thread>

#include "fake_entra.h"
#include "harness.h"
#include "http_server.h"

namespace pqmint::test {
namespace {

namespace fs = std::filesystem;

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
}

std::string document(const std::string& id) {
  return "{\"Code\":\"Success\",\"AccessKeyId\":\"" + id +
         "\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"2099-01-15T12:34:56Z\"}";
}

Reply metadata(const Heard& heard) {
  if (heard.target.starts_with("/metadata/identity/oauth2/token")) return {400, R"({"error":"invalid_request"})"};
  if (heard.method == "PUT") return {200, "imds-token"};
  if (heard.target == "/latest/meta-data/iam/security-credentials/") return {200, "my-role"};
  if (heard.target == "/latest/meta-data/iam/security-credentials/my-role")
    return {200, document("ASIAIMDSIMDSIMDSIMDS")};
  if (heard.target == "/latest/meta-data/placement/region") return {200, "eu-west-1"};
  return {404, ""};
}

class FixedAddresses : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name :
         {"AWS_ENDPOINT_URL", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST"}) {
      environment_.unset(name);
    }
    fs::create_directory(environment_.home() + "/.aws");
  }

  /// A certificate for all the names, which is its own authority.
  void make_certificate() {
    const std::string names =
        "DNS:localhost,DNS:sts.amazonaws.com,DNS:*.eu-west-1.amazonaws.com,DNS:*.us-east-1.amazonaws.com,"
        "DNS:sts.cn-northwest-1.amazonaws.com.cn,DNS:portal.sso.eu-west-1.amazonaws.com,DNS:login.microsoftonline.com,"
        "DNS:login.microsoftonline.us";
    const std::string make =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=cloud -addext "
        "subjectAltName=" +
        names + " -keyout " + key() + " -out " + certificate() + " 2>/dev/null";
    ASSERT_EQ(std::system(make.c_str()), 0);
    environment_.set("AWS_CA_BUNDLE", certificate()).set("SSL_CERT_FILE", certificate());
  }
  std::string certificate() const { return environment_.home() + "/cloud.crt"; }
  std::string key() const { return environment_.home() + "/cloud.key"; }

  Json::Value check(const std::string& host = kWriter, const std::string& more = "") {
    const Outcome outcome =
        run({stage() + "/bin/pqmint", "check", "--json", "host=" + host + " user=u sslrootcert=/dev/null " + more},
            environment_);
    Json::Value value;
    std::istringstream in(outcome.out);
    EXPECT_TRUE(Json::parseFromStream(Json::CharReaderBuilder(), in, &value, nullptr)) << outcome.out << outcome.err;
    return value["hosts"][0];
  }

  Environment environment_;
};

TEST_F(FixedAddresses, TheInstancesRoleAndRegion) {
  environment_.set("AWS_EC2_METADATA_DISABLED", "false");
  HttpServer imds(metadata, "169.254.169.254", 80);
  const Json::Value host = check();
  EXPECT_EQ(host["credential"]["source"].asString(), "imds");
  EXPECT_EQ(host["credential"]["identity"].asString(), "ASIA...IMDS");
  ASSERT_EQ(imds.count(), 3u);
  EXPECT_EQ(imds.heard()[0].method + imds.heard()[0].target, "PUT/latest/api/token");
  EXPECT_EQ(imds.heard()[0].headers.at("x-aws-ec2-metadata-token-ttl-seconds"), "21600");
  EXPECT_EQ(imds.heard()[1].headers.at("x-aws-ec2-metadata-token"), "imds-token");
  // Proxies are for the services, never for the metadata.
  environment_.set("http_proxy", "http://127.0.0.1:9")
      .set("HTTP_PROXY", "http://127.0.0.1:9")
      .set("ALL_PROXY", "http://127.0.0.1:9");
  const Json::Value global = check("orders.global-c9akciq32.global.rds.amazonaws.com");
  EXPECT_EQ(global["region"].asString(), "eu-west-1");
  EXPECT_EQ(global["region_source"].asString(), "imds");
  EXPECT_TRUE(global["error"].isNull()) << global["error"];
}

TEST_F(FixedAddresses, TheInstanceOverIpv6) {
  environment_.set("AWS_EC2_METADATA_DISABLED", "false").set("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
  HttpServer imds(metadata, "fd00:ec2::254", 80);
  EXPECT_EQ(check()["credential"]["source"].asString(), "imds");
}

TEST_F(FixedAddresses, SwitchedOffMeansNoPacket) {
  HttpServer imds(metadata, "169.254.169.254", 80);
  EXPECT_FALSE(check()["error"].isNull());
  EXPECT_EQ(imds.count(), 0u);
}

TEST_F(FixedAddresses, TheContainersAgent) {
  HttpServer agent([](const Heard&) { return Reply{200, document("ASIAECSECSECSECSECSE")}; }, "169.254.170.2", 80);
  environment_.set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1");
  EXPECT_EQ(check()["credential"]["identity"].asString(), "ASIA...ECSE");
  EXPECT_EQ(agent.heard()[0].target, "/v2/credentials/1");
  environment_.set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@elsewhere.example/x");
  expect_contains(check()["error"].asString(), "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
}

TEST_F(FixedAddresses, ThePodsAgent) {
  HttpServer agent([](const Heard&) { return Reply{200, document("ASIAEKSEKSEKSEKSEKSE")}; }, "169.254.170.23", 80);
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials")
      .set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t");
  EXPECT_EQ(check()["credential"]["identity"].asString(), "ASIA...EKSE");
  EXPECT_EQ(agent.heard()[0].headers.at("authorization"), "t");
  // Its name says it is not an agent, wherever it leads.
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://elsewhere.example/v1/credentials");
  expect_contains(check()["error"].asString(), "unsupported host 'elsewhere.example'");
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.169.254/v1/credentials");
  expect_contains(check()["error"].asString(), "unsupported host '169.254.169.254'");
}

TEST_F(FixedAddresses, ThePodsAgentOverIpv6) {
  HttpServer agent([](const Heard&) { return Reply{200, document("ASIAEKSEKSEKSEKSEKSE")}; }, "fd00:ec2::23", 80);
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://[fd00:ec2::23]/v1/credentials");
  EXPECT_EQ(check()["credential"]["identity"].asString(), "ASIA...EKSE");
  EXPECT_EQ(agent.count(), 1u);
}

/// A name server on the loopback that is asked for every name, and knows none, or does not answer.
class NameServer {
 public:
  explicit NameServer(bool answers) : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(53);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) ADD_FAILURE() << "no port 53";
    thread_ = std::thread([this, answers] {
      for (char bytes[512];;) {
        sockaddr_in who = {};
        socklen_t size = sizeof who;
        const ssize_t count = recvfrom(fd_, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&who), &size);
        if (is_over_) return;
        if (count < 12) continue;
        ++asked_;
        if (!answers) continue;
        bytes[2] = static_cast<char>(0x81), bytes[3] = static_cast<char>(0x83);  // an answer: there is no such name
        sendto(fd_, bytes, static_cast<size_t>(count), 0, reinterpret_cast<sockaddr*>(&who), size);
      }
    });
  }
  ~NameServer() {
    is_over_ = true;
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  int asked() const { return asked_; }

 private:
  const int fd_;
  std::atomic<bool> is_over_ = false;
  std::atomic<int> asked_ = 0;
  std::thread thread_;
};

TEST_F(FixedAddresses, ANameThatDoesNotExistIsTold) {
  NameServer names(true);
  environment_.keys().set("AWS_REGION", "eu-north-1").set("AWS_MAX_ATTEMPTS", "1");
  const std::string said =
      check(kWriter, "passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/R")["error"].asString();
  expect_contains(said, "Could not resolve host: sts.eu-north-1.amazonaws.com");
  EXPECT_GT(names.asked(), 0);
}

/// libc asks a silent server for a minute (see own_network); nobody waits for that.
TEST_F(FixedAddresses, ASilentNameServerCostsTheDeadline) {
  NameServer names(false);
  environment_.keys().set("AWS_REGION", "eu-north-1").set("AWS_MAX_ATTEMPTS", "1");
  const auto before = std::chrono::steady_clock::now();
  const std::string said =
      check(kWriter, "connect_timeout=2 passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/R")["error"]
          .asString();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(25));
  expect_contains(said, "did not answer in time");
  EXPECT_GT(names.asked(), 0);
}

TEST_F(FixedAddresses, StsInItsRegionOverTls) {
  make_certificate();
  HttpServer sts(
      [](const Heard&) {
        return Reply{
            200,
            "<R><Credentials><AccessKeyId>ASIASTSSTSSTSSTSSTSS</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            "<SessionToken>t</SessionToken><Expiration>2099-01-15T12:34:56Z</Expiration></Credentials></R>",
            {{"Content-Type", "text/xml"}}};
      },
      "127.0.0.1", 443, certificate(), key());
  environment_.keys();
  const std::string role = "passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/R";
  const auto last_host = [&] { return sts.heard().back().headers.at("host"); };
  EXPECT_EQ(check(kWriter, role)["credential"]["identity"].asString(), "ASIA...STSS");
  EXPECT_EQ(last_host(), "sts.amazonaws.com") << "as the CLI without a region";
  environment_.set("AWS_REGION", "eu-west-1");
  check(kWriter, role);
  EXPECT_EQ(last_host(), "sts.eu-west-1.amazonaws.com");
  environment_.set("AWS_REGION", "us-east-1").set("AWS_USE_FIPS_ENDPOINT", "true");
  check(kWriter, role);
  EXPECT_EQ(last_host(), "sts-fips.us-east-1.amazonaws.com");
  environment_.unset("AWS_REGION").unset("AWS_USE_FIPS_ENDPOINT");
  check(kWriter, "passfile=pqmint:rds?role_arn=arn:aws-cn:iam::123456789012:role/R");
  EXPECT_EQ(last_host(), "sts.cn-northwest-1.amazonaws.com.cn");
  const size_t heard = sts.count();
  environment_.unset("AWS_CA_BUNDLE").set("AWS_MAX_ATTEMPTS", "1");
  expect_contains(check(kWriter, role)["error"].asString(), "certificate");
  EXPECT_EQ(sts.count(), heard) << "nobody is asked whose certificate is not trusted";
}

TEST_F(FixedAddresses, MicrosoftsOwnAuthority) {
  make_certificate();
  HttpServer entra(
      [](const Heard&) {
        return Reply{200, R"({"access_token":"a.b.c","expires_in":3600})"};
      },
      "127.0.0.1", 443, certificate(), key());
  environment_.set("AZURE_TENANT_ID", "t").set("AZURE_CLIENT_ID", "c").set("AZURE_CLIENT_SECRET", "s");
  EXPECT_EQ(check("orders.postgres.database.azure.com")["credential"]["source"].asString(), "client-secret");
  EXPECT_EQ(entra.heard().back().headers.at("host"), "login.microsoftonline.com");
  check("orders.postgres.database.usgovcloudapi.net");
  EXPECT_EQ(entra.heard().back().headers.at("host"), "login.microsoftonline.us");
  expect_contains(entra.heard().back().body, "ossrdbms-aad.database.usgovcloudapi.net");
}

TEST_F(FixedAddresses, TheMachinesIdentity) {
  HttpServer imds(
      [](const Heard& heard) {
        if (!heard.headers.contains("metadata")) return Reply{400, R"({"error":"bad_request"})"};
        return Reply{200, R"({"access_token":"a.b.c","expires_on":"4072163696","token_type":"Bearer"})"};
      },
      "169.254.169.254", 80);
  EXPECT_EQ(check("orders.postgres.database.azure.com")["credential"]["source"].asString(), "managed-identity");
  ASSERT_EQ(imds.count(), 2u) << "a probe, then the request";
  EXPECT_EQ(imds.heard()[1].target,
            "/metadata/identity/oauth2/"
            "token?api-version=2018-02-01&resource=https%3A%2F%2Fossrdbms-aad.database.windows.net");
}

}  // namespace
}  // namespace pqmint::test
