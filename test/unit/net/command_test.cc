// SPDX-License-Identifier: PostgreSQL
// Programs of the user's own that print a token: what they are told, what they may print, and how they can fail.

#include "net/source_fixture.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::contains;

class Command : public test::SourceTest {
 protected:
  void SetUp() override {
    unsetenv("PQMINT_DEPTH");
    setting("host", "db.example.com");
    setting("port", "6432");
    setting("user", "app");
    setting("database", "orders");
  }
  /// The token that `sh -c script` leads to, or the error.
  std::string token(const std::string& script, milliseconds time = milliseconds(5000)) {
    setting("command", "sh '" + write("script", script) + "'");
    const auto found = ask(fetch_command, time);
    return found ? "OK " + std::string(found->token.reveal()) : found.error().text;
  }
  /// The error; it holds no secret and no line end.
  std::string fault(const std::string& script, milliseconds time = milliseconds(5000)) {
    setting("command", "sh '" + write("script", script) + "'");
    return told(fetch_command, time);
  }
};

TEST_F(Command, WhatItPrintsIsTheToken) {
  EXPECT_EQ(token("printf token"), "OK token");
  EXPECT_EQ(token("printf 'token\\n'"), "OK token");
  EXPECT_EQ(token("printf 'token\\r\\n'"), "OK token");
  EXPECT_EQ(token("printf 'a b:c\\\\d#e\"%%'"), "OK a b:c\\d#e\"%");
  EXPECT_EQ(token("printf tok; sleep 0.1; printf en"), "OK token");
  EXPECT_EQ(token("echo s3cret >&2; echo token"), "OK token");
  EXPECT_EQ(token("head -c 65530 /dev/zero | tr '\\0' x"), "OK " + std::string(65530, 'x'));
}

TEST_F(Command, IsToldOfTheConnection) {
  EXPECT_EQ(token("echo $PQMINT_HOST $PQMINT_PORT $PQMINT_USER $PQMINT_DATABASE"), "OK db.example.com 6432 app orders");
  // A name is data, whatever it looks like; and what nobody named is empty, though an outer program was told it.
  setting("user", "a $(id) `id` 'b'");
  setting("database", "");
  set("PQMINT_DATABASE", "of another");
  EXPECT_EQ(token("echo \"$PQMINT_USER|$PQMINT_DATABASE|\""), "OK a $(id) `id` 'b'||");
  unsetenv("PQMINT_DATABASE");
  setting("command", "echo '$PQMINT_HOST' \"*\" ?");
  EXPECT_EQ(ask(fetch_command)->token.reveal(), "$PQMINT_HOST * ?") << "there is no shell but where one is asked for";
}

TEST_F(Command, RunsInTheHostsFolderWithTheUsersEnvironment) {
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(home);
  set("VAULT_ADDR", "https://vault");
  set("LD_PRELOAD", "/x/libpqmint.so");
  EXPECT_EQ(token("echo $(pwd) $VAULT_ADDR $LD_PRELOAD"), "OK " + home + " https://vault");
  unsetenv("LD_PRELOAD");
  std::filesystem::current_path(here);
}

TEST_F(Command, ItsLifetimeIsWhatTheUserSaid) {
  EXPECT_EQ(token("echo t"), "OK t");
  EXPECT_EQ(ask(fetch_command)->expires, 0) << "not known";
  setting("lifetime", "600");
  const int64_t before = clock_.now();
  const auto found = ask(fetch_command);
  EXPECT_GE(found->expires, before + 600);
  EXPECT_LE(found->expires, before + 605);
}

// --- what cannot be a token

TEST_F(Command, NothingPrinted) {
  EXPECT_TRUE(contains(fault("true"), "no token from the command sh: it printed nothing; run it by hand"));
  EXPECT_TRUE(contains(fault("echo"), "printed an empty line"));
  EXPECT_TRUE(contains(fault("printf '\\r\\n'"), "printed an empty line"));
}

TEST_F(Command, MoreThanOneLine) {
  EXPECT_TRUE(contains(fault("printf 's3cret\\ns3cret\\n'"), "printed 14 bytes in several lines"));
  EXPECT_TRUE(contains(fault("printf 's3cret\\n\\n'"), "in several lines"));
  EXPECT_TRUE(contains(fault("printf '\\ns3cret'"), "in several lines"));
  EXPECT_TRUE(contains(fault("printf 's3cret\\rs3cret'"), "in several lines"));
}

TEST_F(Command, NotPrintable) {
  EXPECT_TRUE(contains(fault("printf 's3cret\\000x'"), "printed 8 bytes, some of which are no printable ASCII"));
  EXPECT_TRUE(contains(fault("printf 's3cret\\tx'"), "no printable"));
  EXPECT_TRUE(contains(fault("printf '\\033[31ms3cret'"), "no printable"));
  EXPECT_TRUE(contains(fault("printf 's3cr\\303\\251t'"), "no printable"));
  EXPECT_TRUE(contains(fault("head -c 5000 /dev/urandom | tr '\\n\\r' xx; printf '\\200'"), "no printable"));
  EXPECT_TRUE(contains(fault("printf 's3cret '"), "a blank at its beginning or end"));
  EXPECT_TRUE(contains(fault("printf ' s3cret'"), "a blank at its beginning or end"));
  EXPECT_TRUE(contains(fault("echo pqmint:rds"), "printed a token spec"));
}

TEST_F(Command, TooLong) {
  EXPECT_TRUE(contains(fault("head -c 65531 /dev/zero | tr '\\0' x"), "printed 65531 bytes, and a token has 65530"));
  EXPECT_TRUE(contains(fault("head -c 100000000 /dev/zero | tr '\\0' x"), "wrote more than 1 MiB"));
}

// --- how it can fail

TEST_F(Command, NotThere) {
  setting("command", "no-such-program --token s3cret");
  EXPECT_EQ(told(fetch_command),
            "no token from the command no-such-program: it is not installed, or not in PATH; install it, or give its "
            "whole path");
  setting("command", write("no-program", "#!/bin/sh\n") + " s3cret");
  EXPECT_TRUE(contains(told(fetch_command), "is not a program that may be executed"));
}

TEST_F(Command, FailsAndItsStderrIsNotEchoed) {
  EXPECT_EQ(fault("echo s3cret >&2; echo s3cret; exit 1"),
            "no token from the command sh: it ended with exit status 1; run it by hand to see why");
  EXPECT_TRUE(contains(fault("echo s3cret; kill -9 $$"), "was killed by signal 9"));
  setting("command", "pqmint-of-another-name s3cret");
  EXPECT_TRUE(contains(told(fetch_command), "is not installed"));
  setting("command", "sh -c 'exit 1' s3cret /opt/pqmint");
  EXPECT_TRUE(contains(told(fetch_command), "it asks pqmint in its turn"));
}

TEST_F(Command, Hangs) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(contains(fault("sleep 30", milliseconds(200)),
                       "was not done in time; run it by hand to see why, or allow it more with connect_timeout"));
  EXPECT_TRUE(contains(fault("trap '' TERM HUP INT; sleep 30 & sleep 30", milliseconds(200)), "was not done in time"));
  setting("timeout", "1");
  EXPECT_TRUE(contains(fault("sleep 30"), "allow it more with timeout= in the token spec, or connect_timeout"));
  setting("timeout", "60");
  EXPECT_TRUE(contains(fault("sleep 30", milliseconds(200)), "was not done in time")) << "the connection's time is all";
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(5000));
}

TEST_F(Command, WhatItLeavesBehindDoesNotHoldUp) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(token("timeout 3 sleep 3 & printf token"), "OK token");
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(1500));
}

TEST_F(Command, CannotBeSplit) {
  for (const char* command : {"vault read x | s3cret", "TOKEN=s3cret vault", "a > s3cret"}) {
    setting("command", command);
    EXPECT_TRUE(contains(told(fetch_command), "sh -c '...'")) << command;
  }
}

TEST_F(Command, AsksForItsOwnToken) {
  set("PQMINT_DEPTH", "4");
  EXPECT_TRUE(contains(fault("echo token"), "no token from the command sh: it was not started: pqmint was asked by"));
  unsetenv("PQMINT_DEPTH");
}

}  // namespace
}  // namespace pqmint
