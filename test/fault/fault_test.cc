// SPDX-License-Identifier: PostgreSQL
// Torture: call after call of malloc, open, socket ... fails under a program that connects through pqmint. Each time it
// is told so, or goes on; nothing crashes, hangs, leaks, or locks the next connection out; and no error shows a secret.
//
// PQMINT_TEST_FAULTS=all fails every call where the test otherwise takes a sample.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <sstream>

#include "../e2e/harness.h"
#include "http_server.h"

namespace pqmint::test {
namespace {

// What the judge knows under a temporary key.
constexpr char kId[] = "ASIAIOSFODNN7EXAMPLE";
constexpr char kSecret[] = "tempSecretTempSecretTempSecretTempSecret";
constexpr char kToken[] = "FwoGZXIvYXdzEPT//////////wEaDO+token/with=chars==";

std::string tomorrow() {
  const time_t then = time(nullptr) + 86'400;
  char out[32];
  tm parts = {};
  strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &parts));
  return out;
}

/// One connection with one fault in it.
struct Line {
  long n, calls;
  int descriptors;
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

  std::string victim(const std::vector<std::string>& words) {
    std::vector<std::string> argv = {built("test/fault/victim")};
    argv.insert(argv.end(), words.begin(), words.end());
    const Outcome outcome = run(argv, environment_, "", 280);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.err, "");
    for (const char* secret :
         {"X-Amz-", "wJalrXUtnFEMI", "je7MtGbClwBF", kSecret, "FwoGZXIv", "/proc/self/fd/", "pppp"}) {
      EXPECT_FALSE(has(outcome.out, secret)) << secret;
    }
    return outcome.out;
  }

  /// `kind` 'm' or 'f', `scope` 'o' or 'a', as in injector.h.
  std::vector<Line> cold(const std::string& stage, char kind, char scope, int error, bool all_after, long step,
                         const std::string& faulted) {
    const char* wish = std::getenv("PQMINT_TEST_FAULTS");
    if (wish && std::string(wish) == "all") step = 1;
    std::istringstream out(victim({"cold", stage, std::string(1, kind), std::string(1, scope), std::to_string(error),
                                   all_after ? "1" : "0", "1", std::to_string(step), faulted, good_}));
    std::vector<Line> lines;
    for (std::string text; std::getline(out, text);) {
      Line line = {};
      std::istringstream parts(text);
      parts >> line.n >> line.calls >> line.descriptors;
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

  void expect_all_told(const std::vector<Line>& lines, const char* without_fault = "OK") {
    EXPECT_TRUE(has(lines[0].first, without_fault)) << lines[0].first;
    EXPECT_GT(lines[0].calls, 0);
    EXPECT_GT(lines.size(), 3u);
    for (const Line& line : lines) {
      EXPECT_TRUE(is_told(line.first) || has(line.first, without_fault)) << line.n << ": " << line.first;
      EXPECT_EQ(line.second, "OK") << line.n << ": " << line.first;
      EXPECT_EQ(line.descriptors, lines[0].descriptors) << line.n << ": " << line.first;
    }
  }

  /// Both kinds, for calls of pqmint's own.
  void torture() {
    expect_all_told(cold("connect", 'm', 'o', ENOMEM, false, 1, good_));
    expect_all_told(cold("connect", 'm', 'o', ENOMEM, true, 3, good_));
    for (const int error : {EMFILE, EIO, EINTR}) expect_all_told(cold("connect", 'f', 'o', error, false, 1, good_));
  }

  void config(const std::string& text) {
    mkdir((environment_.home() + "/.aws").c_str(), 0700);
    write_file(environment_.home() + "/.aws/config", text);
    environment_.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY");
  }

  Server& server_ = Server::get();
  std::string good_ = server_.conninfo(kWriter, "iam_user");
  Environment environment_;
};

constexpr char kProfile[] =
    "aws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY\n";

TEST_F(Fault, KeysOfTheEnvironment) {
  torture();
}

TEST_F(Fault, KeysOfAProfile) {
  config("[default]\n" + std::string(kProfile));
  torture();
}

TEST_F(Fault, KeysOfAProcess) {
  write_file(environment_.home() + "/keys",
             "#!/bin/sh\necho '{\"Version\":1,\"AccessKeyId\":\"" + std::string(kId) + "\",\"SecretAccessKey\":\"" +
                 kSecret + "\",\"SessionToken\":\"" + kToken + "\",\"Expiration\":\"" + tomorrow() + "\"}'\n",
             0700);
  config("[default]\ncredential_process = " + environment_.home() + "/keys\n");
  torture();
}

TEST_F(Fault, KeysOfARole) {
  HttpServer sts([](const Heard&) {
    return Reply{200,
                 "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>" + std::string(kId) +
                     "</AccessKeyId><SecretAccessKey>" + kSecret + "</SecretAccessKey><SessionToken>" + kToken +
                     "</SessionToken><Expiration>" + tomorrow() +
                     "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
                 {{"Content-Type", "text/xml"}}};
  });
  environment_.set("AWS_ENDPOINT_URL", sts.url()).set("AWS_PROFILE", "app");
  config(
      "[profile app]\nrole_arn = arn:aws:iam::123456789012:role/App\nsource_profile = base\nregion = eu-west-1\n"
      "max_attempts = 1\n[profile base]\n" +
      std::string(kProfile));
  torture();
}

TEST_F(Fault, AFailureThatIsTold) {
  // The fault strikes while the sentence is made; a token spec leads the second connection to keys.
  config("[profile x]\n" + std::string(kProfile));
  const std::string without_keys = good_;
  good_ += "passfile=pqmint:rds?profile=x";
  expect_all_told(cold("connect", 'm', 'o', ENOMEM, false, 1, without_keys), "pqmint: no AWS credentials found");
  expect_all_told(cold("connect", 'f', 'o', EMFILE, false, 1, without_keys), "pqmint: no AWS credentials found");
}

TEST_F(Fault, SeveralHosts) {
  const std::string port = std::to_string(server_.port());
  good_ = std::string("host=") + kReader + "," + kWriter + " hostaddr=127.0.0.1,127.0.0.1 port=1," + port +
          " user=iam_user dbname=app sslrootcert=" + server_.ca();
  expect_all_told(cold("connect", 'm', 'o', ENOMEM, false, 1, good_));
}

TEST_F(Fault, Reset) {
  expect_all_told(cold("reset", 'm', 'o', ENOMEM, false, 1, good_));
  expect_all_told(cold("reset", 'm', 'o', ENOMEM, true, 1, good_));
}

// It stands in a password file, and a copy of it is made on the way.
TEST_F(Fault, AUsersOwnPasswordIsNeverPassedOver) {
  write_file(environment_.home() + "/pgpass", "*:*:*:*:not-a-token\n");
  for (const Line& line :
       cold("connect", 'm', 'o', ENOMEM, false, 1, good_ + "passfile=" + environment_.home() + "/pgpass")) {
    EXPECT_NE(line.first, "OK") << line.n << ": a token was made in its place";
    EXPECT_EQ(line.second, "OK") << line.n;
  }
}

// Every allocation of the process: libc's, the loader's, libpq's and OpenSSL's too, up to the point where libpq takes
// up the connection (which is refused, for what libpq and OpenSSL make of TLS without memory is their own).
TEST_F(Fault, AnybodysMemory) {
  const std::vector<Line> lines = cold("connect", 'm', 'a', ENOMEM, false, 17, refused());
  EXPECT_TRUE(has(lines[0].first, "Connection refused")) << lines[0].first;
  for (const Line& line : lines) {
    // OpenSSL that could not set itself up stays so.
    EXPECT_TRUE(line.second == "OK" || has(line.second, "SSL") || has(line.second, "pqmint: out of memory") ||
                has(line.second, "certificate"))
        << line.n << ": " << line.second;
    EXPECT_LE(line.descriptors, lines[0].descriptors) << line.n;
  }
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
