// SPDX-License-Identifier: PostgreSQL
// What a server may do to the connection: bad certificates, other ways to ask for a password, hanging up, slowness, and
// words that are none of ours. Each is a fake, and libpq's own word is what a program without pqmint is told.
#include <gtest/gtest.h>

#include <ctime>

#include "harness.h"
#include "http_server.h"

namespace pqmint::test {
namespace {

size_t count(const std::string& text, const std::string& word) {
  size_t n = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text.substr(0, 2000);
}

class Transport : public ::testing::Test {
 protected:
  /// An authority and certificates for the writer's name: one that is good, one that ended as it began, one of
  /// nobody's.
  static void SetUpTestSuite() {
    folder_ = make_folder();
    const std::vector<std::string> by_ca = {"-CA", path("ca.crt"), "-CAkey", path("ca.key")};
    make_certificate("ca", {"-x509", "-addext", "basicConstraints=critical,CA:TRUE"});
    make_certificate("self-signed", {"-x509"});
    make_certificate("good", {"-x509", by_ca[0], by_ca[1], by_ca[2], by_ca[3]});
    make_certificate("expired", {});
    openssl({"x509", "-req", "-in", path("expired.crt"), "-days", "0", "-copy_extensions", "copy", by_ca[0], by_ca[1],
             by_ca[2], by_ca[3], "-set_serial", "1", "-out", path("expired.crt")});
    const Outcome judged = run({"openssl", "verify", "-CAfile", path("ca.crt"), path("expired.crt")}, Environment());
    expect_contains(judged.err, "certificate has expired");
  }
  static std::string path(const std::string& name) { return folder_ + "/" + name; }

  /// Without -x509 it is a request for one.
  static void make_certificate(const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> argv = {"req",
                                     "-newkey",
                                     "ec",
                                     "-pkeyopt",
                                     "ec_paramgen_curve:P-256",
                                     "-nodes",
                                     "-subj",
                                     "/CN=" + name,
                                     "-addext",
                                     "subjectAltName=DNS:" + std::string(kWriter),
                                     "-keyout",
                                     path(name + ".key"),
                                     "-out",
                                     path(name + ".crt")};
    argv.insert(argv.end(), more.begin(), more.end());
    openssl(argv);
  }
  static void openssl(std::vector<std::string> argv) {
    argv.insert(argv.begin(), "openssl");
    const Outcome made = run(argv, Environment());
    ASSERT_EQ(made.status, 0) << made.err;
  }

  static FakePostgres fake(const std::string& mode, const std::string& certificate = "good") {
    return FakePostgres(mode, path(certificate + ".crt"), path(certificate + ".key"));
  }
  static std::string target(const FakePostgres& fake, const std::string& more = "") {
    return "host=" + std::string(kWriter) +
           " hostaddr=127.0.0.1 user=iam_user dbname=app port=" + std::to_string(fake.port()) +
           " sslrootcert=" + path("ca.crt") + " " + more;
  }
  /// What a program is told that has a password of its own, and no pqmint.
  static std::string without_pqmint(const FakePostgres& fake, const std::string& more) {
    return Client(Environment()).say({"connectdb", target(fake, "password=x " + more)});
  }

  static std::string folder_;
  Environment environment_ = Environment().preload().keys();
};
std::string Transport::folder_;

TEST_F(Transport, AModeThatWasRaisedIsNamedWhenItFails) {
  const FakePostgres refusing("refuse-tls", false), untrusted = fake("accept", "self-signed");
  for (const auto& [mode, was] : {std::pair{"", "prefer"}, {"sslmode=prefer", "prefer"}, {"sslmode=allow", "allow"}}) {
    for (const FakePostgres* server : {&refusing, &untrusted}) {
      for (const char* how : {"connectdb", "connectStart"}) {
        Client client(environment_);
        const std::string said = client.say({how, target(*server, mode)});
        expect_contains(said, server == &refusing ? "does not support SSL" : "certificate verify failed");
        expect_contains(said, "|pqmint: a token travels inside verified TLS only: sslmode=" + std::string(was) +
                                  " was taken for verify-full");
      }
    }
  }
  // What the user said himself is not explained to him.
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", target(refusing, "sslmode=require")}),
            without_pqmint(refusing, "sslmode=require"));
  EXPECT_EQ(count(refusing.log(), "password"), 0u) << refusing.log();
  EXPECT_EQ(count(untrusted.log(), "password"), 0u) << untrusted.log();
}

TEST_F(Transport, ABadCertificateGetsNoToken) {
  const std::string verify = "sslmode=verify-full";
  for (const auto& [certificate, reason] :
       {std::pair{"expired", "certificate verify failed"}, {"self-signed", "certificate verify failed"}}) {
    const FakePostgres server = fake("accept", certificate);
    Client client(environment_);
    const std::string said = client.say({"connectdb", target(server, verify)});
    expect_contains(said, reason);
    EXPECT_EQ(said, without_pqmint(server, verify));
    EXPECT_EQ(count(server.log(), "password"), 0u) << certificate << ": " << server.log();
  }
  // And the good one does: it was the certificates.
  const FakePostgres server = fake("accept");
  EXPECT_EQ(Client(environment_).say({"connectdb", target(server, verify)}), "OK");
}

// A ticket in a file, as kinit writes it (MIT krb5, "Credential cache file format", version 4). Nobody asks whether a
// realm gave it.
std::string ticket() {
  const auto number = [](uint32_t value, int bytes) {
    std::string out;
    for (int at = bytes - 1; at >= 0; --at) out += static_cast<char>(value >> (8 * at) & 0xff);
    return out;
  };
  const auto text = [&](const std::string& value) { return number(static_cast<uint32_t>(value.size()), 4) + value; };
  const auto principal = [&](const std::vector<std::string>& names) {
    std::string out = number(1, 4) + number(static_cast<uint32_t>(names.size()), 4) + text("TEST.EXAMPLE");
    for (const std::string& name : names) out += text(name);
    return out;
  };
  const auto now = static_cast<uint32_t>(time(nullptr));
  constexpr uint32_t kAes256 = 18;
  return number(0x0504, 2) + number(0, 2) + principal({"app"}) + principal({"app"}) +
         principal({"krbtgt", "TEST.EXAMPLE"}) + number(kAes256, 2) + text(std::string(32, 'k')) + number(now, 4) +
         number(now, 4) + number(now + 36000, 4) + number(now + 36000, 4) + number(0, 1) + number(0, 4) + number(0, 4) +
         number(0, 4) + text("ticket") + text("");
}

TEST_F(Transport, AKerberosTicketDoesNotGoBeforeTls) {
  const FakePostgres server = fake("accept");
  const std::string cache = environment_.home() + "/ticket";
  write_file(cache, ticket());
  Environment bare;
  for (Environment* e : {&environment_, &bare}) e->set("KRB5CCNAME", "FILE:" + cache).set("KRB5_CONFIG", "/dev/null");
  ASSERT_EQ(Client(bare).say({"connectdb", target(server, "password=x sslmode=require")}), "OK");
  const std::string before = server.log();
  if (count(before, "gssencrequest") == 0) GTEST_SKIP() << "this libpq has no Kerberos";
  for (const char* mode : {"", "gssencmode=prefer"}) {
    EXPECT_EQ(Client(environment_).say({"connectdb", target(server, mode)}), "OK");
  }
  const std::string log = server.log().substr(before.size());
  EXPECT_EQ(count(log, "gssencrequest"), 0u) << log;
  EXPECT_EQ(count(log, "password tls=1"), 2u) << log;
}

TEST_F(Transport, ServersThatAskInAnotherWay) {
  // A hash of the token, or a proof of it: not the token.
  for (const char* mode : {"md5", "scram"}) {
    const FakePostgres server = fake(mode);
    Client client(environment_);
    EXPECT_EQ(client.say({"connectdb", target(server)}).rfind("BAD ", 0), 0u);
    const std::string log = server.log();
    EXPECT_EQ(count(log, "password tls=1 len="), 1u) << log;
    EXPECT_EQ(count(log, "tls=0"), 0u) << log;
    EXPECT_LT(std::stoul(log.substr(log.find("len=") + 4)), 100u) << log;
    EXPECT_EQ(client.say({"finish"}), "done");
  }
  const FakePostgres trusting = fake("accept-nopassword");
  EXPECT_EQ(Client(environment_).say({"connectdb", target(trusting)}), "OK");
  EXPECT_EQ(count(trusting.log(), "password"), 0u) << trusting.log();
}

TEST_F(Transport, WhatTheUserDemandsOfTheLoginStands) {
  const FakePostgres server = fake("accept");
  Client client(environment_);
  const std::string binding = "channel_binding=require sslmode=require";
  const std::string said = client.say({"connectdb", target(server, binding)});
  EXPECT_EQ(said.rfind("BAD ", 0), 0u) << said;
  EXPECT_EQ(said, without_pqmint(server, binding));
  if (std::stoi(client.say({"version"})) >= 160000) {
    const std::string auth = "sslmode=require require_auth=";
    expect_contains(client.say({"connectdb", target(server, auth + "scram-sha-256")}), "\"scram-sha-256\" failed");
    EXPECT_EQ(count(server.log(), "password"), 0u) << server.log();
    EXPECT_EQ(client.say({"connectdb", target(server, auth + "password")}), "OK");
  } else {
    EXPECT_EQ(count(server.log(), "password"), 0u) << server.log();
  }
}

TEST_F(Transport, WhatAServerSaysOfTheTokenIsNotLogged) {
  const std::string log = environment_.home() + "/log";
  environment_.set("PQMINT_LOG_FILE", log);
  for (const char* mode : {"repeat", "flood"}) {
    const FakePostgres server = fake(mode);
    Client client(environment_);
    client.write_line("connectdb\t" + target(server, "sslmode=verify-full"));
    const std::string said = client.read_line(30, true);
    const std::string logged = read_file(log);
    if (std::string(mode) == "repeat") {
      expect_contains(said, "X-Amz-Signature");  // in libpq's words, which has what the server sent
      expect_contains(said, "|pqmint: the server refused a token");
      expect_contains(logged, "result=refused");
    } else {
      EXPECT_EQ(said, without_pqmint(server, "sslmode=verify-full"));
    }
    for (const char* part : {"X-Amz-Signature", "what you sent", "\33", "!!!"}) {
      EXPECT_EQ(logged.find(part), std::string::npos) << mode << ": " << part;
    }
  }
}

TEST_F(Transport, AServerThatHangsUpIsLeftToLibpq) {
  for (const char* mode : {"hang-up-on-tls", "hang-up-on-startup", "hang-up-on-password"}) {
    const FakePostgres server = fake(mode);
    const std::string bare = without_pqmint(server, "sslmode=verify-full");
    const size_t tries = count(server.log(), "open");
    EXPECT_EQ(Client(environment_).say({"connectdb", target(server, "sslmode=verify-full")}), bare) << mode;
    EXPECT_EQ(Client(environment_).say({"connectStart", target(server, "sslmode=verify-full")}), bare) << mode;
    EXPECT_EQ(count(server.log(), "open"), 3 * tries) << server.log();
  }
}

TEST_F(Transport, ASlowServerCostsTheTimeoutOnce) {
  const FakePostgres server = fake("trickle");
  const std::string slow = target(server, "sslmode=verify-full connect_timeout=2");
  Client with(environment_), without{Environment()};
  with.write_line("connectdb\t" + slow);
  without.write_line("connectdb\t" + slow + " password=x");
  const std::string bare = without.read_line();
  expect_contains(bare, "timeout expired");
  EXPECT_EQ(with.read_line(), bare);
  EXPECT_EQ(count(server.log(), "open"), 2u) << "one try each";
}

TEST_F(Transport, OnlyAdminItselfIsAnAdministrator) {
  const FakePostgres server = fake("accept");
  for (const auto& [user, action] : {std::pair{"admin", "DbConnectAdmin"},
                                     {"Admin", "DbConnect"},
                                     {"'admin '", "DbConnect"},
                                     {"administrator", "DbConnect"}}) {
    Client client(environment_);
    ASSERT_EQ(
        client.say({"connectdb", "host=" + std::string(kDsql) + " hostaddr=127.0.0.1 dbname=d sslmode=require port=" +
                                     std::to_string(server.port()) + " user=" + user}),
        "OK");
    expect_contains(client.say({"pass"}), std::string("/?Action=") + action + "&");
  }
}

// A session's keys may be long, and the token has them within.
TEST_F(Transport, ALongTokenArrivesUncut) {
  const FakePostgres server = fake("accept");
  for (const size_t size : {size_t{0}, size_t{1'000}, size_t{16'000}}) {
    environment_.set("AWS_SESSION_TOKEN", std::string(size, 's'));
    Client client(environment_);
    ASSERT_EQ(client.say({"connectdb", target(server)}), "OK");
    const std::string token = client.say({"pass"});
    EXPECT_GT(token.size(), 300 + size);
    expect_contains(server.log(), "password tls=1 len=" + std::to_string(token.size()) + "\n");
  }
}

}  // namespace
}  // namespace pqmint::test
