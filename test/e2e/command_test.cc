// SPDX-License-Identifier: PostgreSQL
// The command: run, token, check.
#include <gtest/gtest.h>
#include <json/json.h>

#include <sstream>

#include "harness.h"

namespace pqmint::test {
namespace {

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
}

Json::Value parse(const std::string& text) {
  Json::Value value;
  std::string errors;
  std::istringstream in(text);
  EXPECT_TRUE(Json::parseFromStream(Json::CharReaderBuilder(), in, &value, &errors)) << errors << text;
  return value;
}

Json::Value vectors(const std::string& name) {
  return parse(read_file(source("test/vectors/" + name)));
}

class Command : public ::testing::Test {
 protected:
  Outcome pqmint(std::vector<std::string> words) {
    words.insert(words.begin(), stage() + "/bin/pqmint");
    return run(words, environment_);
  }

  Environment environment_ = Environment().keys();
};

// --- run

TEST_F(Command, RunLogsPsqlIn) {
  Server& server = Server::get();
  const Outcome psql = pqmint({"run", kPsql, "-XAtc", "select current_user", server.conninfo(kWriter, "iam_user")});
  EXPECT_EQ(psql.out, "iam_user\n") << psql.err;
  EXPECT_EQ(psql.err, "");
  EXPECT_EQ(psql.status, 0);
}

TEST_F(Command, RunKeepsWhatIsPreloadedAlready) {
  const std::string ours = stage() + "/lib/libpqmint.so";
  EXPECT_EQ(pqmint({"run", "sh", "-c", "echo $LD_PRELOAD"}).out, ours + "\n");
  environment_.set("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1");
  EXPECT_EQ(pqmint({"run", "sh", "-c", "echo $LD_PRELOAD"}).out,
            ours + ":/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1\n");
  environment_.set("LD_PRELOAD", ours);
  EXPECT_EQ(pqmint({"run", "--", "sh", "-c", "echo $LD_PRELOAD"}).out, ours + "\n");
}

TEST_F(Command, RunIsTheProgram) {
  EXPECT_EQ(pqmint({"run", "sh", "-c", "exit 7"}).status, 7);
  EXPECT_EQ(pqmint({"run", "sh", "-c", "kill -9 $$"}).status, 128 + 9);
  const Outcome missing = pqmint({"run", "no-such-program"});
  EXPECT_EQ(missing.status, 127);
  expect_contains(missing.err, "pqmint: cannot run no-such-program: No such file or directory");
  EXPECT_EQ(pqmint({"run", "/"}).status, 126);
}

TEST_F(Command, WrongUsageIsTwo) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{},
                                                {"run"},
                                                {"run", "--"},
                                                {"run", "-x", "psql"},
                                                {"mint"},
                                                {"token", "a", "b"},
                                                {"token", "--json"},
                                                {"check", "--jsno"},
                                                {"check", "a", "b"}}) {
    const Outcome outcome = pqmint(words);
    EXPECT_EQ(outcome.status, 2) << testing::PrintToString(words);
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err, "");
  }
  EXPECT_EQ(pqmint({"--help"}).status, 0);
  expect_contains(pqmint({"--version"}).out, "pqmint ");
}

// --- token

std::string conninfo_value(const std::string& value) {
  std::string out = "'";
  for (char c : value) out += (c == '\'' || c == '\\') ? std::string("\\") + c : std::string(1, c);
  return out + "'";
}

// The whole way from a conninfo to the bytes of the token, under a frozen clock, against the official SDK's.
TEST_F(Command, TokenIsByteForByteTheSdks) {
  size_t compared = 0;
  const Json::Value all = vectors("aws_tokens.json");
  for (const Json::Value& row : all["rows"]) {
    if (row["user"].asString().empty() && row["kind"].asString() == "rds") continue;  // libpq knows no empty user
    if (row["time"].asString().find('.') != std::string::npos) continue;              // faketime takes whole seconds
    const bool dsql = row["kind"].asString() != "rds";
    if (dsql && row["host"].asString().find(':') != std::string::npos) continue;  // a conninfo has no such host
    Environment environment;
    std::string time = row["time"].asString().substr(0, 19);
    time[10] = ' ';
    environment.set("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
        .set("FAKETIME", time)
        .set("TZ", "UTC");
    environment.set("AWS_ACCESS_KEY_ID", row["access_key"].asString())
        .set("AWS_SECRET_ACCESS_KEY", row["secret_key"].asString());
    if (row["session_token"].isString()) environment.set("AWS_SESSION_TOKEN", row["session_token"].asString());
    const std::string user = row["kind"].asString() == "dsql-admin" ? "admin" : dsql ? "app" : row["user"].asString();
    std::string spec = std::string("pqmint:") + (dsql ? "dsql" : "rds") + "?region=" + row["region"].asString();
    if (dsql) spec += "&expires_in=" + row["expires"].asString();
    const std::string conninfo = "host=" + conninfo_value(row["host"].asString()) +
                                 " port=" + (dsql ? "5432" : row["port"].asString()) + " user=" + conninfo_value(user) +
                                 " passfile=" + conninfo_value(spec);
    const Outcome token = run({stage() + "/bin/pqmint", "token", conninfo}, environment);
    const std::string expected = (row.isMember("recommended") ? row["recommended"] : row["expected"]).asString();
    EXPECT_EQ(token.out, expected + "\n") << row["name"].asString() << ": " << token.err;
    ++compared;
  }
  EXPECT_GE(compared, 60u);
}

TEST_F(Command, TokenOfAHostThatIsNotOursIsAnError) {
  const Outcome token = pqmint({"token", "host=localhost"});
  EXPECT_EQ(token.status, 1);
  EXPECT_EQ(token.out, "");
  expect_contains(token.err, "pqmint: host \"localhost\" is not an endpoint");
  EXPECT_EQ(pqmint({"token"}).err, "pqmint: no host is named; say host=NAME, or set PGHOST or PGSERVICE\n");
}

TEST_F(Command, TokenTakesTheFirstManagedHostAndAsksNoPassword) {
  const Outcome token =
      pqmint({"token", "host=localhost," + std::string(kReader) + "," + kWriter + " user=u password=mine"});
  EXPECT_EQ(token.out.rfind(std::string(kReader) + ":5432/?Action=connect&DBUser=u&", 0), 0u) << token.out << token.err;
}

TEST_F(Command, TokenResolvesAsPsqlDoes) {
  environment_.set("PGHOST", kWriter).set("PGUSER", "u").set("PGPORT", "6432");
  EXPECT_EQ(pqmint({"token"}).out.rfind(std::string(kWriter) + ":6432/", 0), 0u);
  EXPECT_EQ(pqmint({"token", "mydb"}).out.rfind(std::string(kWriter) + ":6432/", 0), 0u);
  EXPECT_EQ(
      pqmint({"token", "postgresql://u@" + std::string(kReader) + "/x"}).out.rfind(std::string(kReader) + ":6432/", 0),
      0u);
  const Outcome bad = pqmint({"token", "host=x frobnicate=1"});
  EXPECT_EQ(bad.status, 1);
  expect_contains(bad.err, "pqmint: invalid connection option \"frobnicate\"");
}

// --- check

TEST_F(Command, CheckClassifiesEveryHostOfTheVectors) {
  environment_.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY");
  size_t managed = 0;
  const Json::Value all = vectors("hosts.json");
  for (const Json::Value& row : all["rows"]) {
    const Outcome outcome = pqmint({"check", "--json", "host=" + row["host"].asString() + " user=u sslmode=require"});
    const Json::Value host = parse(outcome.out)["hosts"][0];
    const std::string name = row["host"].asString();
    EXPECT_EQ(host["host"].asString(), name);
    if (row["service"].isNull()) {
      EXPECT_FALSE(host["managed"].asBool()) << name;
      EXPECT_TRUE(host["provider"].isNull()) << name;
      EXPECT_EQ(outcome.status, 0) << name;
      continue;
    }
    ++managed;
    EXPECT_TRUE(host["managed"].asBool()) << name;
    EXPECT_EQ(host["provider"].asString(), row["service"].asString() == "rds-db" ? "rds" : "dsql") << name;
    EXPECT_EQ(host["kind"], row["kind"]) << name;
    EXPECT_EQ(host["region"], row["region"]) << name;
    EXPECT_EQ(host["region_source"].isNull(), row["region"].isNull()) << name;
    EXPECT_FALSE(host["error"].isNull()) << name;  // no credentials here
    EXPECT_EQ(outcome.status, 1) << name;
  }
  EXPECT_GE(managed, 40u);
}

TEST_F(Command, CheckSaysWhatWouldBeDone) {
  environment_.set("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
      .set("FAKETIME", "2026-01-15 12:34:56")
      .set("TZ", "UTC");
  const Outcome outcome =
      pqmint({"check", "--json", "host=" + std::string(kWriter) + " user=app_rw dbname=orders sslrootcert=/dev/null"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Json::Value report = parse(outcome.out);
  EXPECT_EQ(report["user"].asString(), "app_rw");
  EXPECT_EQ(report["dbname"].asString(), "orders");
  const Json::Value host = report["hosts"][0];
  EXPECT_EQ(host["port"].asInt(), 5432);
  EXPECT_TRUE(host["hostaddr"].isNull());
  EXPECT_EQ(host["endpoint"].asString(), std::string(kWriter) + ":5432");
  EXPECT_EQ(host["region_source"].asString(), "host");
  EXPECT_EQ(host["credential"]["source"].asString(), "environment");
  EXPECT_EQ(host["credential"]["identity"].asString(), "AKIA...MPLE");
  EXPECT_TRUE(host["credential"]["expires_at"].isNull());
  EXPECT_EQ(host["token"]["expires_at"].asString(), "2026-01-15T12:49:56Z");
  EXPECT_EQ(host["tls"]["sslmode"].asString(), "verify-full");
  EXPECT_EQ(host["tls"]["sslrootcert"].asString(), "/dev/null");
  EXPECT_TRUE(host["error"].isNull());
  EXPECT_EQ(outcome.out.find("X-Amz-Signature"), std::string::npos);
}

TEST_F(Command, CheckConnectLogsIn) {
  Server& server = Server::get();
  const Outcome outcome = pqmint({"check", "--connect", "--json", server.conninfo(kWriter, "iam_user")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const Json::Value login = parse(outcome.out)["login"];
  EXPECT_EQ(login["user"].asString(), "iam_user");
  expect_contains(login["tls"]["protocol"].asString(), "TLSv1");
  environment_.set("AWS_SECRET_ACCESS_KEY", "wrong");
  const Outcome rejected = pqmint({"check", "--connect", server.conninfo(kWriter, "iam_user")});
  EXPECT_EQ(rejected.status, 1);
  expect_contains(rejected.err, "PAM authentication failed");
}

TEST_F(Command, CheckSaysThatAPasswordOfTheUsersOwnWins) {
  const Json::Value host =
      parse(pqmint({"check", "--json", "host=" + std::string(kWriter) + " user=u password=mine"}).out)["hosts"][0];
  EXPECT_TRUE(host["managed"].asBool());
  EXPECT_EQ(host["kind"].asString(), "cluster-writer");
  EXPECT_TRUE(host["token"].isNull());
  EXPECT_TRUE(host["error"].isNull());
  expect_contains(host["note"].asString(), "it wins");
  expect_contains(pqmint({"check", "host=" + std::string(kWriter) + " user=u passfile=pqmint:off"}).out,
                  "switched off");
}

// A tunnel's port is wrong in a token that is signed for a port, and in no other.
TEST_F(Command, CheckSpeaksOfTunnelsWhereTheyMatter) {
  environment_.set("PGHOSTADDR", "127.0.0.1");
  const auto note = [&](const std::string& host) {
    return parse(
        pqmint({"check", "--json", "host=" + host + " port=6432 user=admin sslmode=require"}).out)["hosts"][0]["note"];
  };
  expect_contains(note(kWriter).asString(), "name the database's own port with passfile=pqmint:rds?endpoint=");
  EXPECT_TRUE(note(kDsql).isNull());
  EXPECT_TRUE(note("orders.postgres.database.azure.com").isNull());
  expect_contains(note("db.example.org").asString(), "127.0.0.1 is this machine itself: if a tunnel");
}

TEST_F(Command, CheckShowsThePlanEvenWhereItFails) {
  environment_.unset("AWS_ACCESS_KEY_ID");
  const Json::Value host =
      parse(pqmint({"check", "--json", "host=" + std::string(kWriter) + " user=u"}).out)["hosts"][0];
  EXPECT_EQ(host["tls"]["sslmode"].asString(), "verify-full");
  EXPECT_EQ(host["provider"].asString(), "rds");
}

// In libpq's words, which come too late for who only asks.
TEST_F(Command, ATimeoutThatIsNoNumberIsLibpqsError) {
  const std::string to = "host=" + std::string(kWriter) + " hostaddr=127.0.0.1 port=9 user=u sslrootcert=/dev/null ";
  for (const std::string value : {"abc", "5s", "''", "99999999999"}) {
    const Outcome check = pqmint({"check", to + "connect_timeout=" + value});
    EXPECT_EQ(check.status, 1) << value;
    EXPECT_EQ(pqmint({"token", to + "connect_timeout=" + value}).err, check.err);
    ASSERT_TRUE(check.err.starts_with("pqmint: invalid integer value \"")) << check.err;
    const Outcome psql = run({kPsql, to + "password=x connect_timeout=" + value}, environment_);
    expect_contains(psql.err, check.err.substr(8));
  }
  for (const std::string value : {"5", "' 5 '", "-1", "+5"}) {
    EXPECT_EQ(pqmint({"check", to + "connect_timeout=" + value}).status, 0) << value;
  }
}

// What a connection would be refused for, the command refuses, in libpq's words.
TEST_F(Command, WhatLibpqChecksLateIsToldToo) {
  const std::string ours = "host=" + std::string(kWriter) + " user=u sslrootcert=/dev/null ";
  const auto expect_refused = [&](const std::string& conninfo, const std::string& words) {
    for (const char* word : {"check", "token"}) {
      const Outcome outcome = pqmint({word, conninfo});
      EXPECT_EQ(outcome.status, 1) << word << " " << conninfo;
      EXPECT_EQ(outcome.err, "pqmint: " + words + "\n") << conninfo;
      EXPECT_EQ(outcome.out.find("X-Amz"), std::string::npos) << conninfo;
    }
  };
  expect_refused(ours + "port=abc", "invalid integer value \"abc\" for connection option \"port\"");
  expect_refused(ours + "port=99999", "invalid port number: \"99999\"");
  expect_refused(ours + "target_session_attrs=best", "invalid target_session_attrs value: \"best\"");
  expect_refused("host=localhost target_session_attrs=best", "invalid target_session_attrs value: \"best\"");
  const Outcome psql = run({kPsql, ours + "password=x port=99999"}, environment_);
  expect_contains(psql.err, "invalid port number: \"99999\"");
  // What libpq only warns of, it says when it connects.
  write_file(environment_.home() + "/pgpass", "a:b:c:d:e\n", 0644);
  environment_.set("PGPASSFILE", environment_.home() + "/pgpass");
  EXPECT_EQ(pqmint({"check", ours}).err, "");
  EXPECT_EQ(pqmint({"token", ours}).err, "");
}

TEST_F(Command, ABadPortIsItsHostsError) {
  const std::string both = "host=" + std::string(kWriter) + "," + kReader + " user=u sslrootcert=/dev/null ";
  const Outcome outcome = pqmint({"check", "--json", both + "port=abc,6000"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "pqmint: invalid integer value \"abc\" for connection option \"port\"\n");
  const Json::Value hosts = parse(outcome.out)["hosts"];
  EXPECT_TRUE(hosts[0]["port"].isNull());
  EXPECT_TRUE(hosts[0]["managed"].asBool());
  expect_contains(hosts[0]["error"].asString(), "\"abc\"");
  EXPECT_TRUE(hosts[0]["note"].isNull());
  EXPECT_TRUE(hosts[1]["error"].isNull());
  EXPECT_FALSE(hosts[1]["token"].isNull());
  const std::string page = pqmint({"check", both + "port=6000,99999"}).out;
  expect_contains(page, std::string(kReader) + " port 99999\n  service      rds (cluster-reader)\n");
  expect_contains(page, "\n  error        see below\n");
  expect_contains(pqmint({"check", "host=localhost user=u port=abc"}).out, "localhost\n  service      not ours");
  EXPECT_EQ(pqmint({"token", both + "port=99999,6000"}).out.rfind(std::string(kReader) + ":6000/", 0), 0u);
}

TEST_F(Command, KerberosEncryptionThatIsDemandedIsRefused) {
  const std::string demanded = "host=" + std::string(kWriter) + " user=u sslrootcert=/dev/null gssencmode=require";
  const Outcome check = pqmint({"check", "--json", demanded});
  EXPECT_EQ(check.status, 1);
  expect_contains(check.err, "gssencmode");
  expect_contains(parse(check.out)["hosts"][0]["error"].asString(), "gssencmode=require, and a token");
  const Outcome token = pqmint({"token", demanded});
  EXPECT_EQ(token.status, 1);
  EXPECT_EQ(token.out, "");
  expect_contains(token.err, "pqmint: gssencmode=require, and a token");
}

TEST_F(Command, CheckTellsPeopleTheSame) {
  const Outcome outcome = pqmint({"check", "host=" + std::string(kWriter) + ",localhost user=u sslrootcert=/dev/null"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part :
       {"cluster-writer", "eu-west-1 (from host)", "environment, AKIA...MPLE", "verify-full", "not ours"}) {
    expect_contains(outcome.out, part);
  }
  const auto page = [&](const std::string& more) {
    return pqmint({"check", "host=" + std::string(kWriter) + " user=u sslrootcert=/dev/null " + more}).out;
  };
  expect_contains(page("sslmode=disable"), "\n  TLS          disable\n");
  EXPECT_EQ(page("passfile=pqmint:rsd").find("service"), std::string::npos) << "what it is was not found out";
  environment_.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY");
  expect_contains(page(""), "\n  credentials  none\n               environment: AWS_ACCESS_KEY_ID is not set\n");
}

}  // namespace
}  // namespace pqmint::test
