// SPDX-License-Identifier: PostgreSQL
// The life of a connection past its first token. The server's clock is moved; nobody sleeps.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "fake_aws.h"
#include "harness.h"

namespace pqmint::test {
namespace {

namespace fs = std::filesystem;

constexpr char kWho[] = "select current_user";

// The server lives in the client's future: tokens of now are dead there, and those that a client with the same shift
// (libfaketime) mints are good. So "time passes" is one step on both sides.
class Lifecycle : public ::testing::Test {
 protected:
  Server& server_ = Server::get();
  std::string port_ = std::to_string(server_.port());
  std::string good_ = server_.conninfo(kWriter, "iam_user");
  Environment environment_ = Environment().preload().keys();
  std::string faketime_ = environment_.home() + "/faketime";
  const std::string preload_ = stage() + "/lib/libpqmint.so:/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

  void SetUp() override {
    server_.clock("real");
    let_time_be("+0");
    // The file is read again at each call, so that the client's clock can be moved while it runs.
    environment_.set("FAKETIME_TIMESTAMP_FILE", faketime_)
        .set("FAKETIME_NO_CACHE", "1")
        .set("DONT_FAKE_MONOTONIC", "1");
    environment_.set("LD_PRELOAD", preload_);
  }
  void TearDown() override { server_.clock("real"); }

  void let_time_be(const std::string& shift) { write_file(faketime_, shift + "\n"); }

  /// Half an hour later, for the server and the client.
  void half_an_hour_later() {
    server_.clock("+1800");
    let_time_be("+1800");
  }

  static void expect_contains(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
  }
};

TEST_F(Lifecycle, WithoutPqmintATokenDiesInAQuarterOfAnHour) {
  // What the rest of this file is about: the same client, its own token as a password, and no library.
  Client minting(environment_);
  ASSERT_EQ(minting.say({"connectdb", good_}), "OK");
  const std::string token = minting.say({"pass"});
  Client bare{Environment()};
  ASSERT_EQ(bare.say({"connectdbParams", "dbname", good_ + "sslmode=verify-full", "password", token}), "OK");
  server_.clock("+1800");
  expect_contains(bare.say({"reset"}), "PAM authentication failed");
}

TEST_F(Lifecycle, ResetAfterExpiry) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  const std::string first = client.say({"pass"});
  half_an_hour_later();
  EXPECT_EQ(client.say({"reset"}), "OK");
  EXPECT_NE(client.say({"pass"}), first);
  EXPECT_EQ(client.say({"query", kWho}), "iam_user");
}

TEST_F(Lifecycle, ResetStartAndPollAfterExpiry) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectStart", good_}), "OK");
  half_an_hour_later();
  EXPECT_EQ(client.say({"resetStart"}), "OK");
  EXPECT_EQ(client.say({"query", kWho}), "iam_user");
}

TEST_F(Lifecycle, ResetWithALongerTokenThanTheFirst) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  client.say({"setenv", "AWS_ACCESS_KEY_ID", kRoleKeyId});
  client.say({"setenv", "AWS_SECRET_ACCESS_KEY", kRoleSecretKey});
  client.say({"setenv", "AWS_SESSION_TOKEN", kRoleSessionToken});
  half_an_hour_later();
  EXPECT_EQ(client.say({"reset"}), "OK");
  expect_contains(client.say({"pass"}), "X-Amz-Security-Token=");
}

class MultiHost : public Lifecycle {
 protected:
  // The first host refuses; the second is the writer; the third is never reached.
  std::string several(const std::string& hosts, const std::string& ports, size_t count) {
    std::string addresses = "127.0.0.1";
    for (size_t i = 1; i < count; ++i) addresses += ",127.0.0.1";
    return "host=" + hosts + " hostaddr=" + addresses + " port=" + ports +
           " user=iam_user dbname=app sslrootcert=" + server_.ca();
  }
};

TEST_F(MultiHost, EachHostGetsItsOwnToken) {
  Client client(environment_);
  const std::string conninfo = several(std::string(kReader) + "," + kWriter, "1," + port_, 2);
  ASSERT_EQ(client.say({"connectdb", conninfo}), "OK");
  EXPECT_EQ(client.say({"host"}), kWriter);
  EXPECT_EQ(client.say({"pass"}).rfind(kWriter, 0), 0u);
  EXPECT_EQ(client.say({"connectStart", several(std::string(kWriter) + "," + kReader, port_ + "," + port_, 2)}), "OK");
  EXPECT_EQ(client.say({"pass"}).rfind(kWriter, 0), 0u);
}

TEST_F(MultiHost, ResetVisitsTheHostsAgainWithFreshTokens) {
  const std::string conninfo = several(std::string(kReader) + "," + kWriter, "1," + port_, 2);
  for (const char* how : {"reset", "resetStart"}) {
    server_.clock("real");
    let_time_be("+0");
    Client client(environment_);
    ASSERT_EQ(client.say({"connectdb", conninfo}), "OK");
    half_an_hour_later();
    EXPECT_EQ(client.say({how}), "OK") << how;
    EXPECT_EQ(client.say({"host"}), kWriter);
    EXPECT_EQ(client.say({"query", kWho}), "iam_user");
  }
}

TEST_F(MultiHost, ResetGivesUpOnASilentHostAfterItsTimeout) {
  // It accepts and says nothing, so libpq is past the point where a broken connection would make it go on.
  const int port = closed_port();
  Client client(environment_);
  ASSERT_EQ(
      client.say({"connectdb", several(std::string(kReader) + "," + kWriter, std::to_string(port) + "," + port_, 2) +
                                   " connect_timeout=2"}),
      "OK");
  const FakePostgres silent("silent", false, "127.0.0.1", port);
  half_an_hour_later();
  EXPECT_EQ(client.say({"reset"}), "OK");
  EXPECT_EQ(client.say({"host"}), kWriter);
  expect_contains(silent.log(), "conn 1 open");
}

// One name with two addresses: what libpq tells of its host is the same for both.
class TwoAddresses : public MultiHost {
 protected:
  void SetUp() override {
    MultiHost::SetUp();
    environment_.set("LD_PRELOAD", built("test/e2e/libmade_up_names.so") + ":" + preload_);
    environment_.set("PQMINT_TEST_ADDRESSES", "127.0.0.2,127.0.0.1");
  }
  /// By hand, and behind `endpoint=`.
  std::vector<std::string> ways() const {
    const std::string rest =
        " port=" + port_ + " user=iam_user dbname=app connect_timeout=2 sslrootcert=" + server_.ca();
    return {"host=" + std::string(kWriter) + "," + kWriter + " hostaddr=127.0.0.2,127.0.0.1" + rest, tunnel() + rest};
  }
  std::string tunnel() const {
    return "host=tunnel.test passfile=pqmint:rds?endpoint=" + std::string(kWriter) + ":" + port_;
  }
};

TEST_F(TwoAddresses, ResetGivesAFreshTokenToEach) {
  for (const char* how : {"reset", "resetStart"}) {
    for (const std::string& conninfo : ways()) {
      server_.clock("real");
      let_time_be("+0");
      Client client(environment_);
      {
        const FakePostgres first("accept", true, "127.0.0.2", server_.port());
        ASSERT_EQ(client.say({"connectdb", conninfo}), "OK");
        EXPECT_EQ(client.say({"address"}), "127.0.0.2");
      }
      half_an_hour_later();
      EXPECT_EQ(client.say({how}), "OK") << how << " " << conninfo;
      EXPECT_EQ(client.say({"query", kWho}), "iam_user");
    }
  }
}

/// A listener whose queue is full: the kernel drops what comes to it.
class Swallowing {
 public:
  Swallowing(const std::string& address, int port) {
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, address.c_str(), &at.sin_addr);
    auto* any = reinterpret_cast<sockaddr*>(&at);
    for (int& each : sockets_) each = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int anew = 1;
    setsockopt(sockets_[0], SOL_SOCKET, SO_REUSEADDR, &anew, sizeof anew);
    EXPECT_EQ(bind(sockets_[0], any, sizeof at), 0);
    EXPECT_EQ(listen(sockets_[0], 0), 0);
    for (size_t i = 1; i < std::size(sockets_); ++i) static_cast<void>(connect(sockets_[i], any, sizeof at));
  }
  ~Swallowing() {
    for (const int each : sockets_) close(each);
  }
  Swallowing(const Swallowing&) = delete;
  Swallowing& operator=(const Swallowing&) = delete;

 private:
  int sockets_[5];
};

TEST_F(TwoAddresses, ResetGivesEachItsOwnTimeout) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", ways()[0]}), "OK");
  EXPECT_EQ(client.say({"address"}), "127.0.0.1");
  const Swallowing first("127.0.0.2", server_.port());
  half_an_hour_later();
  EXPECT_EQ(client.say({"reset"}), "OK");
}

TEST_F(TwoAddresses, AResetDoesNotGoWhereTheNameNoLongerLeads) {
  // libpq keeps the addresses that it was once given. A name that has moved may mean a failover: its old address is
  // a reader now, or somebody else's.
  for (const char* how : {"reset", "resetStart"}) {
    Client client(environment_);
    ASSERT_EQ(client.say({"connectdb", ways()[1]}), "OK");
    for (const char* turned : {"127.0.0.1,127.0.0.2", "127.0.0.1", "127.0.0.3,127.0.0.1"}) {
      client.say({"setenv", "PQMINT_TEST_ADDRESSES", turned});
      EXPECT_EQ(client.say({how}), "OK") << turned;
    }
    client.say({"setenv", "PQMINT_TEST_ADDRESSES", "127.0.0.3,127.0.0.4"});
    const std::string said = client.say({how});
    EXPECT_EQ(said.rfind("BAD pqmint: ", 0), 0u) << said;
    expect_contains(said, "open a new connection instead of resetting");
  }
}

TEST_F(TwoAddresses, ReadersMayMoveAsTheyLike) {
  std::string conninfo = ways()[1];
  conninfo.replace(conninfo.find(kWriter), std::string(kWriter).size(), kReader);
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", conninfo}), "OK");
  client.say({"setenv", "PQMINT_TEST_ADDRESSES", "127.0.0.3"});
  EXPECT_EQ(client.say({"reset"}), "OK") << "as good a reader as any";
}

TEST_F(TwoAddresses, AResetThatCannotMintSaysAllThatAConnectSays) {
  std::string name;
  for (int i = 0; i < 40; ++i) name += "\u00e9";
  std::string conninfo = ways()[1];
  conninfo.replace(conninfo.find("tunnel"), 6, name);
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", conninfo}), "OK");
  client.say({"setenv", "PQMINT_TEST_ADDRESSES", "none"});
  const std::string said = client.say({"reset"});
  expect_contains(said, "host name \"" + name + ".test\"");
  EXPECT_EQ(said, client.say({"connectdb", conninfo}));
}

TEST_F(TwoAddresses, AResetThatDoesNotStartIsToldInTheLog) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", "host=" + std::string(kWriter) + " port=" + port_ +
                                         " user=iam_user dbname=app sslrootcert=" + server_.ca()}),
            "OK");
  client.say({"setenv", "PQMINT_TEST_ADDRESSES", "none"});
  expect_contains(client.say({"resetStart"}), "could not translate host name");
  expect_contains(read_file(environment_.home() + "/pqmint.log"), "level=error connection=1 event=reset");
}

TEST_F(MultiHost, UnmanagedHostsKeepTheirOwnPassword) {
  FakePostgres other("accept", true);
  const std::string pgpass = environment_.home() + "/pgpass";
  write_file(pgpass, "localhost:" + std::to_string(other.port()) + ":*:*:theirs\n");
  environment_.set("PGPASSFILE", pgpass);
  Client client(environment_);
  const std::string ports = "1," + std::to_string(other.port());
  ASSERT_EQ(client.say({"connectdb", several(std::string(kWriter) + ",localhost", ports, 2)}), "OK");
  EXPECT_EQ(client.say({"pass"}), "theirs");
  // And without an entry they get none: above all, not the token of their neighbour.
  write_file(pgpass, "");
  const std::string said = client.say({"connectdb", several(std::string(kWriter) + ",localhost", ports, 2)});
  expect_contains(said, "no password supplied");
}

TEST_F(Lifecycle, PsqlReconnectsAfterExpiry) {
  // \c takes the old connection's settings; the server's clock is moved in between by psql itself.
  const std::string later =
      source("test/server/pqmint-testserver") + " clock " + server_.value("PQMINT_TEST_DIR") + " +1800";
  const Outcome psql = run({kPsql, "-XAt", good_}, environment_,
                           "select 1;\n\\! env -u LD_PRELOAD " + later + "\n\\! echo +1800 > " + faketime_ +
                               "\n\\c postgres\n\\conninfo\n\\c app\nselect current_user;\n");
  EXPECT_EQ(psql.status, 0) << psql.err;
  expect_contains(psql.out, "iam_user\n");
  EXPECT_EQ(psql.err, "");
}

TEST_F(Lifecycle, PsqlRecoversALostConnectionAfterExpiry) {
  const std::string later =
      source("test/server/pqmint-testserver") + " clock " + server_.value("PQMINT_TEST_DIR") + " +1800";
  // An interactive psql resets a connection that broke; script(1) gives it a terminal.
  const Outcome psql =
      run({"script", "-qec", std::string(kPsql) + " -X -P pager=off '" + good_ + "'", "/dev/null"}, environment_,
          "\\! env -u LD_PRELOAD " + later + "\n\\! echo +1800 > " + faketime_ +
              "\nselect pg_terminate_backend(pg_backend_pid());\nselect 'still ' || current_user;\n\\q\n");
  expect_contains(psql.out, "Attempting reset: Succeeded.");
  expect_contains(psql.out, "still iam_user");
}

// pg_dump -j and pg_restore -j hand the first connection's token to each worker as a password. Half an hour passes just
// before the first worker is forked; in tools that open their connections by themselves, at the first one's first
// query.
class Parallel : public Lifecycle {
 protected:
  Environment time_passes_at(const std::string& moment) {
    Environment environment = environment_;
    environment.set("LD_PRELOAD", built("test/e2e/liblater_at_fork.so") + ":" + preload_);
    environment.set("PQMINT_TEST_LATER_AT", moment);
    environment.set("PQMINT_TEST_LATER", source("test/server/pqmint-testserver") + " clock " +
                                             server_.value("PQMINT_TEST_DIR") + " +1800; echo +1800 > " + faketime_);
    return environment;
  }
  void back_to_now() {
    server_.clock("real");
    let_time_be("+0");
  }
};

TEST_F(Parallel, WorkersStartAfterTheTokenDied) {
  const std::string dump = environment_.home() + "/dump";
  server_.verdicts();
  Outcome done =
      run({std::string(kBin) + "pg_dump", "-Fd", "-j", "3", "-f", dump, "-d", good_}, time_passes_at("fork"));
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(read_file(faketime_), "+1800\n");  // it did pass
  back_to_now();
  done = run({std::string(kBin) + "pg_restore", "--no-owner", "-j", "3", "-d",
              server_.conninfo(kWriter, "iam_user", "dbname=restored"), dump},
             time_passes_at("fork"));
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(read_file(faketime_), "+1800\n");
  EXPECT_EQ(server_.verdicts().find("reject"), std::string::npos);
  back_to_now();
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", server_.conninfo(kWriter, "iam_user", "dbname=restored")}), "OK");
  EXPECT_EQ(client.say({"query", "select count(*) from orders"}), "1000");
}

TEST_F(Parallel, ConnectionsOfOneProcessOpenedAfterTheTokenDied) {
  for (const std::string tool : {"vacuumdb", "reindexdb"}) {
    server_.verdicts();
    std::vector<std::string> argv = {kBin + tool, "-j", "3", "-d", good_};
    if (tool == "reindexdb") argv.insert(argv.end(), {"--schema", "public"});
    const Outcome done = run(argv, time_passes_at("query"));
    EXPECT_EQ(done.status, 0) << tool << ": " << done.err;
    EXPECT_EQ(read_file(faketime_), "+1800\n") << tool;
    const std::string verdicts = server_.verdicts();
    EXPECT_EQ(verdicts.find("reject"), std::string::npos) << tool << ": " << verdicts;
    EXPECT_NE(verdicts.find("accept"), verdicts.rfind("accept")) << tool << " opened one connection only";
    back_to_now();
  }
}

TEST_F(Lifecycle, AStaleTokenOfOursIsReplacedWhenItComesBackAsAPassword) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  const std::string token = client.say({"pass"});
  half_an_hour_later();
  // What pg_dump -j, pg_restore -j and psql \c do.
  EXPECT_EQ(client.say({"connectdbParams", "dbname", good_, "password", token}), "OK");
  EXPECT_EQ(client.say({"fork", good_}), "OK / OK");
}

TEST_F(Lifecycle, ATokenThatASpecAskedForIsReplacedByTheSameSpec) {
  Client client(environment_);
  const std::string tunnel = "host=localhost port=" + port_ + " user=iam_user dbname=app sslrootcert=" + server_.ca();
  ASSERT_EQ(client.say({"connectdb", tunnel + " passfile=pqmint:rds?endpoint=" + std::string(kWriter)}), "OK");
  const std::string token = client.say({"pass"});
  half_an_hour_later();
  // The worker is told host, port and password, and nothing of the spec.
  EXPECT_EQ(client.say({"connectdbParams", "dbname", tunnel, "password", token}), "OK");
}

TEST_F(Lifecycle, ATokenOfOursIsNotSentToAStranger) {
  FakePostgres stranger("accept", false);
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  const std::string said = client.say({"connectdbParams", "host", "127.0.0.1", "port", std::to_string(stranger.port()),
                                       "user", "x", "password", client.say({"pass"})});
  EXPECT_EQ(said.rfind("BAD pqmint: ", 0), 0u) << said;
  EXPECT_EQ(stranger.log(), "");
}

TEST_F(Lifecycle, PgbenchConnectsAnewForEachTransaction) {
  const Outcome bench =
      run({std::string(kBin) + "pgbench", "-n", "-C", "-c", "4", "-j", "2", "-t", "10", "-f", "/dev/stdin", good_},
          environment_, "select 1;\n");
  EXPECT_EQ(bench.status, 0) << bench.err;
  expect_contains(bench.out, "transactions actually processed: 40/40");
}

TEST_F(Lifecycle, ThreadsConnectAtOnceFromCold) {
  Client client(environment_);
  EXPECT_EQ(client.say({"threads", "16", good_, kWho}), "iam_user");
}

TEST_F(Lifecycle, ForkedChildAndParentBothConnect) {
  Client client(environment_);
  EXPECT_EQ(client.say({"fork", good_}), "OK / OK");
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  EXPECT_EQ(client.say({"fork", good_}), "OK / OK");
}

TEST_F(Lifecycle, DescriptorsDoNotGrow) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  const std::string before = client.say({"fds"});
  for (int i = 0; i < 50; ++i) ASSERT_EQ(client.say({i % 2 ? "connectdb" : "connectStart", good_}), "OK");
  EXPECT_EQ(client.say({"fds"}), before);
}

TEST_F(Lifecycle, AResetThatCannotMintClosesTheConnectionAndSaysWhy) {
  for (const char* how : {"reset", "resetStart"}) {
    Client client(environment_);
    ASSERT_EQ(client.say({"connectdb", good_}), "OK");
    client.say({"unsetenv", "AWS_SECRET_ACCESS_KEY"});
    const std::string said = client.say({how});
    EXPECT_EQ(said.rfind("BAD pqmint: ", 0), 0u) << said;
    expect_contains(said, "AWS_SECRET_ACCESS_KEY");
    // And it is not for ever.
    client.say({"setenv", "AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"});
    EXPECT_EQ(client.say({how}), "OK");
  }
}

TEST_F(Lifecycle, AResetThatCannotMintClosesTheConnectionWhateverIsUnread) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  client.say({"send", "select repeat('x', 1000) from generate_series(1, 2000)"});
  client.say({"unsetenv", "AWS_SECRET_ACCESS_KEY"});
  const std::string said = client.say({"reset"});
  EXPECT_EQ(said.rfind("BAD pqmint: ", 0), 0u) << said;
}

// Who connects with a password of his own has it compared with the tokens of all live connections.
TEST_F(Lifecycle, ThreadsResetWhileOthersConnectWithPasswords) {
  Client client(environment_);
  const std::string others = "host=127.0.0.1 user=u dbname=d password=theirs port=" + std::to_string(closed_port());
  EXPECT_EQ(client.say({"resetBeside", "5", good_, others}), "OK");
}

// --- many others in between

class Crowd : public Lifecycle {
 protected:
  /// More mints than are remembered, for a port where nobody listens.
  void mint_for_others(Client& client) {
    const std::string nobody = "host=" + std::string(kReader) +
                               " hostaddr=127.0.0.1 port=" + std::to_string(closed_port()) +
                               " user=u sslrootcert=/dev/null";
    for (int i = 0; i < 17; ++i) client.say({"threads", "64", nobody, "select 1"});
  }
};

TEST_F(Crowd, AnOldConnectionIsStillResetWithAFreshToken) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  mint_for_others(client);
  half_an_hour_later();
  EXPECT_EQ(client.say({"reset"}), "OK");
}

TEST_F(Crowd, AnOldConnectionsTokenIsStillKnownForWhatItIs) {
  // The name says nothing: only the memory of what asked for the token keeps it inside TLS and for its host.
  const std::string tunnel =
      "host=localhost port=" + port_ + " user=iam_user dbname=app sslrootcert=" + server_.ca() + " ";
  Client client(environment_);
  const std::string spec = "pqmint:rds?endpoint=" + std::string(kWriter) + ":" + port_;
  ASSERT_EQ(client.say({"connectdb", tunnel + "password=" + spec}), "OK");
  const std::string token = client.say({"pass"});
  mint_for_others(client);
  half_an_hour_later();
  EXPECT_EQ(client.say({"connectdbParams", "dbname", tunnel, "password", token}), "OK") << "minted anew";
  FakePostgres fake("refuse-tls", false);
  const std::string said = client.say(
      {"connectdbParams", "dbname", "host=localhost user=iam_user sslmode=prefer port=" + std::to_string(fake.port()),
       "password", client.say({"pass"})});
  EXPECT_EQ(said.rfind("BAD pqmint: ", 0), 0u) << said;
  EXPECT_EQ(fake.log().find("password"), std::string::npos) << fake.log();
}

TEST_F(Lifecycle, AFailureAfterTheLoginIsNotTakenForARefusedToken) {
  Client client(environment_);
  std::string other = good_;
  other.replace(other.find("dbname=app"), 10, "dbname=none");
  const std::string said = client.say({"connectdb", other});
  expect_contains(said, "database \"none\" does not exist");
  EXPECT_EQ(said.find("pqmint"), std::string::npos) << said;
}

TEST_F(Lifecycle, AConnectThatWasLeftByALongJumpDoesNotSwitchPqmintOff) {
  HttpServer silent([](const Heard&) { return Reply{200, "", {}, Reply::Manner::kSilent}; });
  Client client(environment_);
  const std::string unmanaged = "host=127.0.0.1 user=u dbname=d port=" + std::to_string(silent.port());
  ASSERT_EQ(client.say({"abandon", unmanaged}), "abandoned");
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
  ASSERT_EQ(
      client.say({"abandon", "host=" + std::string(kWriter) + " hostaddr=127.0.0.1 user=u sslrootcert=/dev/null port=" +
                                 std::to_string(silent.port())}),
      "abandoned");
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
}

TEST_F(Lifecycle, NorDoesItForACallFromFurtherDownTheStack) {
  HttpServer silent([](const Heard&) { return Reply{200, "", {}, Reply::Manner::kSilent}; });
  const std::string port = std::to_string(silent.port());
  for (const std::string& mute :
       {"host=127.0.0.1 user=u dbname=d port=" + port,
        "host=" + std::string(kWriter) + " hostaddr=127.0.0.1 user=u sslrootcert=/dev/null port=" + port}) {
    Client client(environment_);
    ASSERT_EQ(client.say({"abandon", mute}), "abandoned");
    EXPECT_EQ(client.say({"deep", good_}), "OK") << mute;
    EXPECT_EQ(client.say({"connectdb", good_}), "OK") << mute;
  }
}

TEST_F(Lifecycle, WhatALongJumpLeftInASlotIsBlanked) {
  HttpServer silent([](const Heard&) { return Reply{200, "", {}, Reply::Manner::kSilent}; });
  Client client(environment_);
  const auto slots = [&] {
    std::vector<std::string> contents;
    for (const auto& fd : fs::directory_iterator("/proc/" + std::to_string(client.pid()) + "/fd")) {
      if (fs::read_symlink(fd).string().find("memfd:pqmint") != std::string::npos) {
        contents.push_back(read_file(fd.path()));
      }
    }
    return contents;
  };
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(client.say({"abandon", "host=" + std::string(kWriter) +
                                         " hostaddr=127.0.0.1 user=u sslrootcert=/dev/null port=" +
                                         std::to_string(silent.port())}),
              "abandoned");
    ASSERT_EQ(slots().size(), 1U);
    EXPECT_NE(slots()[0].find("X-Amz-Signature"), std::string::npos) << "this test looks at the wrong place";
  }
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
  ASSERT_EQ(slots().size(), 1U);
  EXPECT_EQ(slots()[0].find("X-Amz-Signature"), std::string::npos);
}

// An event procedure runs inside of libpq, but it is the program that calls.
TEST_F(Lifecycle, EventProceduresSeeTheUsersSettings) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  const std::string shown = client.say({"conninfoAll"});
  for (const char* how : {"reset", "resetStart"}) {
    client.say({"watch"});
    ASSERT_EQ(client.say({how}), "OK");
    EXPECT_EQ(client.say({"watched"}), "reset: " + shown) << how;
  }
  client.say({"finish"});
  EXPECT_EQ(client.say({"watched"}), "end: " + shown);
}

// What was known of a connection goes with it, wherever it was finished: its address comes again.
TEST_F(Lifecycle, AnAddressThatComesAgainInheritsNothing) {
  const std::string plain = "host=127.0.0.1 user=plain password=plainpw dbname=app port=" + port_;
  environment_.set("LD_PRELOAD", built("test/e2e/libsame_address.so") + ":" + stage() + "/lib/libpqmint.so");
  for (const char* how : {"event", "unseen"}) {
    Client client(environment_);
    const std::string said = client.say({"again", how, good_, plain});
    if (said == "elsewhere" && std::getenv("PQMINT_TEST_PRELOAD"))
      GTEST_SKIP() << "a sanitizer's addresses are its own";
    EXPECT_EQ(said, "OK") << how;
    EXPECT_EQ(client.say({"conninfo", "host"}), "127.0.0.1") << how;
    client.say({"unsetenv", "AWS_SECRET_ACCESS_KEY"});
    EXPECT_EQ(client.say({"reset"}), "OK") << how;
  }
}

TEST_F(Lifecycle, AResetThatIsRefusedIsExplainedToThoseWhoPollToo) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", good_}), "OK");
  client.say({"setenv", "AWS_SECRET_ACCESS_KEY", "wrong"});
  expect_contains(client.say({"resetStart"}), "pqmint: the server refused a token that was signed for");
}

}  // namespace
}  // namespace pqmint::test
