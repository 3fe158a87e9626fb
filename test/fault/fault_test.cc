// SPDX-License-Identifier: PostgreSQL
// Torture: call after call of malloc, open, socket, mmap, clone ... fails under a program that connects through pqmint.
// Each time it is told so, or goes on; nothing crashes, hangs, leaks, or locks the next connection out; and no error
// shows a secret. What is interrupted, or done in part, must succeed: the server, which judges tokens, tells.
//
// PQMINT_TEST_FAULTS=all fails every call where the test otherwise takes a sample.
#include <gtest/gtest.h>

#include <openssl/evp.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <sstream>

#include "../e2e/harness.h"
#include "fake_aws.h"
#include "fake_entra.h"
#include "injector.h"

namespace pqmint::test {
namespace {

// What may not be shown but the keys: of the fakes' answers and of the user's files.
constexpr char kBearer[] = "header.payload.signature", kPassed[] = "s3cret-of-a-service";
constexpr long kDay = 86'400;  // seconds: longer than any run
constexpr char kAzure[] = "orders.postgres.database.azure.com";

std::string sha1(const std::string& text) {
  unsigned char digest[20];
  EVP_Q_digest(nullptr, "SHA1", nullptr, text.data(), text.size(), digest, nullptr);
  char hex[2 * sizeof digest + 1];
  for (size_t i = 0; i < sizeof digest; ++i) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  return hex;
}

/// One connection with one fault in it.
struct Line {
  long n, calls;
  int descriptors, children;
  std::string second, first;
};

bool has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

class Fault : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.clock("real");
    environment_.keys().set("LD_PRELOAD", stage() + "/lib/libpqmint.so:" + built("test/fault/libinjector.so"));
  }

  std::string refused(const std::string& more = "") const {
    return std::string("host=") + kWriter +
           " hostaddr=127.0.0.1 port=1 user=iam_user dbname=app sslrootcert=" + server_.ca() + " " + more;
  }

  /// The conninfo of the connections that follow: as good_, but to a server that takes any token, and costs less.
  std::string again() const {
    std::string conninfo = good_;
    const std::string port = std::to_string(server_.port());
    return conninfo.replace(conninfo.find(port, conninfo.find("port=")), port.size(), std::to_string(fake_.port()));
  }

  std::string victim(const std::vector<std::string>& words) {
    std::vector<std::string> argv = {built("test/fault/victim")};
    argv.insert(argv.end(), words.begin(), words.end());
    const Outcome outcome = run(argv, environment_, "", is_whole_ ? 3600 : 280);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.err, "");
    for (const char* secret : {"X-Amz-", "wJalrXUtnFEMI", "je7MtGbClwBF", kRoleSecretKey, "FwoGZXIv", kBearer, kPassed,
                               "eyJ", "not-a-token", "/proc/self/fd/", "pppp"}) {
      EXPECT_FALSE(has(outcome.out, secret)) << secret;
    }
    return outcome.out;
  }

  /// The faults of one kind, of which a sample takes `most`. The letters are those of injector.h.
  struct Series {
    char kind;
    int error;
    long most;
    bool all_after = false;
    char scope = kFaultWithCurl;
  };

  std::vector<Line> cold(const std::string& stage, const Series& series, const std::string& faulted) {
    const long most = is_whole_ ? 0 : series.most;
    std::istringstream out(
        victim({"cold", stage, std::string(1, series.kind), std::string(1, series.scope), std::to_string(series.error),
                series.all_after ? "1" : "0", std::to_string(most), faulted, stage == "reset" ? good_ : again()}));
    std::vector<Line> lines;
    for (std::string text; std::getline(out, text);) {
      Line line = {};
      std::istringstream parts(text);
      parts >> line.n >> line.calls >> line.descriptors >> line.children;
      if (!parts || parts.get() != '\t' || !std::getline(parts, line.second, '\t') ||
          !std::getline(parts, line.first)) {
        ADD_FAILURE() << "fault " << text;
        continue;
      }
      lines.push_back(line);
    }
    if (lines.empty()) {
      ADD_FAILURE() << "the victim said nothing";
      lines.push_back({});
    }
    return lines;
  }

  /// What may come of a fault in a call of pqmint's own, in any stage.
  static bool is_told(const std::string& said) {
    return said == "OK" || said == "NULL" || said.rfind("pqmint: ", 0) == 0 || said == "out of memory|" ||
           // The plain call: memory was out before it was known whether the host is one of ours.
           has(said, "fe_sendauth: no password supplied|");
  }

  static std::string name(const Series& series) {
    return std::string("kind ") + series.kind + ", error " + std::to_string(series.error) +
           (series.all_after ? ", all after" : "") + ", fault ";
  }

  /// Whatever became of the first: the second is well, and all is given back.
  static void expect_no_trace(const std::vector<Line>& lines, const Series& series) {
    for (const Line& line : lines) {
      EXPECT_EQ(line.second, "OK") << name(series) << line.n << ": " << line.first;
      EXPECT_EQ(line.descriptors, lines[0].descriptors) << name(series) << line.n << ": " << line.first;
      EXPECT_EQ(line.children, 0) << name(series) << line.n << ": " << line.first;
    }
  }

  void expect_told(const Series& series, const std::string& faulted, const char* stage = "connect",
                   const char* without_fault = "OK") {
    const std::vector<Line> lines = cold(stage, series, faulted);
    EXPECT_TRUE(has(lines[0].first, without_fault)) << lines[0].first;
    EXPECT_GT(lines[0].calls, 0) << name(series);
    EXPECT_GT(lines.size(), 1u) << name(series);
    for (const Line& line : lines) {
      EXPECT_TRUE(is_told(line.first) || has(line.first, without_fault))
          << name(series) << line.n << ": " << line.first;
    }
    expect_no_trace(lines, series);
  }

  /// As if nothing had been.
  void expect_unharmed(const Series& series, const char* stage = "connect") {
    const std::vector<Line> lines = cold(stage, series, good_);
    EXPECT_GT(lines.size(), 1u) << name(series);
    for (const Line& line : lines) EXPECT_EQ(line.first, "OK") << name(series) << line.n;
    expect_no_trace(lines, series);
  }

  /// What is told of a source of credentials.
  struct Road {
    bool executes = false;       // programs, which could not live under kFaultMaps
    bool resolves = false;       // a name, for which libcurl 7.88 frees memory twice where it gets none
    bool may_be_absent = false;  // one that does not answer well is taken for absent, and that is remembered
  };
  /// One source, and every kind of fault.
  void torture(Road road) {
    const char scope = road.resolves ? kFaultOurs : kFaultWithCurl;
    expect_told({kFaultMemory, ENOMEM, 5, false, scope}, good_);
    expect_told({kFaultMemory, ENOMEM, 1, true, scope}, good_);
    expect_told({kFaultFiles, EMFILE, 2}, good_);
    if (!road.may_be_absent) expect_told({kFaultFiles, EIO, 2}, good_);
    if (!road.may_be_absent && is_whole_) expect_told({kFaultFiles, EAGAIN, 0}, good_);
    expect_unharmed({kFaultInterrupts, EINTR, 3});
    // All in pieces, and then each call by itself.
    for (const int size : {1, 0}) {
      const std::vector<Line> lines = cold("connect", {kFaultPortions, size, 1, true}, good_);
      for (const Line& line : lines) EXPECT_EQ(line.first, "OK") << (size ? "bytes" : "halves") << " from " << line.n;
      expect_no_trace(lines, {kFaultPortions, size, 1, true});
    }
    if (is_whole_) expect_unharmed({kFaultPortions, 1, 0});
    if (road.executes) expect_told({kFaultProcesses, EAGAIN, 1}, good_);
    if (!road.executes && can_map_) expect_told({kFaultMaps, EIO, 2, false, kFaultAnyone}, good_);
  }

  /// Every allocation of the process: libc's, the loader's, libpq's and OpenSSL's too, up to the point where libpq
  /// takes up the connection (which is refused, for what libpq and OpenSSL make of TLS without memory is their own).
  void expect_alive(const Series& series) {
    const std::vector<Line> lines = cold("connect", series, refused());
    EXPECT_TRUE(has(lines[0].first, "Connection refused")) << lines[0].first;
    for (const Line& line : lines) {
      // OpenSSL that could not set itself up stays so.
      EXPECT_TRUE(line.second == "OK" || has(line.second, "SSL") || has(line.second, "pqmint: out of memory") ||
                  has(line.second, "certificate"))
          << name(series) << line.n << ": " << line.second;
      EXPECT_LE(line.descriptors, lines[0].descriptors) << name(series) << line.n;
    }
  }

  void config(const std::string& text) {
    std::filesystem::create_directories(environment_.home() + "/.aws");
    write_file(environment_.home() + "/.aws/config", text);
    environment_.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY");
  }

  const bool is_whole_ = [] {
    const char* wish = std::getenv("PQMINT_TEST_FAULTS");
    return wish && std::string(wish) == "all";
  }();
  const bool can_map_ =
      run({built("test/fault/victim"), "can-map"}, Environment().set("LD_PRELOAD", built("test/fault/libinjector.so")))
          .status == 0;
  Server& server_ = Server::get();
  FakePostgres fake_{"accept", true};
  std::string good_ = server_.conninfo(kWriter, "iam_user");
  Environment environment_;
};

constexpr char kProfile[] =
    "aws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY\n";

TEST_F(Fault, KeysOfTheEnvironment) {
  torture({});
}

TEST_F(Fault, KeysOfAProfile) {
  config("[default]\n" + std::string(kProfile));
  torture({});
}

TEST_F(Fault, KeysOfAProcess) {
  write_file(environment_.home() + "/keys", "#!/bin/sh\necho '" + keys_document("SessionToken", kDay) + "'\n", 0700);
  config("[default]\ncredential_process = " + environment_.home() + "/keys\n");
  torture({.executes = true});
}

TEST_F(Fault, KeysOfARole) {
  HttpServer sts([](const Heard&) { return assumed_role(kDay); });
  environment_.set("AWS_ENDPOINT_URL", sts.url()).set("AWS_PROFILE", "app");
  config(
      "[profile app]\nrole_arn = arn:aws:iam::123456789012:role/App\nsource_profile = base\nregion = eu-west-1\n"
      "max_attempts = 1\n[profile base]\n" +
      std::string(kProfile));
  torture({});
}

TEST_F(Fault, KeysOfAWebIdentity) {
  HttpServer sts([](const Heard&) { return assumed_role(kDay); });
  write_file(environment_.home() + "/jwt", std::string(kBearer) + "\n");
  environment_.set("AWS_WEB_IDENTITY_TOKEN_FILE", environment_.home() + "/jwt")
      .set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/Pod")
      .set("AWS_ENDPOINT_URL", sts.url())
      .set("AWS_MAX_ATTEMPTS", "1");
  config("");
  torture({});
}

TEST_F(Fault, KeysOfIdentityCenter) {
  // What is fetched anew ends soon, so every connection fetches it and writes it down.
  HttpServer sso([](const Heard& heard) {
    if (heard.target == "/token") {
      return Reply{200, std::string(R"({"accessToken":")") + kBearer + R"(","expiresIn":60,"refreshToken":")" +
                            kPassed + R"(","tokenType":"Bearer"})"};
    }
    return role_credentials(kDay);
  });
  config(
      "[default]\nsso_session = corp\nsso_account_id = 012345678901\nsso_role_name = Admin\nmax_attempts = 1\n"
      "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n");
  const std::string cache = environment_.home() + "/.aws/sso/cache";
  std::filesystem::create_directories(cache);
  write_file(cache + "/" + sha1("corp") + ".json",
             R"({"startUrl":"https://corp.awsapps.com/start","region":"eu-west-1","accessToken":")" +
                 std::string(kBearer) + R"(","expiresAt":"2020-01-15T12:34:56Z","clientId":"id","clientSecret":")" +
                 kPassed + R"(","registrationExpiresAt":")" + utc(kDay) + R"(","refreshToken":")" + kPassed + R"("})");
  environment_.set("AWS_ENDPOINT_URL", sso.url());
  torture({});
  const auto files = std::filesystem::directory_iterator(cache);
  EXPECT_EQ(std::distance(begin(files), end(files)), 1) << "a file that was not finished stays behind";
}

TEST_F(Fault, KeysOfAContainer) {
  HttpServer agent([](const Heard& heard) {
    return heard.headers.at("authorization") == kPassed ? Reply{200, keys_document("Token", kDay)} : Reply{401, "{}"};
  });
  write_file(environment_.home() + "/token", kPassed);
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url() + "/v1/credentials")
      .set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", environment_.home() + "/token")
      .set("AWS_MAX_ATTEMPTS", "1");
  config("");
  torture({});
}

TEST_F(Fault, KeysOfTheInstance) {
  HttpServer metadata([](const Heard& heard) {
    if (heard.method == "PUT") return Reply{200, kBearer};
    if (heard.target.ends_with("/my-role")) return Reply{200, keys_document("Token", kDay)};
    return Reply{200, "my-role"};
  });
  environment_.set("AWS_EC2_METADATA_DISABLED", "false").set("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url());
  config("");
  torture({.may_be_absent = true});
}

TEST_F(Fault, ACommand) {
  write_file(environment_.home() + "/token",
             "#!/bin/sh\nexport AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n"
             "export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\nexec " +
                 stage() +
                 "/bin/pqmint token \"host=$PQMINT_HOST port=$PQMINT_PORT user=$PQMINT_USER passfile=pqmint:rds "
                 "sslmode=require\"\n",
             0700);
  config("");
  good_ += "passfile=pqmint:command?command=" + environment_.home() + "/token";
  torture({.executes = true});
}

class FaultOfEntra : public Fault {
 protected:
  FaultOfEntra() {
    entra_.add({"managed", kPassed, kClaims, 86'400, ""});
    environment_.set("AZURE_AUTHORITY_HOST", entra_.url())
        .set("PQMINT_UNSAFE_AUTHORITY", "localhost:" + std::to_string(entra_.port()))
        .set("SSL_CERT_FILE", server_.ca())
        .unset("AWS_ACCESS_KEY_ID")
        .unset("AWS_SECRET_ACCESS_KEY");
    good_ = server_.conninfo(kAzure, "my-managed-id");
  }
  std::string token() const {
    return entra_.sign(R"("aud":"https://ossrdbms-aad.database.windows.net","exp":)" +
                       std::to_string(time(nullptr) + 86'400) + "," + kClaims);
  }

  static constexpr char kClaims[] =
      R"("oid":"11111111-aaaa-bbbb-cccc-000000000002","idtyp":"app","xms_mirid":"/subscriptions/s/resourcegroups/g/)"
      R"(providers/Microsoft.ManagedIdentity/userAssignedIdentities/my-managed-id")";
  FakeEntra entra_{server_.value("PQMINT_TEST_CERTIFICATE"), server_.value("PQMINT_TEST_KEY"),
                   server_.value("PQMINT_TEST_ENTRA_KEY")};
};

TEST_F(FaultOfEntra, AManagedIdentity) {
  HttpServer platform([token = token()](const Heard& heard) {
    if (heard.headers.at("x-identity-header") != kPassed) return Reply{401, "{}"};
    return Reply{200, "{\"access_token\":\"" + token + "\",\"expires_on\":\"" + std::to_string(time(nullptr) + 86'400) +
                          "\",\"resource\":\"r\",\"token_type\":\"Bearer\"}"};
  });
  environment_.set("IDENTITY_ENDPOINT", platform.url() + "/msi/token").set("IDENTITY_HEADER", kPassed);
  torture({});
}

TEST_F(FaultOfEntra, TheInstance) {
  HttpServer metadata([token = token()](const Heard&) {
    return Reply{200, "{\"access_token\":\"" + token + "\",\"expires_on\":\"" + std::to_string(time(nullptr) + 86'400) +
                          "\",\"resource\":\"r\",\"token_type\":\"Bearer\"}"};
  });
  environment_.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", metadata.url()).set("PATH", environment_.home());
  torture({.may_be_absent = true});
}

TEST_F(FaultOfEntra, AWorkloadIdentity) {
  write_file(environment_.home() + "/federated", kBearer);
  environment_.set("AZURE_FEDERATED_TOKEN_FILE", environment_.home() + "/federated")
      .set("AZURE_TENANT_ID", "test-tenant")
      .set("AZURE_CLIENT_ID", "managed");
  torture({.resolves = true});
}

TEST_F(FaultOfEntra, TheAzureCli) {
  write_file(environment_.home() + "/az",
             "#!/bin/sh\nprintf '%s' '{\"accessToken\":\"" + token() +
                 "\",\"expires_on\":" + std::to_string(time(nullptr) + 86'400) + ",\"tokenType\":\"Bearer\"}'\n",
             0700);
  environment_.set("PATH", environment_.home() + ":/usr/bin:/bin").set("AZURE_TOKEN_CREDENTIALS", "dev");
  torture({.executes = true, .may_be_absent = true});
}

TEST_F(Fault, AFailureThatIsTold) {
  // The fault strikes while the sentence is made; a token spec leads the second connection to keys.
  config("[profile x]\n" + std::string(kProfile));
  const std::string without_keys = good_;
  good_ += "passfile=pqmint:rds?profile=x";
  constexpr char kTold[] = "pqmint: no AWS credentials found";
  expect_told({kFaultMemory, ENOMEM, 12}, without_keys, "connect", kTold);
  expect_told({kFaultFiles, EMFILE, 4}, without_keys, "connect", kTold);
}

TEST_F(Fault, SeveralHosts) {
  const std::string port = std::to_string(server_.port());
  good_ = std::string("host=") + kReader + "," + kWriter + " hostaddr=127.0.0.1,127.0.0.1 port=1," + port +
          " user=iam_user dbname=app sslrootcert=" + server_.ca();
  expect_told({kFaultMemory, ENOMEM, 12}, good_);
}

TEST_F(Fault, Reset) {
  expect_told({kFaultMemory, ENOMEM, 6}, good_, "reset");
  expect_told({kFaultMemory, ENOMEM, 6, true}, good_, "reset");
}

// It stands in a password file, and a copy of it is made on the way.
TEST_F(Fault, AUsersOwnPasswordIsNeverPassedOver) {
  write_file(environment_.home() + "/pgpass", "*:*:*:*:not-a-token\n");
  const std::string own = good_ + "passfile=" + environment_.home() + "/pgpass";
  for (const Series& series : {Series{kFaultMemory, ENOMEM, 12}, Series{kFaultFiles, EMFILE, 4},
                               Series{kFaultFiles, EMFILE, 4, true}, Series{kFaultInterrupts, EINTR, 2}}) {
    const std::vector<Line> lines = cold("connect", series, own);
    for (const Line& line : lines) {
      EXPECT_NE(line.first, "OK") << name(series) << line.n << ": a token was made in its place";
    }
    expect_no_trace(lines, series);
  }
}

TEST_F(Fault, AnybodysMemory) {
  expect_alive({kFaultMemory, ENOMEM, 30, false, kFaultAnyone});
  expect_alive({kFaultMemory, ENOMEM, 10, true, kFaultAnyone});
}

TEST_F(Fault, AnybodysMemoryWhileKeysAreFetched) {
  HttpServer sts([](const Heard&) { return assumed_role(kDay); });
  environment_.set("AWS_ENDPOINT_URL", sts.url()).set("AWS_PROFILE", "app").set("AWS_MAX_ATTEMPTS", "1");
  config("[profile app]\nrole_arn = arn:aws:iam::123456789012:role/App\nsource_profile = base\n[profile base]\n" +
         std::string(kProfile));
  expect_alive({kFaultMemory, ENOMEM, 30, false, kFaultAnyone});
  expect_alive({kFaultMemory, ENOMEM, 10, true, kFaultAnyone});
}

// Round after round with the same fault: what the first rounds did not leave behind, none does.
TEST_F(Fault, NothingLeaks) {
  for (const auto& [kind, scope, error] : {std::tuple{"m", "o", ENOMEM}, {"f", "o", EMFILE}}) {
    std::istringstream out(victim({"warm", kind, scope, std::to_string(error), refused()}));
    int descriptors = -1, count = 0;
    for (std::string text; std::getline(out, text); ++count) {
      std::istringstream parts(text);
      long n, calls, left;
      int now;
      parts >> n >> calls >> left >> now;
      EXPECT_LE(left, 0) << text;  // below it: the memory of minted tokens has lost a text that was not copied
      if (descriptors < 0) descriptors = now;
      EXPECT_EQ(now, descriptors) << text;
    }
    EXPECT_GT(count, 3);
  }
}

}  // namespace
}  // namespace pqmint::test
