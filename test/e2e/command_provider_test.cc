// SPDX-License-Identifier: PostgreSQL
// Tokens that a program of the user's own prints: logins, whose they are, what they travel in, and how they fail.
// What such a program may print stands in test/unit/net/command_test.cc.
#include <gtest/gtest.h>
#include <json/json.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>

#include "harness.h"

namespace pqmint::test {
namespace {

constexpr char kWho[] = "select current_user";

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
}

class CommandProvider : public ::testing::Test {
 protected:
  void SetUp() override { server_.clock("real"); }

  /// A program in HOME; every run leaves what the program was told in the file "runs".
  std::string script(const std::string& text, const std::string& name = "token") {
    const std::string path = environment_.home() + "/" + name;
    write_file(path,
               "#!/bin/sh\necho \"$PQMINT_HOST $PQMINT_PORT $PQMINT_USER $PQMINT_DATABASE [$LD_PRELOAD]\" >>" +
                   environment_.home() + "/runs\n" + text + "\n",
               0700);
    return path;
  }
  /// Prints what the judge takes: the token that pqmint itself makes of keys that only this program has.
  std::string minting() { return script(keys() + mint()); }
  static std::string keys() {
    return std::string("export AWS_ACCESS_KEY_ID=") + kKeyId + " AWS_SECRET_ACCESS_KEY=" + kSecretKey + "\n";
  }
  static std::string mint() {
    return "exec " + stage() +
           "/bin/pqmint token \"host=$PQMINT_HOST port=$PQMINT_PORT user=$PQMINT_USER passfile=pqmint:rds "
           "sslmode=require\"";
  }
  std::string runs() const {
    const std::string path = environment_.home() + "/runs";
    return std::filesystem::exists(path) ? read_file(path) : "";
  }
  long run_count() const {
    const std::string all = runs();
    return std::count(all.begin(), all.end(), '\n');
  }
  std::string target(const std::string& spec) const {
    return server_.conninfo(kWriter, "iam_user", "passfile=" + spec);
  }
  Outcome pqmint(const std::vector<std::string>& words) const {
    std::vector<std::string> argv = {stage() + "/bin/pqmint"};
    argv.insert(argv.end(), words.begin(), words.end());
    return run(argv, environment_);
  }
  Json::Value check(const std::string& conninfo) const {
    const Outcome outcome = pqmint({"check", "--json", conninfo});
    Json::Value value;
    std::istringstream in(outcome.out);
    EXPECT_TRUE(Json::parseFromStream(Json::CharReaderBuilder(), in, &value, nullptr)) << outcome.out << outcome.err;
    return value["hosts"][0];
  }

  Server& server_ = Server::get();
  Environment environment_ = Environment().preload();
  std::string port_ = std::to_string(server_.port());
};

// --- logins

TEST_F(CommandProvider, PsqlLogsInWithWhatACommandPrints) {
  const Outcome psql = run({kPsql, "-XAtwc", kWho, target("pqmint:command?command=" + minting())}, environment_);
  EXPECT_EQ(psql.out, "iam_user\n") << psql.err;
  EXPECT_EQ(psql.err, "");
  EXPECT_EQ(runs(), std::string(kWriter) + " " + port_ + " iam_user app []\n") << "told whose, and without our preload";
  expect_contains(server_.verdicts(), "accept rds user=iam_user");
}

TEST_F(CommandProvider, WhereverASpecMayStand) {
  const std::string spec = "pqmint:command?command=" + minting();
  const std::string good = server_.conninfo(kWriter, "iam_user");
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", good + "password=mine passfile=" + spec}), "OK");
  client.say({"setenv", "PGPASSWORD", spec});
  EXPECT_EQ(client.say({"connectdb", good}), "OK");
  client.say({"unsetenv", "PGPASSWORD"});
  client.say({"setenv", "PGPASSFILE", spec});
  EXPECT_EQ(client.say({"connectStart", good}), "OK");
  const std::string pgpass = environment_.home() + "/pgpass";
  write_file(pgpass, std::string(kWriter) + ":*:*:iam_user:pqmint\\:command?command=" + minting() + "\n");
  client.say({"setenv", "PGPASSFILE", pgpass});
  EXPECT_EQ(client.say({"connectdb", good}), "OK");
  client.say({"unsetenv", "PGPASSFILE"});
  write_file(environment_.home() + "/.pg_service.conf",
             "[orders]\nhost=" + std::string(kWriter) + "\nhostaddr=127.0.0.1\nport=" + port_ +
                 "\nuser=iam_user\ndbname=app\nsslrootcert=" + server_.ca() +
                 "\npassfile=pqmint:command?command=sh -c '\"$HOME/token\"'&lifetime=60\n");
  EXPECT_EQ(client.say({"connectdb", "service=orders"}), "OK");
  EXPECT_EQ(client.say({"connectdb", "postgresql://iam_user@" + std::string(kWriter) + ":" + port_ +
                                         "/app?hostaddr=127.0.0.1&sslrootcert=" + server_.ca() +
                                         "&passfile=pqmint:command%3Fcommand%3Dsh%2520-c%2520'~/token'"}),
            "OK");
}

TEST_F(CommandProvider, AnyHostMayBeAskedForByAnEndpoint) {
  // The program is told whom the user named, and knows by itself whose token that wants.
  const std::string mint_for_writer = script(keys() + "PQMINT_HOST=" + kWriter + "\n" + mint());
  const std::string spec = " passfile=pqmint:command?endpoint=" + std::string(kWriter) + "&command=" + mint_for_writer;
  const std::string there = " port=" + port_ + " user=iam_user dbname=app sslrootcert=" + server_.ca();
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", "host=localhost" + there + spec}), "OK");
  EXPECT_EQ(client.say({"host"}), kWriter) << "which TLS was verified against";
  EXPECT_EQ(client.say({"conninfo", "host"}), "localhost");
  EXPECT_EQ(client.say({"connectdb", "hostaddr=127.0.0.1" + there + spec}), "OK");
  EXPECT_EQ(runs(), "localhost " + port_ + " iam_user app []\n127.0.0.1 " + port_ + " iam_user app []\n");
  expect_contains(client.say({"connectdb", "hostaddr=127.0.0.1" + there + " passfile=pqmint:command?command=true"}),
                  "TLS verifies a name; add host=, or endpoint=");
}

TEST_F(CommandProvider, EachHostGetsItsOwn) {
  Client client(environment_);
  const std::string both = "host=" + std::string(kReader) + "," + kWriter + " hostaddr=127.0.0.1,127.0.0.1 port=1," +
                           port_ + " user=iam_user dbname=app sslrootcert=" + server_.ca() +
                           " passfile=pqmint:command?command=" + minting();
  EXPECT_EQ(client.say({"connectdb", both}), "OK");
  EXPECT_EQ(runs(), std::string(kReader) + " 1 iam_user app []\n" + kWriter + " " + port_ + " iam_user app []\n");
}

TEST_F(CommandProvider, OldConnectionsGetNewTokens) {
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", target("pqmint:command?command=" + minting())}), "OK");
  EXPECT_EQ(client.say({"reset"}), "OK");
  EXPECT_EQ(run_count(), 2);
  EXPECT_EQ(client.say({"reconnect"}), "OK");
  EXPECT_EQ(run_count(), 3);
  EXPECT_EQ(client.say({"query", kWho}), "iam_user");
}

// --- lifetime=

TEST_F(CommandProvider, WithoutALifetimeItRunsForEachConnection) {
  Client client(environment_);
  const std::string good = target("pqmint:command?command=" + minting());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.say({"connectdb", good}), "OK");
  EXPECT_EQ(run_count(), 3);
}

TEST_F(CommandProvider, WithALifetimeItRunsOnceForAll) {
  Client client(environment_);
  const std::string good = target("pqmint:command?lifetime=300&command=" + minting());
  EXPECT_EQ(client.say({"threads", "64", good, kWho}), "iam_user");
  EXPECT_EQ(client.say({"connectdb", good}), "OK");
  EXPECT_EQ(client.say({"reset"}), "OK");
  EXPECT_EQ(run_count(), 1);
  // Another user is another token.
  expect_contains(
      client.say({"connectdb",
                  server_.conninfo(kWriter, "plain",
                                   "passfile=pqmint:command?lifetime=300&command=" + environment_.home() + "/token")}),
      "password authentication failed");
  EXPECT_EQ(run_count(), 2);
}

TEST_F(CommandProvider, ALifetimeEnds) {
  Client client(environment_);
  const std::string good = target("pqmint:command?lifetime=1&command=" + minting());
  EXPECT_EQ(client.say({"connectdb", good}), "OK");
  run({"sleep", "2"}, environment_);
  EXPECT_EQ(client.say({"connectdb", good}), "OK");
  EXPECT_EQ(run_count(), 2);
}

TEST_F(CommandProvider, ATokenThatIsRefusedIsForgotten) {
  Client client(environment_);
  const std::string good = target("pqmint:command?lifetime=300&command=" + script("echo wrong-s3cret"));
  const std::string refused = client.say({"connectdb", good});
  expect_contains(refused, "PAM authentication failed");
  expect_contains(refused, "pqmint: the server refused the token that the command " + environment_.home() + "/token");
  EXPECT_EQ(refused.find("s3cret"), std::string::npos) << refused;
  EXPECT_EQ(run_count(), 1) << "a fresh one is not tried twice";
  minting();
  EXPECT_EQ(client.say({"connectdb", good}), "OK") << "the old one was refused, forgotten, and a new one fetched";
  EXPECT_EQ(run_count(), 2);
}

TEST_F(CommandProvider, WhoPollsGetsAFreshOneNextTime) {
  Client client(environment_);
  const std::string good = target("pqmint:command?lifetime=300&command=" + script("echo wrong-s3cret"));
  expect_contains(client.say({"connectStart", good}), "pqmint: the server refused the token");
  minting();
  expect_contains(client.say({"connectStart", good}), "pqmint: the server refused the token");
  EXPECT_EQ(client.say({"connectStart", good}), "OK") << "a token that was kept was refused, and is forgotten";
  EXPECT_EQ(run_count(), 2);
}

TEST_F(CommandProvider, WhoResetsGetsAFreshOneNextTime) {
  for (const std::string word : {"reset", "resetStart"}) {
    Client client(environment_);
    const std::string good = target("pqmint:command?lifetime=300&command=" + minting());
    EXPECT_EQ(client.say({"connectdb", good}), "OK");
    const long before = run_count();
    server_.clock("+7200");
    expect_contains(client.say({word}), "pqmint: the server refused the token");
    server_.clock("real");
    EXPECT_EQ(client.say({word}), "OK");
    EXPECT_EQ(run_count(), before + 1) << "a token that was kept was refused, and is forgotten";
  }
}

TEST_F(CommandProvider, OfManyRefusalsOneFetchesAnew) {
  Client client(environment_);
  const std::string good = target("pqmint:command?lifetime=300&command=" + script("echo wrong"));
  expect_contains(client.say({"connectdb", good}), "PAM authentication failed");
  minting();
  EXPECT_EQ(client.say({"threads", "16", good, kWho}), "iam_user");
  EXPECT_EQ(run_count(), 2);
}

// --- the transport floor (D7)

TEST_F(CommandProvider, NoTlsNoToken) {
  const std::string spec = " passfile=pqmint:command?command=" + script("echo s3cret");
  FakePostgres clear("refuse-tls", false);
  Client client(environment_);
  const std::string there = "host=db.internal hostaddr=127.0.0.1 user=u dbname=d sslrootcert=" + server_.ca() + spec;
  for (const char* mode : {"", " sslmode=prefer", " sslmode=allow", " sslmode=require", " sslmode=verify-full"}) {
    expect_contains(client.say({"connectdb", there + " port=" + std::to_string(clear.port()) + mode}),
                    "does not support SSL");
  }
  EXPECT_EQ(clear.log().find("password"), std::string::npos) << clear.log();
  const auto dialled = [&] {
    const std::string log = clear.log();
    size_t count = 0;
    for (size_t at = log.find(" open"); at != log.npos; at = log.find(" open", at + 1)) ++count;
    return count;
  };
  EXPECT_EQ(dialled(), 5u);
  expect_contains(client.say({"connectdb", there + " sslmode=disable port=" + std::to_string(clear.port())}),
                  "pqmint: sslmode=disable");
  EXPECT_EQ(dialled(), 5u) << "refused before any socket";

  FakePostgres encrypted("accept", true);
  const std::string other = there + " port=" + std::to_string(encrypted.port());
  expect_contains(client.say({"connectdb", other}), "does not match host name \"db.internal\"");
  expect_contains(client.say({"connectdb", other + " sslmode=prefer"}), "does not match host name");
  EXPECT_EQ(encrypted.log().find("password"), std::string::npos) << encrypted.log();
  // Said outright, it is the user's risk.
  EXPECT_EQ(client.say({"connectdb", other + " sslmode=require"}), "OK");
  EXPECT_EQ(encrypted.log().find("tls=0"), std::string::npos) << encrypted.log();
}

TEST_F(CommandProvider, AUnixSocketNeverGetsAToken) {
  Client client(environment_);
  expect_contains(client.say({"connectdb", "host=" + server_.value("PQMINT_TEST_SOCKET_DIR") + " port=" + port_ +
                                               " passfile=pqmint:command?command=" + script("echo token")}),
                  "BAD pqmint: a token is never sent over a Unix socket");
  EXPECT_EQ(run_count(), 0);
}

// --- whose word it is

TEST_F(CommandProvider, APasswordOfTheConninfosRunsNothing) {
  Client client(environment_);
  const std::string spec = "pqmint:command?command=" + minting();
  const std::string good = server_.conninfo(kWriter, "iam_user");
  expect_contains(client.say({"connectdb", good + "password=" + spec}),
                  "BAD pqmint: the token spec asks for a command, and stands where others");
  expect_contains(client.say({"connectdbParams", "dbname", good, "password", spec}), "so none is run");
  client.say({"setenv", "PGPASSWORD", "pqmint:command?command=true"});
  expect_contains(client.say({"connectdb", good + "password=" + spec}), "so none is run");
  expect_contains(pqmint({"token", good + "password=" + spec}).err, "so none is run");
  EXPECT_EQ(run_count(), 0);
}

// --- what goes wrong

TEST_F(CommandProvider, AFailureIsOneSentence) {
  allow_argument("s3cret");
  Client client(environment_.set("PQMINT_TEST_PASSWORD", "s3cret"));
  const auto said = [&](const std::string& more) {
    const std::string text = client.say({"connectdb", target("'pqmint:command?command=" + more + "'")});
    EXPECT_EQ(text.rfind("BAD pqmint: ", 0), 0u) << text;
    EXPECT_EQ(text.find("s3cret"), std::string::npos) << text;
    EXPECT_EQ(text.find('|'), std::string::npos) << "one line: " << text;
    return text;
  };
  expect_contains(said("no-such-program --password s3cret"), "no-such-program: it is not installed, or not in PATH");
  expect_contains(said("/etc/passwd s3cret"), "not a program that may be executed");
  expect_contains(said(script("echo s3cret >&2; echo s3cret; exit 3") + " s3cret"), "ended with exit status 3");
  expect_contains(said(script("kill -9 $$")), "was killed by signal 9");
  expect_contains(said(script("true")), "printed nothing");
  expect_contains(said(script("head -c 100000000 /dev/zero")), "wrote more than 1 MiB");
  expect_contains(said(script("head -c 1000 /dev/zero")), "printed 1000 bytes, some of which are no printable");
  expect_contains(said(script("echo s3cret; echo s3cret")), "in several lines");
  expect_contains(said("curl s3cret ; jq"), "sh -c ");
  expect_contains(said("curl&s3cret=1"), "write the & before it as %26");
  expect_contains(said("true&profile=x"), "no use to the provider \"command\"");
  expect_contains(client.say({"connectdb", target("pqmint:command")}), "pqmint:command?command=");
}

TEST_F(CommandProvider, AHangIsBounded) {
  Client client(environment_);
  const auto before = std::chrono::steady_clock::now();
  const std::string hanging = script("trap '' TERM\nsleep 60 &\nsleep 60");
  expect_contains(client.say({"connectdb", target("pqmint:command?command=" + hanging) + " connect_timeout=2"}),
                  "was not done in time");
  expect_contains(client.say({"connectdb", target("pqmint:command?timeout=1&command=" + hanging)}),
                  "was not done in time");
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(8));
}

// The password file reaches the command too, and so it asks for what it is asked for.
TEST_F(CommandProvider, ACommandThatAsksForItsOwnTokenComesToAnEnd) {
  environment_.set("PGHOST", kWriter).set("PGUSER", "iam_user").set("PGSSLMODE", "require");
  const std::string pgpass = environment_.home() + "/pgpass";
  environment_.set("PGPASSFILE", pgpass);
  const std::string errors = environment_.home() + "/errors";
  write_file(pgpass,
             "*:*:*:*:pqmint\\:command?command=" + script("exec " + stage() + "/bin/pqmint token 2>>" + errors) + "\n");
  const auto before = std::chrono::steady_clock::now();
  const Outcome token = pqmint({"token"});
  EXPECT_EQ(token.status, 1);
  expect_contains(token.err, "ended with exit status 1");
  EXPECT_EQ(run_count(), 4);
  expect_contains(read_file(errors), "a command asks for its own token");
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(20));
  write_file(pgpass, "*:*:*:*:pqmint\\:command?command=" + stage() + "/bin/pqmint token\n");
  expect_contains(pqmint({"token"}).err, "it asks pqmint in its turn, which must not be for its own token");
}

// --- the command `pqmint`

TEST_F(CommandProvider, CheckAndTokenShowIt) {
  allow_argument("s3cret");
  const std::string conninfo =
      "host=db.internal user=u dbname=d passfile='pqmint:command?command=" + script("echo a-token") + " s3cret";
  EXPECT_EQ(pqmint({"token", conninfo + "'"}).out, "a-token\n");
  expect_contains(pqmint({"token", "--device-code", conninfo + "'"}).err, "leave --device-code out");

  const Json::Value bare = check(conninfo + "'");
  EXPECT_TRUE(bare["managed"].asBool());
  EXPECT_EQ(bare["provider"].asString(), "command");
  EXPECT_EQ(bare["kind"].asString(), "explicit");
  EXPECT_EQ(bare["endpoint"].asString(), "db.internal:5432");
  EXPECT_TRUE(bare["region"].isNull());
  EXPECT_TRUE(bare["region_source"].isNull());
  EXPECT_EQ(bare["credential"]["source"].asString(), "command");
  EXPECT_EQ(bare["credential"]["name"].asString(), environment_.home() + "/token");
  EXPECT_TRUE(bare["credential"]["identity"].isNull());
  EXPECT_TRUE(bare["credential"]["expires_at"].isNull());
  EXPECT_EQ(bare["token"]["length"].asInt(), 7);
  EXPECT_TRUE(bare["token"]["expires_at"].isNull());
  EXPECT_EQ(bare["tls"]["sslmode"].asString(), "verify-full");
  EXPECT_TRUE(bare["error"].isNull()) << bare["error"].asString();

  const Json::Value kept = check(conninfo + "&lifetime=60'");
  EXPECT_EQ(kept["credential"]["expires_at"].asString().size(), 20u);
  EXPECT_EQ(kept["token"]["expires_at"], kept["credential"]["expires_at"]);

  const Outcome people = pqmint({"check", conninfo + "'"});
  EXPECT_EQ(people.status, 0) << people.err;
  expect_contains(people.out, "command (explicit)");
  expect_contains(people.out, "7 characters\n");
  EXPECT_EQ(people.out.find("s3cret"), std::string::npos) << people.out;
  EXPECT_EQ(people.out.find("a-token"), std::string::npos) << people.out;

  script("exit 1");
  const Json::Value failed = check(conninfo + "'");
  EXPECT_EQ(failed["provider"].asString(), "command");
  EXPECT_EQ(failed["credential"]["source"].asString(), "command");
  expect_contains(failed["error"].asString(), "ended with exit status 1");
}

TEST_F(CommandProvider, RootsAreTheUsersThenTheSystems) {
  const std::string conninfo = "host=db.internal user=u passfile=pqmint:command?command=" + script("echo token");
  const std::string systems = check(conninfo)["tls"]["sslrootcert"].asString();
  EXPECT_TRUE(systems == "system" || systems.find("/etc/") == 0) << systems;
  std::filesystem::create_directory(environment_.home() + "/.postgresql");
  write_file(environment_.home() + "/.postgresql/root.crt", read_file(server_.ca()));
  EXPECT_EQ(check(conninfo)["tls"]["sslrootcert"].asString(), environment_.home() + "/.postgresql/root.crt");
  EXPECT_EQ(check(conninfo + " sslrootcert=/dev/null")["tls"]["sslrootcert"].asString(), "/dev/null");
}

}  // namespace
}  // namespace pqmint::test
