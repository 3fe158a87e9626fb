// SPDX-License-Identifier: PostgreSQL
// Tokens: botocore's own and other SDKs' published ones, a thousand random ones against a second
// signer, threads, fork.

#include "core/token.h"

#include <gtest/gtest.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sys/wait.h>
#include <time.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <random>
#include <thread>

#include "../support.h"

namespace pqmint {
namespace {

Credentials keys(const std::string& id, const std::string& secret, const std::string& session_token = "") {
  Credentials out;
  out.access_key_id = id;
  out.secret_access_key = Secret(secret);
  out.session_token = Secret(session_token);
  return out;
}

std::string text_of(const Secret& token) {
  return std::string(token.reveal());
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(tolower(c));
  return text;
}

int64_t seconds_of(const std::string& amz_date) {
  tm parts = {};
  EXPECT_NE(strptime(amz_date.c_str(), "%Y%m%dT%H%M%SZ", &parts), nullptr);
  return timegm(&parts);
}

// ---------------------------------------------------------------- a second signer, from AWS's
// documentation, slow and plain

namespace slow {

std::string hmac(const std::string& key, const std::string& text) {
  unsigned char out[32];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), out, &size);
  return std::string(reinterpret_cast<char*>(out), size);
}

std::string hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) {
    char digits[3];
    snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
    out += digits;
  }
  return out;
}

std::string sha256(const std::string& text) {
  unsigned char out[32];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out);
  return std::string(reinterpret_cast<char*>(out), sizeof out);
}

std::string encode(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      char digits[4];
      snprintf(digits, sizeof digits, "%%%02X", static_cast<unsigned char>(c));
      out += digits;
    }
  }
  return out;
}

struct Input {
  std::string host, user, action, service, region, id, secret, session_token;
  int port = 0;  // 0: none, DSQL
  int64_t life = 900, now = 0;
};

std::string token(const Input& in) {
  tm parts;
  const time_t now = in.now;
  gmtime_r(&now, &parts);
  char stamp[32];
  strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &parts);
  const std::string time = stamp, day = time.substr(0, 8);
  const std::string scope = day + "/" + in.region + "/" + in.service + "/aws4_request";

  std::map<std::string, std::string> query = {
      {"Action", in.action}, {"X-Amz-Algorithm", "AWS4-HMAC-SHA256"},    {"X-Amz-Credential", in.id + "/" + scope},
      {"X-Amz-Date", time},  {"X-Amz-Expires", std::to_string(in.life)}, {"X-Amz-SignedHeaders", "host"}};
  if (in.service == "rds-db") query["DBUser"] = in.user;
  if (!in.session_token.empty()) query["X-Amz-Security-Token"] = in.session_token;
  std::string canonical_query;
  for (const auto& [name, value] : query)
    canonical_query += (canonical_query.empty() ? "" : "&") + name + "=" + encode(value);
  const std::string port = in.port == 0 ? "" : ":" + std::to_string(in.port);
  const std::string request = "GET\n/\n" + canonical_query + "\nhost:" + in.host + (in.port == 443 ? "" : port) +
                              "\n\nhost\n" + hex(sha256(""));
  const std::string to_sign = "AWS4-HMAC-SHA256\n" + time + "\n" + scope + "\n" + hex(sha256(request));
  const std::string key = hmac(hmac(hmac(hmac("AWS4" + in.secret, day), in.region), in.service), "aws4_request");

  std::string out = in.host + port + "/?";
  for (const char* name : {"Action", "DBUser", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
                           "X-Amz-SignedHeaders", "X-Amz-Security-Token"}) {
    if (query.count(name) != 0) out += std::string(name) + "=" + encode(query[name]) + "&";
  }
  return out + "X-Amz-Signature=" + hex(hmac(key, to_sign));
}

}  // namespace slow

// ---------------------------------------------------------------- vectors

TEST(Token, IsBotocoreToTheByte) {
  int rows = 0;
  const Json::Value all = test::vectors("aws_tokens.json");
  for (const Json::Value& row : all["rows"]) {
    SCOPED_TRACE(row["id"].asString() + " " + row["name"].asString());
    const Credentials credentials =
        keys(row["access_key"].asString(), row["secret_key"].asString(), row["session_token"].asString());
    const std::string host = lower(row["host"].asString()), region = row["region"].asString();
    const int64_t now = seconds_of(row["amz_date"].asString());
    const std::string kind = row["kind"].asString();
    const Secret token =
        kind == "rds" ? mint_rds_token(credentials, host, row["port"].asInt(), row["user"].asString(), region, now)
                      : mint_dsql_token(credentials, host, kind == "dsql-admin", region, row["expires"].asInt64(), now);
    EXPECT_EQ(text_of(token), row.get("recommended", row["expected"]).asString());
    ++rows;
  }
  EXPECT_GE(rows, 70);
}

TEST(Token, HasTheSignaturesThatOtherSdksPublish) {
  int rows = 0;
  const Json::Value all = test::vectors("aws_tokens.json");
  for (const Json::Value& row : all["third_party"]) {
    SCOPED_TRACE(row["name"].asString());
    const Credentials credentials =
        keys(row["access_key"].asString(), row["secret_key"].asString(), row["session_token"].asString());
    const std::string region = row["region"].asString(), kind = row["kind"].asString();
    const std::string address = row["signed_host_header"].asString();
    const int64_t now = seconds_of(row["amz_date"].asString());
    std::string token;
    if (kind == "rds") {
      const size_t colon = address.rfind(':');
      const int port = std::stoi(address.substr(colon + 1));
      if (port == 443) continue;  // signed with the port by its maker, without it by botocore and by us
      token = text_of(mint_rds_token(credentials, address.substr(0, colon), port, row["user"].asString(), region, now));
    } else {
      token =
          text_of(mint_dsql_token(credentials, address, kind == "dsql-admin", region, row["expires"].asInt64(), now));
    }
    EXPECT_EQ(token.substr(token.size() - 64), row["signature"].asString());
    EXPECT_EQ(token, row["expected_in_botocore_order"].asString());
    ++rows;
  }
  EXPECT_GE(rows, 3);
}

// ---------------------------------------------------------------- random inputs

TEST(Token, AgreesWithASecondSigner) {
  std::mt19937 random(20260115);
  const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
  const auto text = [&](int length, const std::string& alphabet) {
    std::string out;
    while (length-- > 0) out += alphabet[static_cast<size_t>(below(static_cast<int>(alphabet.size())))];
    return out;
  };
  std::string any_byte;
  for (int byte = 1; byte < 256; ++byte) any_byte += static_cast<char>(byte);
  const std::string plain = "abcdefghijklmnopqrstuvwxyz0123456789-", base64 = "ABCXYZabcxyz0189+/=";

  for (int i = 0; i < 1000; ++i) {
    slow::Input in;
    in.host = text(1 + below(60), plain) + ".example";
    in.user = text(below(64), any_byte);
    in.region = text(1 + below(20), plain);
    in.id = text(1 + below(40), any_byte);
    in.secret = text(below(130), base64);
    in.session_token = below(2) == 0 ? "" : text(below(1500), base64);
    in.now = (static_cast<int64_t>(random()) << 1) % 4'102'444'800;  // up to the year 2100
    in.port = below(10) == 0 ? 443 : 1 + below(65535);
    const Credentials credentials = keys(in.id, in.secret, in.session_token);
    if (below(2) == 0) {
      in.service = "rds-db";
      in.action = "connect";
      ASSERT_EQ(text_of(mint_rds_token(credentials, in.host, in.port, in.user, in.region, in.now)), slow::token(in))
          << i;
    } else {
      const bool admin = below(2) == 0;
      in.port = 0;
      in.service = "dsql";
      in.action = admin ? "DbConnectAdmin" : "DbConnect";
      in.life = 1 + below(604800);
      ASSERT_EQ(text_of(mint_dsql_token(credentials, in.host, admin, in.region, in.life, in.now)), slow::token(in))
          << i;
    }
  }
}

// ---------------------------------------------------------------- the remembered key

constexpr int64_t kNow = 1768480496;  // 2026-01-15T12:34:56Z
constexpr const char* kHost = "mydb.cluster-c0ffee123456.us-east-1.rds.amazonaws.com";

slow::Input input(const std::string& secret, int64_t now) {
  slow::Input in;
  in.host = kHost;
  in.port = 5432;
  in.user = "app_user";
  in.action = "connect";
  in.service = "rds-db";
  in.region = "us-east-1";
  in.id = "AKIAIOSFODNN7EXAMPLE";
  in.secret = secret;
  in.now = now;
  return in;
}

std::string mint(const slow::Input& in) {
  return text_of(
      mint_rds_token(keys(in.id, in.secret, in.session_token), in.host, in.port, in.user, in.region, in.now));
}

TEST(SigningKey, ChangesWithTheDayAndTheSecret) {
  for (int round = 0; round < 2; ++round) {
    for (int day = 0; day < 20; ++day) {  // more than are kept
      for (const char* secret : {"one", "two"}) {
        const slow::Input in = input(secret, kNow + day * 86400);
        ASSERT_EQ(mint(in), slow::token(in));
      }
    }
  }
}

TEST(SigningKey, IsSharedByThreads) {
  std::vector<std::string> expected;
  for (int i = 0; i < 24; ++i) expected.push_back(slow::token(input("secret" + std::to_string(i), kNow)));
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 600; ++i) {
        const size_t which = static_cast<size_t>(i * (thread + 1)) % expected.size();
        if (mint(input("secret" + std::to_string(which), kNow)) != expected[which]) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(SigningKey, SurvivesFork) {
  const slow::Input in = input("secret", kNow);
  const std::string expected = slow::token(in);
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&] {
      while (!stop) mint(in);
    });
  }
  for (int i = 0; i < test::kForks; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(20);
      _exit(mint(in) == expected ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0) << i;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

/// Not a test but a measurement, printed with --gtest_also_run_disabled_tests.
TEST(Token, DISABLED_Speed) {
  for (const size_t session : {size_t{0}, size_t{356}, size_t{1000}}) {
    const Credentials credentials =
        keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", std::string(session, 'x'));
    constexpr int kRounds = 200'000;
    size_t bytes = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRounds; ++i) {
      bytes += mint_rds_token(credentials, kHost, 5432, "app_user", "us-east-1", kNow + i % 100).size();
    }
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    printf("session token of %zu bytes: %.2f us a token (%zu bytes)\n", session, took.count() / kRounds,
           bytes / kRounds);
  }
}

}  // namespace
}  // namespace pqmint
