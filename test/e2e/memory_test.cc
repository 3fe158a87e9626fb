// SPDX-License-Identifier: PostgreSQL
// What of a secret is left in a program's memory.
//
// Two measures, and neither leaves anything to chance. Each block that is given back is looked into (freed.cc): if a
// secret stands in it, somebody has not wiped it, and it must not be one of our objects. And as such blocks are wiped
// then, a search of the memory from outside (heap, stack, data, and the memfd of the slot) finds what is held, and the
// exact number of copies is known.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "fake_aws.h"
#include "fake_entra.h"
#include "harness.h"

namespace pqmint::test {
namespace {

namespace fs = std::filesystem;

// What the judge knows.
constexpr char kEnvironmentsSecret[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
constexpr char kProfilesSecret[] = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY";

constexpr char kWebIdentity[] =
    "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2V4YW1wbGUifQ.bWFkZS11cC1zaWduYXR1cmUtb2YtYS13ZWItaWRlbnRpdHk";

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

std::string hex_digest(const char* algorithm, const std::string& text) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  size_t size = 0;
  EVP_Q_digest(nullptr, algorithm, nullptr, text.data(), text.size(), bytes, &size);
  std::string out;
  for (size_t i = 0; i < size; ++i) {
    out += "0123456789abcdef"[bytes[i] >> 4];
    out += "0123456789abcdef"[bytes[i] & 15];
  }
  return out;
}

/// A connection and its end, in a program whose freed memory is looked into.
class Watched {
 public:
  Watched(Environment environment, const std::vector<std::string>& secrets, bool has_pqmint = true)
      : secrets_(secrets), log_(environment.home() + "/freed"), client_(prepared(environment, has_pqmint)) {}

  std::string say(const std::vector<std::string>& words) { return client_.say(words); }
  Memory memory() { return Memory(client_.pid()); }

  /// Blocks that were given back with a secret in them: who gave which back, and how often.
  std::map<std::string, size_t> unwiped() {
    std::map<std::string, size_t> out;
    std::istringstream lines(fs::exists(log_) ? read_file(log_) : "");
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string what, owner;
      words >> what >> owner;
      if (what.size() < 3) what = shown(secrets_.at(std::stoul(what)));
      ++out[owner + " " + what];
      if (is_ours(owner)) ours_ += line + "\n";
    }
    return out;
  }
  static std::string shown(const std::string& secret) { return secret.substr(0, 16) + "..."; }
  /// The findings that are ours, with their callers.
  const std::string& ours() const { return ours_; }

 private:
  static bool is_ours(const std::string& owner) {
    return owner == "libpqmint.so" || owner == "core.so" || owner == "net.so";
  }
  Environment& prepared(Environment& environment, bool has_pqmint) {
    std::string lines;
    for (const std::string& secret : secrets_) lines += secret + "\n";
    write_file(log_ + ".secrets", lines);
    const std::string ours = has_pqmint ? ":" + stage() + "/lib/libpqmint.so" : "";
    return environment.set("LD_PRELOAD", built("test/e2e/libfreed.so") + ours).set("PQMINT_TEST_FREED", log_);
  }

  const std::vector<std::string> secrets_;
  const std::string log_;
  std::string ours_;
  Client client_;
};

class InMemory : public ::testing::Test {
 protected:
  using Held = std::vector<std::pair<std::string, size_t>>;

  void SetUp() override {
    server_.clock("real");
    fs::create_directory(environment_.home() + "/.aws");
  }

  /// Connects, and ends the connection. Then so many copies of each secret are held as are said; of a token, none; and
  /// nothing was given back unwiped by an object of ours.
  void expect_held(const Held& held, const std::string& conninfo) {
    std::vector<std::string> secrets;
    for (const auto& [secret, count] : held) secrets.push_back(secret);
    Watched client(environment_, secrets);
    ASSERT_EQ(client.say({"connectdb", conninfo}), "OK");
    client.say({"finish"});
    const Memory memory = client.memory();
    for (const auto& [secret, count] : held) EXPECT_EQ(memory.count(secret), count) << memory.places(secret);
    EXPECT_EQ(memory.signature(), "") << memory.places(memory.signature());
    expect_wiped(client);
  }
  void expect_held_of_rds(const Held& held, const std::string& more = "") { expect_held(held, good_ + more); }

  /// How often libpq by itself gives a token back unwiped, which it has read from a password file.
  size_t left_by_libpq(const std::string& token) {
    Environment environment;
    const std::string file = environment.home() + "/passwords";
    std::string escaped;
    for (const char c : token) escaped += (c == ':' || c == '\\' ? "\\" : "") + std::string(1, c);
    write_file(file, "*:*:*:*:" + escaped + "\n");
    Watched client(environment, {}, false);
    EXPECT_EQ(client.say({"connectdb", good_ + "sslmode=verify-full passfile=" + file}), "OK");
    client.say({"finish"});
    return client.unwiped()["libpq.so.5 signature"];
  }

  /// What libraries leave is told; of an answer, which is ours to take out of their hands, they may not leave more than
  /// jsoncpp does: one copy of each text, for each time that it is read.
  static void expect_wiped(Watched& client) {
    const auto unwiped = client.unwiped();
    EXPECT_EQ(client.ours(), "");
    for (const auto& [what, count] : unwiped) {
      std::printf("given back unwiped: %s, %zu times\n", what.c_str(), count);
      const bool is_of_an_answer = what.find(Watched::shown(kRoleSecretKey)) != what.npos;
      if (is_of_an_answer) {
        EXPECT_EQ(what.substr(0, 10) + ", " + std::to_string(count), "libjsoncpp, 1") << what;
      }
      EXPECT_FALSE(what.starts_with("libssl") || what.starts_with("libcrypto")) << what;
    }
  }

  Server& server_ = Server::get();
  std::string good_ = server_.conninfo(kWriter, "iam_user") + " ";
  Environment environment_ = Environment().preload();
};

TEST_F(InMemory, NoTokenOfOursRemains) {
  environment_.keys();
  Client teller(environment_);
  ASSERT_EQ(teller.say({"connectdb", good_}), "OK");
  const size_t by_itself = left_by_libpq(teller.say({"pass"}));
  std::printf("libpq by itself gives a token back unwiped %zu times\n", by_itself);
  for (const char* how : {"connectdb", "connectStart"}) {
    Environment environment = Environment().preload().keys();
    Watched client(environment, {});
    ASSERT_EQ(client.say({how, good_}), "OK");
    const Memory open = client.memory();
    const std::string signature = open.signature();
    ASSERT_EQ(signature.size(), kSignatureSize) << "PQpass has a token";
    // The password, and what libpq has sent: both are its own.
    EXPECT_EQ(open.count(signature), 2u) << open.places(signature);
    client.say({"finish"});
    const Memory after = client.memory();
    EXPECT_EQ(after.count(signature), 0u) << after.places(signature);
    EXPECT_LE(client.unwiped()["libpq.so.5 signature"], by_itself) << how;
    expect_wiped(client);
  }
}

// The new token is shorter, so without a wipe the end of the old one, with its signature, would stay behind it.
TEST_F(InMemory, AResetLeavesTheOldTokenNowhere) {
  environment_.set("AWS_ACCESS_KEY_ID", kRoleKeyId)
      .set("AWS_SECRET_ACCESS_KEY", kRoleSecretKey)
      .set("AWS_SESSION_TOKEN", kRoleSessionToken);
  Watched client(environment_, {});
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  const std::string first = client.memory().signature();
  ASSERT_EQ(first.size(), kSignatureSize);
  constexpr size_t first_token_size = 1024;
  client.say({"setenv", "AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"});
  client.say({"setenv", "AWS_SECRET_ACCESS_KEY", kEnvironmentsSecret});
  client.say({"unsetenv", "AWS_SESSION_TOKEN"});
  ASSERT_EQ(client.say({"reset"}), "OK");
  // libpq's own buffer of what it sends holds the end of the old message, for the new one is shorter.
  client.say({"query", "select '" + std::string(first_token_size, 'x') + "'"});
  const Memory after = client.memory();
  EXPECT_EQ(after.count(first), 0u) << after.places(first);
  EXPECT_EQ(after.signature().size(), kSignatureSize) << "the new one is there";
  expect_wiped(client);
}

// A finding of another's, so that it is seen that there are any: libpq does not wipe what it has sent.
TEST_F(InMemory, TheWatchSeesWhatIsGivenBackUnwiped) {
  environment_.keys();
  Watched client(environment_, {});
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  client.say({"finish"});
  EXPECT_GE(client.unwiped()["libpq.so.5 signature"], 1u);
}

TEST_F(InMemory, KeysOfTheEnvironmentStayThere) {
  environment_.keys();
  expect_held_of_rds({{kEnvironmentsSecret, 1}});
}

// With the rest of the file, which is parsed once.
TEST_F(InMemory, KeysOfAProfileAreKeptOnce) {
  write_file(environment_.home() + "/.aws/credentials",
             "[default]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = " +
                 std::string(kProfilesSecret) + "\n");
  usleep(100'000);  // a file that was changed just now is not remembered, for it may be about to change again
  expect_held_of_rds({{kProfilesSecret, 1}});
}

// One copy is core's memory of what was fetched, which is there so that STS is not asked for each connection.
TEST_F(InMemory, KeysOfARoleAreKeptOnce) {
  HttpServer sts([](const Heard&) { return assumed_role(); });
  environment_.keys().set("AWS_ENDPOINT_URL_STS", sts.url());
  expect_held_of_rds({{kRoleSecretKey, 1}, {kRoleSessionToken, 1}, {kEnvironmentsSecret, 1}},
                     "passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/App");
}

TEST_F(InMemory, KeysOfAWebIdentityAreKeptOnce) {
  HttpServer sts([](const Heard&) { return assumed_role(); });
  write_file(environment_.home() + "/identity", kWebIdentity);
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url())
      .set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/App")
      .set("AWS_WEB_IDENTITY_TOKEN_FILE", environment_.home() + "/identity")
      .set("AWS_REGION", "eu-west-1");
  expect_held_of_rds({{kRoleSecretKey, 1}, {kRoleSessionToken, 1}, {kWebIdentity, 0}});
}

TEST_F(InMemory, KeysOfAContainerAreKeptOnce) {
  HttpServer agent([](const Heard&) { return Reply{200, keys_document("Token")}; });
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url() + "/keys")
      .set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agent-token-agent-token");
  expect_held_of_rds({{kRoleSecretKey, 1}, {kRoleSessionToken, 1}, {"agent-token-agent-token", 1}});
}

TEST_F(InMemory, KeysOfAMachineAreKeptOnce) {
  constexpr char kTokenOfImds[] = "AQAEAtokenOfTheMetadataService==";
  HttpServer imds([&](const Heard& heard) {
    if (heard.method == "PUT") return Reply{200, kTokenOfImds};
    return heard.target.ends_with("/") ? Reply{200, "App"} : Reply{200, keys_document("Token")};
  });
  environment_.unset("AWS_EC2_METADATA_DISABLED").set("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url());
  expect_held_of_rds({{kRoleSecretKey, 1}, {kRoleSessionToken, 1}, {kTokenOfImds, 0}});
}

// The program is started with the host's whole environment.
TEST_F(InMemory, KeysOfAProcessAreKeptOnce) {
  const std::string tool = environment_.home() + "/keys";
  write_file(tool, "#!/bin/sh\necho '" + keys_document("SessionToken") + "'\n", 0700);
  write_file(environment_.home() + "/.aws/config", "[default]\ncredential_process = " + tool + "\n");
  environment_.set("SOME_SECRET", "a-secret-of-something-else");
  expect_held_of_rds({{kRoleSecretKey, 1}, {kRoleSessionToken, 1}, {"a-secret-of-something-else", 1}});
}

TEST_F(InMemory, ATokenOfACommandIsNotKept) {
  const std::string token = "token-of-a-command-token-of-a-command";
  const std::string tool = environment_.home() + "/token";
  write_file(tool, "#!/bin/sh\necho " + token + "\n", 0700);
  Watched client(environment_, {token});
  client.say({"connectdb", good_ + "passfile=pqmint:command?command=" + tool});
  client.say({"finish"});
  const Memory memory = client.memory();
  EXPECT_EQ(memory.count(token), 0u) << memory.places(token);
  expect_wiped(client);
}

TEST_F(InMemory, ALoginOfIdentityCenterIsNotKept) {
  const std::string second = "made-up-second-access-token", rotated = "made-up-rotated-refresh-token";
  HttpServer sso([&](const Heard& heard) {
    if (heard.target == "/token") {
      return Reply{200,
                   "{\"accessToken\":\"" + second + "\",\"expiresIn\":28800,\"refreshToken\":\"" + rotated + "\"}"};
    }
    return role_credentials();
  });
  write_file(environment_.home() + "/.aws/config",
             "[default]\nsso_session = corp\nsso_account_id = 012345678901\nsso_role_name = Admin\n"
             "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n");
  const std::string cache = environment_.home() + "/.aws/sso/cache";
  fs::create_directories(cache);
  write_file(
      cache + "/" + hex_digest("SHA1", "corp") + ".json",
      "{\"startUrl\":\"https://corp.awsapps.com/start\",\"region\":\"eu-west-1\",\"accessToken\":\"made-up-first-"
      "access-token\",\"expiresAt\":\"" +
          utc(60) +
          "\",\"clientId\":\"id\",\"clientSecret\":\"made-up-client-"
          "secret-of-sso\",\"registrationExpiresAt\":\"" +
          utc(864000) + "\",\"refreshToken\":\"made-up-first-refresh-token\"}");
  environment_.set("AWS_ENDPOINT_URL_SSO", sso.url()).set("AWS_ENDPOINT_URL_SSO_OIDC", sso.url());
  expect_held_of_rds({{kRoleSecretKey, 1},
                      {kRoleSessionToken, 1},
                      {second, 0},
                      {rotated, 0},
                      {"made-up-first-access-token", 0},
                      {"made-up-first-refresh-token", 0},
                      {"made-up-client-secret-of-sso", 0}});
}

TEST_F(InMemory, ALoginSessionIsNotKept) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"),
                                                                EVP_PKEY_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PrivateKey_traditional(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  std::string pem(text, static_cast<size_t>(size)), escaped;
  for (const char c : pem) escaped += c == '\n' ? std::string("\\n") : std::string(1, c);
  const std::string line_of_key = pem.substr(pem.find('\n') + 1, 64);

  HttpServer signin([&](const Heard&) {
    return Reply{200, "{\"accessToken\":{\"accessKeyId\":\"" + std::string(kRoleKeyId) + "\",\"secretAccessKey\":\"" +
                          kRoleSecretKey + "\",\"sessionToken\":\"" + kRoleSessionToken +
                          "\"},\"expiresIn\":900,\"refreshToken\":\"made-up-rotated-refresh-token\"}"};
  });
  const std::string session = "arn:aws:sts::123456789012:assumed-role/Dev/me";
  write_file(environment_.home() + "/.aws/config", "[default]\nlogin_session = " + session + "\nregion = eu-west-1\n");
  const std::string cache = environment_.home() + "/.aws/login/cache";
  fs::create_directories(cache);
  write_file(cache + "/" + hex_digest("SHA256", session) + ".json",
             "{\"accessToken\":{\"accessKeyId\":\"AKIAI44QH8DHBEXAMPLE\",\"secretAccessKey\":\"" +
                 std::string(kProfilesSecret) +
                 "\",\"sessionToken\":\"made-up-session-token-of-a-login\",\"expiresAt\":\"" + utc(60) +
                 "\"},\"clientId\":\"c\",\"refreshToken\":\"made-up-first-refresh-token\",\"dpopKey\":\"" + escaped +
                 "\"}");
  environment_.set("AWS_ENDPOINT_URL_SIGNIN", signin.url());
  expect_held_of_rds({{kRoleSecretKey, 1},
                      {kRoleSessionToken, 1},
                      {kProfilesSecret, 0},
                      {"made-up-session-token-of-a-login", 0},
                      {"made-up-first-refresh-token", 0},
                      {"made-up-rotated-refresh-token", 0},
                      {line_of_key, 0}});
}

class EntraInMemory : public InMemory {
 protected:
  void SetUp() override {
    InMemory::SetUp();
    entra_.add({"person", kClientSecret, R"("oid":"11111111-aaaa-bbbb-cccc-000000000001")", 3600, ""});
    environment_.set("AZURE_AUTHORITY_HOST", entra_.url())
        .set("PQMINT_UNSAFE_AUTHORITY", "localhost:" + std::to_string(entra_.port()))
        .set("SSL_CERT_FILE", server_.ca())
        .set("AZURE_TENANT_ID", "test-tenant")
        .set("AZURE_CLIENT_ID", "person");
  }
  void expect_one_token(const Held& held) {
    std::vector<std::string> secrets;
    for (const auto& [secret, count] : held) secrets.push_back(secret);
    Watched client(environment_, secrets);
    ASSERT_EQ(client.say({"connectdb", azure_}), "OK");
    const std::string token = client.memory().web_token();
    ASSERT_GT(token.size(), kWebSignatureSize);
    const std::string signature = token.substr(token.size() - kWebSignatureSize);
    client.say({"finish"});
    const Memory memory = client.memory();
    EXPECT_EQ(memory.count(signature), 1u) << memory.places(signature);
    for (const auto& [secret, count] : held) EXPECT_EQ(memory.count(secret), count) << memory.places(secret);
    expect_wiped(client);
  }

  static constexpr char kClientSecret[] = "s3cret-of-a-client";
  FakeEntra entra_{server_.value("PQMINT_TEST_CERTIFICATE"), server_.value("PQMINT_TEST_KEY"),
                   server_.value("PQMINT_TEST_ENTRA_KEY")};
  std::string azure_ = server_.conninfo("orders.postgres.database.azure.com", "entra_user@example.com");
};

TEST_F(EntraInMemory, OfAClientSecret) {
  environment_.set("AZURE_CLIENT_SECRET", kClientSecret);
  expect_one_token({{kClientSecret, 1}});
}

TEST_F(EntraInMemory, OfACertificate) {
  const std::string path = environment_.home() + "/client.pem";
  write_file(path, read_file(server_.value("PQMINT_TEST_KEY")) + read_file(server_.value("PQMINT_TEST_CERTIFICATE")));
  environment_.set("AZURE_CLIENT_CERTIFICATE_PATH", path);
  const std::string key = read_file(server_.value("PQMINT_TEST_KEY"));
  expect_one_token({{key.substr(key.find('\n') + 1 + 65 * 5, 64), 0}});
}

TEST_F(EntraInMemory, OfAWorkload) {
  write_file(environment_.home() + "/identity", kWebIdentity);
  environment_.set("AZURE_FEDERATED_TOKEN_FILE", environment_.home() + "/identity");
  expect_one_token({{kWebIdentity, 0}});
}

TEST_F(EntraInMemory, OfAnAppService) {
  for (const char* name : {"AZURE_TENANT_ID", "AZURE_CLIENT_ID"}) environment_.unset(name);
  const std::string token =
      entra_.sign(R"("aud":"https://ossrdbms-aad.database.windows.net","exp":)" + std::to_string(time(nullptr) + 3600) +
                  R"(,"oid":"11111111-aaaa-bbbb-cccc-000000000001")");
  HttpServer platform([&](const Heard&) {
    return Reply{200, "{\"access_token\":\"" + token + "\",\"expires_on\":\"" + std::to_string(time(nullptr) + 3600) +
                          "\",\"resource\":\"r\",\"token_type\":\"Bearer\"}"};
  });
  environment_.set("IDENTITY_ENDPOINT", platform.url() + "/msi/token").set("IDENTITY_HEADER", "made-up-header-secret");
  expect_one_token({{"made-up-header-secret", 1}});
}

TEST_F(EntraInMemory, OfTheAzureCli) {
  for (const char* name : {"AZURE_TENANT_ID", "AZURE_CLIENT_ID"}) environment_.unset(name);
  const std::string token =
      entra_.sign(R"("aud":"https://ossrdbms-aad.database.windows.net","exp":)" + std::to_string(time(nullptr) + 3600) +
                  R"(,"oid":"11111111-aaaa-bbbb-cccc-000000000001")");
  write_file(environment_.home() + "/az",
             "#!/bin/sh\necho '{\"accessToken\":\"" + token + "\",\"expires_on\":4070908800}'\n", 0700);
  environment_.set("PATH", environment_.home() + ":/usr/bin:/bin").set("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential");
  expect_one_token({});
}

}  // namespace
}  // namespace pqmint::test
