// SPDX-License-Identifier: PostgreSQL
// The C API: by the example that users are shown, and function by function.
#include <gtest/gtest.h>
#include <pqmint/pqmint.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "harness.h"

namespace pqmint::test {
namespace {

struct Free {
  void operator()(pqmint_token* token) const { pqmint_free(token); }
};
using Token = std::unique_ptr<pqmint_token, Free>;

bool has(const char* text, const std::string& part) {
  return text && std::string(text).find(part) != std::string::npos;
}

// test/libpqs has another one, with libpq linked into it.
std::string login_program() {
  const char* other = std::getenv("PQMINT_TEST_LOGIN");
  return other ? other : built("examples/login");
}

class Api : public ::testing::Test {
 protected:
  Api() {
    setenv("AWS_ACCESS_KEY_ID", kKeyId, 1);
    setenv("AWS_SECRET_ACCESS_KEY", kSecretKey, 1);
    setenv("HOME", environment_.home().c_str(), 1);
  }
  ~Api() override {
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
  }
  Environment environment_ = Environment().keys();
};

TEST_F(Api, TheExampleLogsIn) {
  Server& server = Server::get();
  const std::string login = login_program();
  const Outcome done = run({login, server.conninfo(kWriter, "iam_user")}, environment_);
  EXPECT_EQ(done.out, "iam_user\n") << done.err;
  const Outcome tunnel = run({login, server.conninfo("localhost", "iam_user",
                                                     "passfile=pqmint:rds?endpoint=" + std::string(kWriter) + ":5432")},
                             environment_);
  EXPECT_EQ(tunnel.out, "iam_user\n") << tunnel.err;
  // By name, and beside another host.
  const std::string port = std::to_string(server.port());
  const std::string more = " user=iam_user dbname=app sslrootcert=" + server.ca();
  const Outcome named =
      run({login, "host=localhost port=" + port + more + " passfile=pqmint:rds?endpoint=" + kWriter + ":5432"},
          environment_);
  EXPECT_EQ(named.out, "iam_user\n") << named.err;
  const Outcome second =
      run({login, "host=db.internal," + std::string(kWriter) + " hostaddr=127.0.0.1,127.0.0.1 port=1," + port + more},
          environment_);
  EXPECT_EQ(second.out, "iam_user\n") << second.err;
  environment_.unset("AWS_SECRET_ACCESS_KEY");
  const Outcome failed = run({login, server.conninfo(kWriter, "iam_user")}, environment_);
  EXPECT_EQ(failed.status, 1);
  EXPECT_TRUE(has(failed.err.c_str(), "AWS_SECRET_ACCESS_KEY")) << failed.err;
}

TEST_F(Api, GivesWhatToConnectWith) {
  const Token token(pqmint_mint(("host=" + std::string(kWriter) + " port=6000 user=u sslrootcert=/dev/null").c_str()));
  ASSERT_NE(token, nullptr);
  EXPECT_EQ(pqmint_error(token.get()), nullptr);
  EXPECT_EQ(std::string(pqmint_password(token.get())).rfind(std::string(kWriter) + ":6000/?Action=connect", 0), 0U);
  const int64_t left = pqmint_expires(token.get()) - time(nullptr);
  EXPECT_TRUE(left > 890 && left <= 900) << left;
  EXPECT_STREQ(pqmint_host(token.get()), kWriter);
  EXPECT_STREQ(pqmint_port(token.get()), "6000");
  EXPECT_STREQ(pqmint_user(token.get()), "u");
  EXPECT_STREQ(pqmint_sslmode(token.get()), "verify-full");
  EXPECT_STREQ(pqmint_sslrootcert(token.get()), "/dev/null");
  EXPECT_STREQ(pqmint_version(), PQMINT_VERSION);
}

TEST_F(Api, TakesTheFirstHostThatIsOurs) {
  const Token token(pqmint_mint(("host=db.internal," + std::string(kReader) + " port=1,2 user=u").c_str()));
  EXPECT_STREQ(pqmint_host(token.get()), kReader);
  EXPECT_STREQ(pqmint_port(token.get()), "2");
  const Token reached(pqmint_mint(("host=" + std::string(kWriter) + "," + kReader + " port=99999,2 user=u").c_str()));
  EXPECT_STREQ(pqmint_host(reached.get()), kReader);
}

TEST_F(Api, AFailureIsASentenceAndNoToken) {
  const std::string ours = "host=" + std::string(kWriter) + " user=u ";
  for (const auto& [conninfo, part] :
       std::vector<std::pair<std::string, std::string>>{{"host=db.internal", "is not an endpoint of RDS"},
                                                        {"nonsense=1", "invalid connection option"},
                                                        {ours + "passfile=pqmint:rsd", "rds"},
                                                        {ours + "sslmode=disable", "never sent without TLS"},
                                                        {ours + "gssencmode=require", "gssencmode"},
                                                        {ours + "port=99999", "invalid port number: \"99999\""},
                                                        {ours + "port=abc", "invalid integer value \"abc\""},
                                                        {ours + "target_session_attrs=best", "\"best\""},
                                                        {ours + "passfile=pqmint:rds?profile=none", "none"}}) {
    const Token token(pqmint_mint(conninfo.c_str()));
    ASSERT_NE(token, nullptr);
    EXPECT_TRUE(has(pqmint_error(token.get()), part)) << pqmint_error(token.get());
    EXPECT_EQ(pqmint_password(token.get()), nullptr);
    EXPECT_EQ(pqmint_host(token.get()), nullptr);
    EXPECT_EQ(pqmint_hostaddr(token.get()), nullptr);
    EXPECT_EQ(pqmint_port(token.get()), nullptr);
    EXPECT_EQ(pqmint_user(token.get()), nullptr);
    EXPECT_EQ(pqmint_sslmode(token.get()), nullptr);
    EXPECT_EQ(pqmint_sslrootcert(token.get()), nullptr);
    EXPECT_EQ(pqmint_expires(token.get()), 0);
  }
  pqmint_free(nullptr);
}

TEST_F(Api, ManyThreadsMayMint) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([] {
      const Token token(pqmint_mint(("host=" + std::string(kWriter) + " user=u").c_str()));
      EXPECT_EQ(pqmint_error(token.get()), nullptr);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Who links it and is preloaded too asks the libpq behind the preload.
TEST_F(Api, WorksBesideThePreload) {
  const Outcome done =
      run({stage() + "/bin/pqmint", "run", login_program(), Server::get().conninfo(kWriter, "iam_user")}, environment_);
  EXPECT_EQ(done.out, "iam_user\n") << done.err;
}

}  // namespace
}  // namespace pqmint::test
