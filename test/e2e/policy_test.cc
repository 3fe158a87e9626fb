// SPDX-License-Identifier: PostgreSQL
// Whose password wins, what a token may travel in, and where it may go.
#include <gtest/gtest.h>

#include <regex>

#include "harness.h"

namespace pqmint::test {
namespace {

constexpr char kWho[] = "select current_user";

size_t count(const std::string& text, const std::string& word) {
  size_t n = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

class Policy : public ::testing::Test {
 protected:
  Environment environment_ = Environment().preload().keys();
  Server& server_ = Server::get();
  std::string port_ = std::to_string(server_.port());
  std::string good_ = server_.conninfo(kWriter, "iam_user");

  std::string pgpass(const std::string& lines, unsigned mode = 0600) {
    const std::string path = environment_.home() + "/pgpass";
    write_file(path, lines, mode);
    return path;
  }
  static void expect_contains(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
  }
};

// --- whose password wins (D6)

TEST_F(Policy, APasswordOfTheUsersOwnWins) {
  const std::string as_plain = server_.conninfo(kWriter, "plain");
  Client client(environment_.set("PQMINT_TEST", "1"));
  EXPECT_EQ(client.say({"connectdb", as_plain + "password=plainpw"}), "OK");
  expect_contains(client.say({"connectdb", good_ + "password=wrong"}), "PAM authentication failed");
  expect_contains(client.say({"connectdb", "postgresql://iam_user:wrong@" + std::string(kWriter) + ":" + port_ +
                                               "/app?hostaddr=127.0.0.1&sslmode=require"}),
                  "PAM authentication failed");
  client.say({"setenv", "PGPASSWORD", "plainpw"});
  EXPECT_EQ(client.say({"connectdb", as_plain}), "OK");
  client.say({"unsetenv", "PGPASSWORD"});
  client.say({"setenv", "PGPASSFILE", pgpass("*:*:*:plain:plainpw\n")});
  EXPECT_EQ(client.say({"connectdb", as_plain}), "OK");
  EXPECT_EQ(count(read_file("/proc/" + std::to_string(client.pid()) + "/maps"), "core.so"), 0u) << "nothing to mint";
  // That file has no password for this user: libpq would have none, so one is minted.
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
}

TEST_F(Policy, AnEmptyPasswordIsNone) {
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", good_ + "password=''"}), "OK");
  EXPECT_EQ(client.say({"connectdbParams", "dbname", good_, "password", ""}), "OK");
}

TEST_F(Policy, ATokenSpecIsStrongerThanAnyPassword) {
  Client client(environment_);
  client.say({"setenv", "PGPASSWORD", "wrong"});
  EXPECT_EQ(client.say({"connectdb", good_ + "passfile=pqmint:rds"}), "OK");
  EXPECT_EQ(client.say({"connectdb", good_ + "password=wrong passfile=pqmint:"}), "OK");
  EXPECT_EQ(client.say({"connectdb", good_ + "password=pqmint:auto"}), "OK");
  client.say({"setenv", "PGPASSWORD", "pqmint:rds"});
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
  client.say({"unsetenv", "PGPASSWORD"});
  client.say({"setenv", "PGPASSFILE", "pqmint:rds"});
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
  client.say({"setenv", "PGPASSFILE", pgpass("*:*:*:iam_user:pqmint\\:rds?region=eu-west-1\n")});
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
  EXPECT_EQ(client.say({"query", kWho}), "iam_user");
}

TEST_F(Policy, OffMeansOff) {
  Client client(environment_);
  expect_contains(client.say({"connectdb", good_ + "passfile=pqmint:off"}), "no password supplied");
  expect_contains(client.say({"connectdb", good_ + "password=pqmint:off"}), "no password supplied");
  client.say({"setenv", "PGPASSFILE", pgpass("*:*:*:plain:plainpw\n")});
  EXPECT_EQ(client.say({"connectdb", server_.conninfo(kWriter, "plain", "password=pqmint:off")}), "OK");
  client.say({"setenv", "PGPASSFILE", pgpass("*:*:*:*:pqmint\\:off\n")});
  expect_contains(client.say({"connectdb", good_}), "no password supplied");
  client.say({"unsetenv", "PGPASSFILE"});
  client.say({"setenv", "PQMINT", "off"});
  expect_contains(client.say({"connectdb", good_}), "no password supplied");
}

// psql's \c, and a program that resets.
TEST_F(Policy, OffIsKeptByWhoReconnects) {
  Client client(environment_);
  const auto expect_off = [&](const std::string& keyword, const std::string& shown) {
    for (const char* word : {"reconnect", "reset", "resetStart", "reconnect"}) {
      expect_contains(client.say({word}), "no password supplied");
      EXPECT_EQ(client.say({"conninfo", keyword}), shown);
    }
  };
  for (const char* word : {"connectdb", "connectStart"}) {
    expect_contains(client.say({word, good_ + "password=pqmint:off"}), "no password supplied");
    expect_off("password", "pqmint:off");
  }
  const std::string file = pgpass("*:*:*:*:pqmint\\:off\n");
  client.say({"setenv", "PGPASSFILE", file});
  expect_contains(client.say({"connectdb", good_}), "no password supplied");
  expect_off("passfile", file);
  client.say({"setenv", "PGPASSFILE", pgpass("*:*:*:plain:plainpw\n")});
  EXPECT_EQ(client.say({"connectdb", server_.conninfo(kWriter, "plain", "password=pqmint:off")}), "OK");
  EXPECT_EQ(client.say({"conninfo", "sslmode"}), "prefer");
  for (const char* word : {"reset", "resetStart", "reconnect"}) EXPECT_EQ(client.say({word}), "OK");
}

TEST_F(Policy, ATokenFromOutsideCountsAsNoPassword) {
  server_.clock("+0");
  Client client(environment_);
  const std::string stale =
      std::string(kWriter) + ":" + port_ +
      "/?Action=connect&DBUser=iam_user&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F"
      "20200101%2Feu-west-1%2Frds-db%2Faws4_request&X-Amz-Date=20200101T000000Z&X-Amz-Expires=900&"
      "X-Amz-SignedHeaders=host&X-Amz-Signature=" +
      std::string(64, 'a');
  EXPECT_EQ(client.say({"connectdbParams", "dbname", good_, "password", stale}), "OK");
  server_.clock("real");
}

TEST_F(Policy, APasswordFileThatIsOpenToOthersIsWarnedOfOnce) {
  const std::string path = pgpass("*:*:*:plain:plainpw\n", 0644);
  Environment bare;
  for (Environment* e : {&environment_, &bare}) e->set("PGPASSFILE", path).set("PGSSLROOTCERT", server_.ca());
  const std::vector<std::string> psql = {
      kPsql, "-XAtw", "-c", kWho,
      "host=" + std::string(kWriter) + " hostaddr=127.0.0.1 port=" + port_ + " dbname=app user=iam_user"};
  const Outcome minted = run(psql, environment_);
  EXPECT_EQ(minted.out, "iam_user\n");
  EXPECT_EQ(count(minted.err, "WARNING: password file"), 1u) << minted.err;
  std::vector<std::string> other = psql;
  other.back() = "host=localhost hostaddr=127.0.0.1 port=" + port_ + " dbname=app user=plain";
  EXPECT_EQ(run(other, environment_).err, run(other, bare).err);
  other.back() += " passfile=" + path;
  EXPECT_EQ(run(other, environment_).err, run(other, bare).err);
}

// --- the transport floor (D7)

TEST_F(Policy, NoTlsNoToken) {
  FakePostgres fake("refuse-tls", false);
  Client client(environment_);
  const std::string target = "host=" + std::string(kWriter) +
                             " hostaddr=127.0.0.1 user=iam_user dbname=app port=" + std::to_string(fake.port()) +
                             " sslrootcert=" + server_.ca();
  for (const char* mode : {"", " sslmode=prefer", " sslmode=allow", " sslmode=require", " sslmode=verify-full"}) {
    expect_contains(client.say({"connectdb", target + mode}), "does not support SSL");
  }
  EXPECT_EQ(count(fake.log(), "password"), 0u) << fake.log();
  EXPECT_EQ(count(fake.log(), "tls=0"), 0u) << fake.log();
}

TEST_F(Policy, DisableIsRefusedBeforeAnySocket) {
  FakePostgres fake("refuse-tls", false);
  Client client(environment_);
  const std::string said = client.say(
      {"connectdb", "host=" + std::string(kWriter) +
                        " hostaddr=127.0.0.1 user=iam_user sslmode=disable port=" + std::to_string(fake.port())});
  EXPECT_EQ(said.rfind("BAD pqmint: ", 0), 0u) << said;
  expect_contains(said, "sslmode=disable");
  EXPECT_EQ(fake.log(), "");
}

// A demand that no connection with a token can meet: Kerberos would take the place of TLS.
TEST_F(Policy, KerberosEncryptionThatIsDemandedIsRefusedBeforeAnySocket) {
  FakePostgres fake("accept", true), dialled_without_us("accept", true);
  Client client(environment_), bare{Environment()};
  const auto at = [&](const FakePostgres& server) {
    return "host=" + std::string(kWriter) + " hostaddr=127.0.0.1 user=iam_user sslrootcert=" + server_.ca() +
           " port=" + std::to_string(server.port());
  };
  const std::string there = at(fake), demanded = there + " gssencmode=require";
  const std::string without = bare.say({"connectdb", at(dialled_without_us) + " gssencmode=require"});
  EXPECT_EQ(without.rfind("BAD ", 0), 0u) << without;
  if (without.find("not compiled in") != std::string::npos) GTEST_SKIP() << "this libpq has no Kerberos";
  for (const std::string& conninfo : {demanded, demanded + " passfile=pqmint:rds", demanded + " sslmode=require"}) {
    expect_contains(client.say({"connectdb", conninfo}), "BAD pqmint: gssencmode=require, and a token");
  }
  client.say({"setenv", "PGGSSENCMODE", "require"});
  expect_contains(client.say({"connectdb", there}), "BAD pqmint: gssencmode=require, and a token");
  EXPECT_EQ(fake.log(), "");
  EXPECT_EQ(client.say({"connectdb", there + " gssencmode=prefer"}), "OK");
}

TEST_F(Policy, ARejectedLoginIsNotTriedAgainInClear) {
  FakePostgres fake("reject", true);
  Client client(environment_);
  for (const char* mode : {"", " sslmode=prefer", " sslmode=allow"}) {
    const std::string before = fake.log();
    const std::string said =
        client.say({"connectdb", "host=" + std::string(kWriter) + " hostaddr=127.0.0.1 user=iam_user dbname=app port=" +
                                     std::to_string(fake.port()) + " sslrootcert=" + server_.ca() + mode});
    expect_contains(said, "password authentication failed");
    EXPECT_EQ(said.find("/proc/self/fd"), std::string::npos) << said;
    const std::string log = fake.log().substr(before.size());
    EXPECT_EQ(count(log, "password tls=1"), 1u) << log;
    EXPECT_EQ(count(log, "tls=0"), 0u) << log;
  }
}

TEST_F(Policy, ACertificateForAnotherNameGetsNoToken) {
  FakePostgres fake("accept", true);
  Client client(environment_);
  const std::string there = " hostaddr=127.0.0.1 user=iam_user dbname=app port=" + std::to_string(fake.port()) +
                            " sslrootcert=" + server_.ca();
  expect_contains(client.say({"connectdb", "host=wrong-name.c9akciq32.eu-west-1.rds.amazonaws.com" + there}),
                  "does not match host name");
  EXPECT_EQ(count(fake.log(), "password"), 0u) << fake.log();
  // Said outright, it is the user's risk.
  EXPECT_EQ(client.say({"connectdb", "host=wrong-name.c9akciq32.eu-west-1.rds.amazonaws.com sslmode=require" + there}),
            "OK");
}

TEST_F(Policy, AUnixSocketNeverGetsAToken) {
  Client client(environment_);
  const std::string said = client.say(
      {"connectdb", "host=" + server_.value("PQMINT_TEST_SOCKET_DIR") + " port=" + port_ + " passfile=pqmint:rds"});
  EXPECT_EQ(said.rfind("BAD pqmint: ", 0), 0u) << said;
  expect_contains(said, "Unix socket");
}

// --- endpoint= (D8)

TEST_F(Policy, AnEndpointBehindATunnelIsVerifiedByItsOwnName) {
  Client client(environment_);
  // The judge knows the writer at port 5432 too: what is signed is the endpoint, what is dialled is the tunnel.
  const std::string spec = " passfile=pqmint:rds?endpoint=" + std::string(kWriter) + ":5432";
  const std::string tunnel = " port=" + port_ + " user=iam_user dbname=app sslrootcert=" + server_.ca();
  EXPECT_EQ(client.say({"connectdb", "host=localhost" + tunnel + spec}), "OK");
  EXPECT_EQ(client.say({"query", kWho}), "iam_user");
  EXPECT_EQ(client.say({"host"}), kWriter);
  EXPECT_EQ(client.say({"conninfo", "host"}), "localhost");
  EXPECT_EQ(client.say({"conninfo", "hostaddr"}), "(null)");
  EXPECT_EQ(client.say({"reconnect"}), "OK");
  EXPECT_EQ(client.say({"connectdb", "host=127.0.0.1 sslmode=verify-full" + tunnel + spec}), "OK");
  EXPECT_EQ(client.say({"connectdb", "hostaddr=127.0.0.1" + tunnel + spec}), "OK");
  EXPECT_EQ(client.say({"reset"}), "OK");
  // A port that is not said is 5432.
  EXPECT_EQ(client.say({"connectdb", "host=localhost" + tunnel + " passfile=pqmint:rds?endpoint=" + kWriter}), "OK");
  // The wrong endpoint is the wrong name on the certificate.
  expect_contains(
      client.say({"connectdb", "host=localhost" + tunnel +
                                   " passfile=pqmint:rds?endpoint=x.cluster-c9akciq32.eu-west-1.rds.amazonaws.com"}),
      "does not match host name");
  expect_contains(client.say({"connectdb", "host=no-such-host.invalid" + tunnel + spec}),
                  "could not translate host name");
}

TEST_F(Policy, ANameThatSaysNothingNeedsAnEndpoint) {
  Client client(environment_);
  for (const char* host : {"host=localhost", "hostaddr=127.0.0.1", "host=db.internal hostaddr=127.0.0.1"}) {
    const std::string said =
        client.say({"connectdb", std::string(host) + " port=" + port_ + " user=iam_user passfile=pqmint:"});
    EXPECT_EQ(said.rfind("BAD pqmint: ", 0), 0u) << said;
    expect_contains(said, "endpoint=");
  }
}

TEST_F(Policy, AMistakeInASpecIsOneSentence) {
  Client client(environment_);
  expect_contains(client.say({"connectdb", good_ + "passfile=pqmint:rsd"}),
                  "BAD pqmint: the token spec asks for a provider \"rsd\", which is "
                  "not known; did you mean \"rds\"?");
  expect_contains(client.say({"connectdb", good_ + "passfile=pqmint:dsql"}), "is an endpoint of rds");
  expect_contains(client.say({"connectdb", good_ + "passfile=pqmint:entra"}), "is an endpoint of rds");
}

// --- regions

TEST_F(Policy, TheRegionIsNeverGuessed) {
  const std::string global = "orders.global-c9akciq32.global.rds.amazonaws.com";
  Client client(environment_);
  const std::string said = client.say({"connectdb", server_.conninfo(global, "iam_user")});
  EXPECT_EQ(said.rfind("BAD pqmint: ", 0), 0u) << said;
  expect_contains(said, "AWS_REGION");
  // A region is no help where the name is missing too.
  expect_contains(client.say({"connectdb", "host=localhost user=u passfile=pqmint:rds"}),
                  "no region: \"localhost\" does not name one; if a tunnel to the database begins there, name its end "
                  "with endpoint= in the token spec");
  client.say({"setenv", "AWS_REGION", "us-east-1"});
  EXPECT_EQ(client.say({"connectdb", server_.conninfo(global, "iam_user")}), "OK");
  // The host's own region is stronger than the environment's: Lambda sets AWS_REGION always.
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
}

TEST_F(Policy, DsqlTellsAdminFromOthers) {
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", server_.conninfo(kDsql, "admin")}), "OK");
  EXPECT_EQ(client.say({"query", kWho}), "admin");
  EXPECT_EQ(client.say({"connectdb", server_.conninfo(kDsql, "dsql_app")}), "OK");
  EXPECT_EQ(client.say({"query", kWho}), "dsql_app");
  expect_contains(server_.verdicts(), "accept");
}

TEST_F(Policy, ABareClusterIdIsItsPublicHost) {
  Client client(environment_.set("AWS_REGION", "us-east-1"));
  EXPECT_EQ(client.say({"connectdb", server_.conninfo(std::string(kDsql).substr(0, 26), "dsql_app")}), "OK");
  EXPECT_EQ(client.say({"host"}), kDsql);
  EXPECT_EQ(client.say({"conninfo", "host"}), std::string(kDsql).substr(0, 26));
}

TEST_F(Policy, AVpcEndpointNeedsToKnowTheCluster) {
  const std::string vpce = "vpce-0abc123-xyz.dsql-fnh4.us-east-1.vpce.amazonaws.com";
  Client client(environment_);
  expect_contains(client.say({"connectdb", server_.conninfo(vpce, "dsql_app")}), "amzn-cluster-id");
  EXPECT_EQ(client.say({"connectdb",
                        server_.conninfo(vpce, "dsql_app", "passfile=pqmint:dsql?endpoint=" + std::string(kDsql))}),
            "OK");
}

}  // namespace
}  // namespace pqmint::test
