// SPDX-License-Identifier: PostgreSQL
// What of a secret is left in a program's memory, searched from outside: heap, stack, data, and the memfd of the slot.
//
// libpq, stdio, OpenSSL, libcurl and jsoncpp free what they had without wiping it. So a program without pqmint that
// reads the same token from a password file shows what is theirs; with pqmint there may be no more of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "fake_entra.h"
#include "harness.h"
#include "http_server.h"

namespace pqmint::test {
namespace {

namespace fs = std::filesystem;

// What the judge knows.
constexpr char kEnvironmentsSecret[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
constexpr char kProfilesSecret[] = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY";
constexpr char kRolesSecret[] = "tempSecretTempSecretTempSecretTempSecret";
constexpr char kRolesToken[] = "FwoGZXIvYXdzEPT//////////wEaDO+token/with=chars==";
constexpr char kRolesKeyId[] = "ASIAIOSFODNN7EXAMPLE";

constexpr std::string_view kSignature = "X-Amz-Signature=";
constexpr size_t kSignatureSize = 64;      // hex digits
constexpr size_t kWebSignatureSize = 342;  // RS256 with 2048 bits, in base64url

/// All that a process can write to, and what lies in its memfds.
class Memory {
 public:
  explicit Memory(pid_t pid) {
    const std::string folder = "/proc/" + std::to_string(pid);
    const int memory = open((folder + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_GE(memory, 0) << "cannot read the memory of a child";
    std::istringstream maps(read_file(folder + "/maps"));
    for (std::string line; std::getline(maps, line);) {
      unsigned long begin = 0, end = 0;
      char rights[5] = "";
      if (sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) != 3 || rights[0] != 'r' || rights[1] != 'w')
        continue;
      std::string bytes(end - begin, '\0');
      const ssize_t count = pread(memory, bytes.data(), bytes.size(), static_cast<off_t>(begin));
      if (count > 0) bytes.resize(static_cast<size_t>(count)), regions_.push_back({line, std::move(bytes)});
    }
    close(memory);
    for (const auto& each : fs::directory_iterator(folder + "/fd")) {
      std::error_code ignored;
      const std::string target = fs::read_symlink(each, ignored).string();
      if (target.rfind("/memfd:", 0) == 0) regions_.push_back({target, read_file(each.path())});
    }
  }

  size_t count(std::string_view secret) const {
    size_t out = 0;
    for (const auto& [name, bytes] : regions_) {
      for (size_t at = 0; (at = bytes.find(secret, at)) != std::string::npos; ++at) ++out;
    }
    return out;
  }

  /// Where they are, with what stands around them: the secrets are made up.
  std::string places(std::string_view secret) const {
    std::string out;
    for (const auto& [name, bytes] : regions_) {
      for (size_t at = 0; (at = bytes.find(secret, at)) != std::string::npos; ++at) {
        std::string around = bytes.substr(at - std::min<size_t>(at, 160), 400);
        for (char& c : around) c = c >= ' ' && c <= '~' ? c : '.';
        out += "\n  " + name + "\n    " + around;
      }
    }
    return out;
  }

  /// The signature of a token that lies here whole.
  std::string signature() const {
    for (const auto& [name, bytes] : regions_) {
      for (size_t at = 0; (at = bytes.find(kSignature, at)) != std::string::npos; ++at) {
        const std::string digits = bytes.substr(at + kSignature.size(), kSignatureSize);
        if (digits.size() == kSignatureSize && digits.find_first_not_of("0123456789abcdef") == std::string::npos) {
          return digits;
        }
      }
    }
    return "";
  }

  /// A signed web token that lies here whole.
  std::string web_token() const {
    for (const auto& [name, bytes] : regions_) {
      for (size_t at = 0; (at = bytes.find("eyJ", at)) != std::string::npos; ++at) {
        const size_t end =
            bytes.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", at);
        const std::string token = bytes.substr(at, end - at);
        const size_t last = token.rfind('.');
        if (last != std::string::npos && token.size() - last - 1 == kWebSignatureSize) return token;
      }
    }
    return "";
  }

 private:
  std::vector<std::pair<std::string, std::string>> regions_;
};

class InMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.clock("real");
    fs::create_directory(environment_.home() + "/.aws");
  }

  /// How many copies libpq leaves of a token's signature by itself: while the connection is open, and after it.
  std::pair<size_t, size_t> without_pqmint(const std::string& token) {
    Environment environment;
    const std::string file = environment.home() + "/passwords";
    std::string escaped;
    for (const char c : token) escaped += (c == ':' || c == '\\' ? "\\" : "") + std::string(1, c);
    write_file(file, std::string("*:*:*:*:") + escaped + "\n");
    Client client(environment);
    EXPECT_EQ(client.say({"connectdb", good_ + "sslmode=verify-full passfile=" + file}), "OK");
    const std::string signature = token.substr(token.find(kSignature) + kSignature.size());
    const size_t open = Memory(client.pid()).count(signature);
    client.say({"finish"});
    return {open, Memory(client.pid()).count(signature)};
  }

  /// Connects in one of the client's ways, and holds what is found against what libpq leaves by itself.
  void expect_no_token_of_ours(const std::string& how, const std::string& more = "") {
    Client teller(environment_);
    ASSERT_EQ(teller.say({"connectdb", good_ + more}), "OK");
    const auto [open, finished] = without_pqmint(teller.say({"pass"}));

    Client client(environment_);
    ASSERT_EQ(client.say({how, good_ + more}), "OK");
    const Memory while_open(client.pid());
    const std::string signature = while_open.signature();
    ASSERT_EQ(signature.size(), kSignatureSize) << "PQpass has a token";
    EXPECT_LE(while_open.count(signature), open) << how << while_open.places(signature);
    client.say({"finish"});
    const Memory after(client.pid());
    EXPECT_LE(after.count(signature), finished) << how << after.places(signature);
    std::printf("%s: %zu copies of the token while open, %zu after it; libpq by itself: %zu, %zu\n", how.c_str(),
                while_open.count(signature), after.count(signature), open, finished);
  }

  /// After a connection and its end, `most` copies of `secret`.
  void expect_at_most(size_t most, const std::string& secret, const std::string& more = "") {
    Client client(environment_);
    ASSERT_EQ(client.say({"connectdb", good_ + more}), "OK");
    client.say({"finish"});
    const Memory memory(client.pid());
    EXPECT_LE(memory.count(secret), most) << memory.places(secret);
    std::printf("%zu copies of %.12s...\n", memory.count(secret), secret.c_str());
  }

  Reply role() const {
    return {200,
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>" + std::string(kRolesKeyId) +
                "</AccessKeyId><SecretAccessKey>" + kRolesSecret + "</SecretAccessKey><SessionToken>" + kRolesToken +
                "</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>"
                "</AssumeRoleResponse>",
            {{"Content-Type", "text/xml"}}};
  }
  std::string document() const {
    return "{\"Version\":1,\"AccessKeyId\":\"" + std::string(kRolesKeyId) + "\",\"SecretAccessKey\":\"" + kRolesSecret +
           "\",\"SessionToken\":\"" + kRolesToken + "\",\"Token\":\"" + kRolesToken +
           "\",\"Expiration\":\"2099-01-01T00:00:00Z\"}";
  }

  Server& server_ = Server::get();
  std::string good_ = server_.conninfo(kWriter, "iam_user");
  Environment environment_ = Environment().preload();
};

TEST_F(InMemory, NoTokenOfOursRemains) {
  environment_.keys();
  for (const char* how : {"connectdb", "connectStart"}) expect_no_token_of_ours(how);
}

TEST_F(InMemory, AResetLeavesTheOldTokenNowhere) {
  environment_.keys();
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  const std::string first = Memory(client.pid()).signature();
  const size_t open = Memory(client.pid()).count(first);
  sleep(1);  // the next token is another one: its time has whole seconds
  ASSERT_EQ(client.say({"reset"}), "OK");
  const Memory after(client.pid());
  EXPECT_LT(after.count(first), open) << after.places(first);
}

TEST_F(InMemory, KeysOfTheEnvironmentStayThere) {
  environment_.keys();
  expect_at_most(1, kEnvironmentsSecret);
}

TEST_F(InMemory, KeysOfAProfileAreNotKept) {
  write_file(environment_.home() + "/.aws/credentials",
             "[default]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = " +
                 std::string(kProfilesSecret) + "\n");
  expect_at_most(0, kProfilesSecret);
}

// jsoncpp and libcurl free what they have read without wiping it; how long it then lies there is chance.
constexpr size_t kFreedUnwiped = 2;

// One copy is core's memory of what was fetched, which is there so that STS is not asked for each connection.
TEST_F(InMemory, KeysOfARoleAreKeptOnce) {
  HttpServer sts([this](const Heard&) { return role(); });
  environment_.keys().set("AWS_ENDPOINT_URL_STS", sts.url());
  const std::string spec = "passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/App";
  expect_at_most(1, kRolesSecret, spec);
  expect_at_most(1, kRolesToken, spec);
  expect_at_most(1, kEnvironmentsSecret, spec);
}

TEST_F(InMemory, KeysOfAContainerAreKeptOnce) {
  HttpServer agent([this](const Heard&) { return Reply{200, document()}; });
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url() + "/keys")
      .set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agent-token");
  expect_at_most(1 + kFreedUnwiped, kRolesSecret);
  expect_at_most(1 + kFreedUnwiped, kRolesToken);
}

TEST_F(InMemory, KeysOfAProcessAreKeptOnce) {
  const std::string tool = environment_.home() + "/keys";
  write_file(tool, "#!/bin/sh\necho '" + document() + "'\n", 0700);
  write_file(environment_.home() + "/.aws/config", "[default]\ncredential_process = " + tool + "\n");
  expect_at_most(1 + kFreedUnwiped, kRolesSecret);
  expect_at_most(1 + kFreedUnwiped, kRolesToken);
}

// Core keeps one copy of a web token; the other one is libpq's.
TEST_F(InMemory, ATokenOfEntrasIsKeptOnce) {
  FakeEntra entra(server_.value("PQMINT_TEST_CERTIFICATE"), server_.value("PQMINT_TEST_KEY"),
                  server_.value("PQMINT_TEST_ENTRA_KEY"));
  entra.add({"person", "s3cret-of-a-client", R"("oid":"11111111-aaaa-bbbb-cccc-000000000001")", 3600, ""});
  environment_.set("AZURE_AUTHORITY_HOST", entra.url())
      .set("PQMINT_UNSAFE_AUTHORITY", "localhost:" + std::to_string(entra.port()))
      .set("SSL_CERT_FILE", server_.ca())
      .set("AZURE_TENANT_ID", "test-tenant")
      .set("AZURE_CLIENT_ID", "person")
      .set("AZURE_CLIENT_SECRET", "s3cret-of-a-client");
  const std::string conninfo = server_.conninfo("orders.postgres.database.azure.com", "entra_user@example.com");
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", conninfo}), "OK");
  const std::string token = Memory(client.pid()).web_token();
  ASSERT_GT(token.size(), kWebSignatureSize);
  const std::string signature = token.substr(token.size() - kWebSignatureSize);
  client.say({"finish"});
  const Memory memory(client.pid());
  EXPECT_LE(memory.count(signature), 2u + kFreedUnwiped) << memory.places(signature);
  // The environment's, and the one in libcurl's send buffer, which has the whole request.
  EXPECT_LE(memory.count("s3cret-of-a-client"), 2u + kFreedUnwiped) << memory.places("s3cret-of-a-client");
  std::printf("%zu copies of Entra's token, %zu of the client secret\n", memory.count(signature),
              memory.count("s3cret-of-a-client"));
}

}  // namespace
}  // namespace pqmint::test
