// SPDX-License-Identifier: PostgreSQL
// Every way to name a server, through every entry point: pqmint must mean by it what libpq means by it.
#include <gtest/gtest.h>

#include "harness.h"

namespace pqmint::test {
namespace {

constexpr char kWho[] = "select current_user";

class Resolution : public ::testing::Test {
 protected:
  Environment environment_ = Environment().preload().keys();
  Server& server_ = Server::get();
  std::string port_ = std::to_string(server_.port());
  std::string good_ = server_.conninfo(kWriter, "iam_user");

  void expect_login(Client& client, const std::vector<std::string>& words) {
    EXPECT_EQ(client.say(words), "OK") << words[0] << " " << (words.size() > 1 ? words[1] : "");
    EXPECT_EQ(client.say({"query", kWho}), "iam_user");
  }
};

TEST_F(Resolution, EveryEntryPointLogsIn) {
  Client client(environment_);
  expect_login(client, {"connectdb", good_});
  expect_login(client, {"connectStart", good_});
  expect_login(client, {"connectdbParams", "dbname", good_});
  expect_login(client, {"connectStartParams", "dbname", good_});
  const std::vector<std::string> pairs = {"host", kWriter,    "hostaddr", "127.0.0.1", "port",        port_,
                                          "user", "iam_user", "dbname",   "app",       "sslrootcert", server_.ca()};
  for (const char* word : {"connectdbParams", "connectdbParams0", "connectStartParams"}) {
    std::vector<std::string> words = {word};
    words.insert(words.end(), pairs.begin(), pairs.end());
    expect_login(client, words);
  }
  client.say({"setenv", "PGHOSTADDR", "127.0.0.1"});
  client.say({"setenv", "PGSSLROOTCERT", server_.ca()});
  expect_login(client, {"setdbLogin", kWriter, port_, "-", "app", "iam_user", "-"});
  expect_login(client, {"setdbLogin", "-", "-", "-", good_, "-", "-"});
}

TEST_F(Resolution, UrisAndTheirEscapes) {
  Client client(environment_);
  const std::string tail = "?hostaddr=127.0.0.1&sslrootcert=" + server_.ca();
  expect_login(client, {"connectdb", "postgresql://iam_user@" + std::string(kWriter) + ":" + port_ + "/app" + tail});
  expect_login(client, {"connectdb", "postgres://iam%5Fuser@" + std::string(kWriter) + ":" + port_ + "/app" + tail});
}

TEST_F(Resolution, LaterKeywordsOverrideAnExpandedDbname) {
  Client client(environment_);
  expect_login(client, {"connectdbParams", "user", "nobody", "dbname", good_});
  EXPECT_EQ(client.say({"connectdbParams", "dbname", good_ + " user=nobody", "user", "iam_user"}), "OK");
  // A second dbname is a name and not expanded; an empty value and a null pointer say nothing.
  expect_login(client, {"connectdbParams", "dbname", good_, "dbname", "app", "host", "", "port", "-"});
}

TEST_F(Resolution, ServiceFileByKeywordAndByEnvironment) {
  const std::string file = environment_.home() + "/services";
  write_file(file, "[orders]\nhost=" + std::string(kWriter) + "\nhostaddr=127.0.0.1\nport=" + port_ +
                       "\nuser=iam_user\ndbname=app\nsslrootcert=" + server_.ca() + "\n");
  environment_.set("PGSERVICEFILE", file);
  Client client(environment_);
  expect_login(client, {"connectdb", "service=orders"});
  expect_login(client, {"connectdb", "postgresql://?service=orders"});
  client.say({"setenv", "PGSERVICE", "orders"});
  expect_login(client, {"connectdb", ""});
  expect_login(client, {"connectdb", "  "});
  expect_login(client, {"connectdbParams"});
  // The administrator's own, where the user has none.
  client.say({"unsetenv", "PGSERVICEFILE"});
  write_file(environment_.home() + "/pg_service.conf", read_file(file));
  client.say({"setenv", "PGSYSCONFDIR", environment_.home()});
  expect_login(client, {"connectdb", ""});
}

TEST_F(Resolution, EnvironmentAlone) {
  environment_.set("PGHOST", kWriter).set("PGHOSTADDR", "127.0.0.1").set("PGPORT", port_).set("PGUSER", "iam_user");
  environment_.set("PGDATABASE", "app").set("PGSSLROOTCERT", server_.ca());
  Client client(environment_);
  expect_login(client, {"connectdb", ""});
  expect_login(client, {"setdbLogin", "-", "-", "-", "-", "-", "-"});
}

TEST_F(Resolution, WhatLibpqRejectsItRejectsInItsOwnWords) {
  Client with(environment_), without{Environment()};
  const std::string host = "host=" + std::string(kWriter) + " ";
  for (const std::string& conninfo :
       {std::string("app"), std::string("host"), host + "frobnicate=1", host + "port='5432", host + "sslmode=maybe",
        host + "target_session_attrs=best", host + "channel_binding=perhaps", host + "load_balance_hosts=perhaps",
        host + "max_protocol_version=1", "postgresql://" + std::string(kWriter) + "/app?x=y",
        "postgresql://" + std::string(kWriter) + ":5432:5433/app", std::string("postgresql://[::1/app"),
        "postgresql://db%00." + std::string(kWriter) + "/app", "postgresql://db%zz." + std::string(kWriter) + "/app",
        "host=" + std::string(kWriter) + ",b port=1,2,3", host + "hostaddr=1.2.3.4,1.2.3.5",
        std::string("host=" + std::string(kWriter) + " port=99999 sslrootcert=/dev/null"),
        host + "gssencmode=please"}) {
    for (const char* word : {"connectdb", "connectStart"}) {
      EXPECT_EQ(with.say({word, conninfo}), without.say({word, conninfo})) << conninfo;
    }
  }
}

// libpq looks at a port no earlier than when it comes to that host: one that is no number ends the connect, one that is
// out of range only that host.
TEST_F(Resolution, ABadPortMattersToItsHostAlone) {
  Client with(environment_), without{Environment()};
  const std::string both = "host=" + std::string(kWriter) + "," + kReader +
                           " hostaddr=127.0.0.1,127.0.0.1 user=iam_user dbname=app sslrootcert=" + server_.ca();
  for (const std::string& ports : {port_ + ",99999", port_ + ",abc", "99999," + port_, "0," + port_}) {
    for (const char* more : {"", " password=pqmint:"}) {
      expect_login(with, {"connectdb", both + more + " port=" + ports});
      EXPECT_EQ(with.say({"conninfo", "port"}), ports);
      EXPECT_EQ(with.say({"reset"}), "OK");
    }
  }
  for (const std::string& ports : {"abc," + port_, std::string("99999,abc"), std::string("0"), std::string("abc")}) {
    for (const char* more : {"", " password=pqmint:", " passfile=pqmint:"}) {
      const std::string conninfo = both + more + " port=" + ports;
      EXPECT_EQ(with.say({"connectdb", conninfo}), without.say({"connectdb", conninfo})) << conninfo;
    }
  }
}

TEST_F(Resolution, ABadPortSendsNoSpecAndNoStrayToken) {
  const FakePostgres fake("accept", true);
  const std::string there = " hostaddr=127.0.0.1,127.0.0.1 user=iam_user dbname=app sslrootcert=" + server_.ca();
  const std::string port = std::to_string(fake.port());
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", "host=" + std::string(kWriter) + "," + kReader + there + " port=" + port +
                                         ",99999 password=pqmint:"}),
            "OK");
  const std::string log = fake.log();
  const size_t at = log.find("password tls=1 len=");
  ASSERT_NE(at, std::string::npos) << log;
  EXPECT_GT(std::stoul(log.substr(at + 19)), 100u) << log;
  EXPECT_EQ(log.find("password", at + 1), std::string::npos) << log;
  // The host that the token was made for is out of reach, and the other one is a stranger.
  const std::string token = client.say({"pass"});
  const std::string said =
      client.say({"connectdbParams", "dbname",
                  "host=" + std::string(kWriter) + ",localhost" + there + " sslmode=require port=99999," + port,
                  "password", token});
  EXPECT_NE(said.find("made for another host"), std::string::npos) << said;
  EXPECT_EQ(fake.log().find("conn 2 "), std::string::npos) << fake.log();
}

TEST_F(Resolution, AServiceFileThatIsBrokenIsRejectedInLibpqsWords) {
  const std::string file = environment_.home() + "/services", host = "host=" + std::string(kWriter) + "\n";
  Client with(environment_), without{Environment()};
  for (Client* client : {&with, &without}) client->say({"setenv", "PGSERVICEFILE", file});
  const auto expect_same_rejection = [&](const std::string& what) {
    for (const char* conninfo : {"service=a", "postgresql:///app?service=a"}) {
      const std::string said = without.say({"connectdb", conninfo});
      EXPECT_EQ(said.rfind("BAD ", 0), 0u) << what;
      EXPECT_EQ(with.say({"connectdb", conninfo}), said) << what;
    }
  };
  expect_same_rejection("no file");
  for (const std::string& lines :
       {"[a]\n" + host + "frobnicate=1\n", "[a]\n" + host + "service=b\n[b]\n" + host, "[b]\n" + host,
        "[a]\n" + host + "no equals sign\n", "[a]\n" + host + "port=" + std::string(4096, '1') + "\n"}) {
    write_file(file, lines);
    expect_same_rejection(lines.substr(0, 100));
  }
}

TEST_F(Resolution, NamesThatOnlyLookLikeOursArePlainCalls) {
  const std::string there = " hostaddr=127.0.0.1 port=" + port_ + " user=plain dbname=app";
  const std::string rest = ".c9akciq32.eu-west-1.rds.amazonaws.com";
  Client with(environment_), without{Environment()};
  std::vector<std::string> conninfos;
  for (const std::string& host :
       {"db" + rest + ".evil.example", std::string("rds.amazonaws.com"), std::string("db.xrds.amazonaws.com"),
        "a.." + rest.substr(1), "d%62" + rest, "d\xc3\xb6" + rest, std::string(64, 'a') + rest,
        std::string(300, 'a') + rest, "db_1!" + rest, std::string("db.c9akciq32.eu-west-1.rds.amazonaws.c\xc3\xb6m")}) {
    conninfos.push_back("host='" + host + "'" + there);
  }
  // In a URI they come out as a line break and a slash.
  for (const std::string odd : {"db%0A", "db%2F"}) {
    conninfos.push_back("postgresql://plain@" + odd + rest + ":" + port_ + "/app?hostaddr=127.0.0.1");
  }
  for (const std::string& conninfo : conninfos) {
    const std::string said = without.say({"connectdb", conninfo});
    EXPECT_NE(said.find("no password supplied"), std::string::npos) << said;
    EXPECT_EQ(with.say({"connectdb", conninfo}), said) << conninfo;
  }
  EXPECT_EQ(read_file("/proc/" + std::to_string(with.pid()) + "/maps").find("core.so"), std::string::npos);
}

TEST_F(Resolution, HostsThatAreNotOursArePlainCalls) {
  Client client(environment_);
  const std::string plain = "hostaddr=127.0.0.1 port=" + port_ + " user=plain dbname=app ";
  for (const char* host : {"localhost", "evil.rds.amazonaws.com.evil.example", "rds.amazonaws.com",
                           "xrds.amazonaws.com", "a..rds.amazonaws.com", "db.internal"}) {
    EXPECT_NE(client.say({"connectdb", plain + "host=" + host}).find("no password supplied"), std::string::npos)
        << host;
    EXPECT_EQ(client.say({"connectdb", plain + "password=plainpw host=" + host}), "OK") << host;
  }
  EXPECT_NE(client.say({"connectdb", plain}).find("no password supplied"), std::string::npos);
  EXPECT_EQ(client.say({"connectdb", "host=" + server_.value("PQMINT_TEST_SOCKET_DIR") + " port=" + port_ +
                                         " user=postgres dbname=app"}),
            "OK");
  EXPECT_NE(client.say({"connectdb", "host=@nowhere user=x"}).find("@nowhere"), std::string::npos);
}

TEST_F(Resolution, OddUsersAreSignedAsTheyAre) {
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", server_.conninfo(kWriter, "app.user+x@corp")}), "OK");
  EXPECT_EQ(client.say({"query", kWho}), "app.user+x@corp");
}

TEST_F(Resolution, UpperCaseAndATrailingDotAreTheSameHost) {
  Client client(environment_);
  std::string upper = kWriter;
  for (char& c : upper) c = static_cast<char>(toupper(c));
  expect_login(client, {"connectdb", server_.conninfo(upper, "iam_user")});
  expect_login(client, {"connectdb", server_.conninfo(std::string(kWriter) + ".", "iam_user")});
}

TEST_F(Resolution, PingNeverMints) {
  // Without keys a mint would fail; a ping has no use for one.
  environment_.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY");
  Client client(environment_);
  EXPECT_EQ(client.say({"ping", good_}), "0");  // PQPING_OK
  EXPECT_EQ(client.say({"pingParams", "dbname", good_}), "0");
  EXPECT_EQ(client.say({"ping", server_.conninfo(kWriter, "iam_user", "port=1")}), "2");  // PQPING_NO_RESPONSE
}

TEST_F(Resolution, ConninfoShowsWhatTheUserGave) {
  Client client(environment_);
  expect_login(client, {"connectdb", good_ + " target_session_attrs=read-write application_name=mine"});
  // What a client without the library is shown, connected or not, defaults of its libpq included.
  Client bare(Environment(environment_).unset("LD_PRELOAD"));
  bare.say({"connectdb", good_ + " target_session_attrs=read-write application_name=mine"});
  EXPECT_EQ(client.say({"conninfoAll"}), bare.say({"conninfoAll"}));
  EXPECT_EQ(client.say({"conninfo", "password"}), "(null)");
  EXPECT_EQ(client.say({"conninfo", "target_session_attrs"}), "read-write");
  EXPECT_EQ(client.say({"conninfo", "host"}), kWriter);
  const std::string all = client.say({"conninfoAll"});
  EXPECT_EQ(all.find("X-Amz"), std::string::npos) << all;
  EXPECT_EQ(all.find("/proc/self/fd"), std::string::npos) << all;
  EXPECT_EQ(all.find("~~~"), std::string::npos) << all;
  // PQpass is the live token: libpq's own documentation of it.
  EXPECT_NE(client.say({"pass"}).find("X-Amz-Signature="), std::string::npos);
}

// The probe hides it behind a bad value; wherever the user said it, it must come back.
TEST_F(Resolution, TheSessionThatIsWantedIsKept) {
  const std::string uri = "postgresql://iam_user@" + std::string(kWriter) + ":" + port_ +
                          "/app?hostaddr=127.0.0.1&sslrootcert=" + server_.ca();
  write_file(environment_.home() + "/services", "[replica]\ntarget_session_attrs=standby\n");
  environment_.set("PGSERVICEFILE", environment_.home() + "/services");
  Client client(environment_);
  const auto wanted = [&](const std::string& conninfo) {
    const std::string said = client.say({"connectdb", conninfo});
    return client.say({"conninfo", "target_session_attrs"}) + ": " + said;
  };
  const std::string refused = "server is not in hot standby mode";
  EXPECT_EQ(wanted(good_), "any: OK");
  EXPECT_EQ(wanted(uri), "any: OK");
  for (const std::string& asked :
       {good_ + " target_session_attrs=standby", uri + "&target_session_attrs=standby",
        uri + "&target%5Fsession%5Fattrs=standby", good_ + " service=replica", uri + "&s%65rvice=replica"}) {
    const std::string said = wanted(asked);
    EXPECT_TRUE(said.starts_with("standby: BAD") && said.find(refused) != std::string::npos) << asked << ": " << said;
  }
  client.say({"setenv", "PGTARGETSESSIONATTRS", "standby"});
  EXPECT_TRUE(wanted(good_).starts_with("standby: BAD"));
  EXPECT_EQ(wanted(good_ + " target_session_attrs=any"), "any: OK");
  client.say({"setenv", "PGTARGETSESSIONATTRS", "best"});
  EXPECT_NE(wanted(good_).find("invalid target_session_attrs value: \"best\""), std::string::npos);
}

// The other way about: a setting of the call's that is libpq's default, against an environment or a service that is
// not.
TEST_F(Resolution, ADefaultThatIsSaidIsSaid) {
  write_file(environment_.home() + "/services",
             "[slow]\noptions=-c work_mem=1MB\ntarget_session_attrs=standby\nsslsni=0\n");
  environment_.set("PGSERVICEFILE", environment_.home() + "/services").set("PGOPTIONS", "-c work_mem=2MB");
  environment_.set("PGSSLSNI", "0").set("PGTARGETSESSIONATTRS", "standby");
  Client client(environment_);
  expect_login(client, {"connectdb", good_ + " target_session_attrs=any sslsni=1 options=''"});
  EXPECT_EQ(client.say({"conninfo", "sslsni"}), "1");
  EXPECT_EQ(client.say({"query", "show work_mem"}), "4MB");
  expect_login(client, {"connectdb", good_ + " service=slow target_session_attrs=any sslsni=1 options=''"});
  EXPECT_EQ(client.say({"conninfo", "sslsni"}), "1");
  EXPECT_EQ(client.say({"query", "show work_mem"}), "4MB");
}

TEST_F(Resolution, ATokenSpecStaysATokenSpec) {
  Client client(environment_);
  expect_login(client, {"connectdb", good_ + " passfile=pqmint:rds?region=eu-west-1"});
  EXPECT_EQ(client.say({"conninfo", "passfile"}), "pqmint:rds?region=eu-west-1");
  EXPECT_EQ(client.say({"reconnect"}), "OK");
  expect_login(client, {"connectdb", good_ + " password=pqmint:"});
  EXPECT_EQ(client.say({"conninfo", "password"}), "pqmint:");
  EXPECT_EQ(client.say({"reconnect"}), "OK");
  EXPECT_EQ(client.say({"query", kWho}), "iam_user");
}

TEST_F(Resolution, OtherSettingsReachTheServerUnchanged) {
  Client client(environment_);
  expect_login(client, {"connectdb", good_ + " application_name='a \\'b\\\\ c' options='-c work_mem=12345kB' "
                                             "client_encoding=LATIN1 fallback_application_name=x"});
  EXPECT_EQ(client.say({"query", "show application_name"}), "a 'b\\ c");
  EXPECT_EQ(client.say({"query", "show work_mem"}), "12345kB");
  EXPECT_EQ(client.say({"query", "show client_encoding"}), "LATIN1");
}

// What a server sees of each way to say the same or something odd, with the library and without it: the packet that
// begins a session, and whom the token was made for.
TEST_F(Resolution, TheStartupPacketIsTheSame) {
  FakePostgres fake("accept", true);
  const std::string host = kWriter, port = std::to_string(fake.port());
  Environment bare;
  bare.set("PGPASSWORD", "x");
  for (Environment* e : {&environment_, &bare}) {
    e->set("PGHOSTADDR", "127.0.0.1").set("PGSSLMODE", "require").set("PGDATESTYLE", "German").set("PGTZ", "UTC");
  }
  Client with(environment_), without(bare);
  const std::string address = "host=" + host + " port=" + port + " ";
  for (const std::vector<std::string>& words : {
           std::vector<std::string>{
               "connectdb",
               address +
                   "user='o dd' dbname='d\\'b' client_encoding=auto fallback_application_name=f options='-c x=y'"},
           {"connectdb", "host=elsewhere port=1 user=a " + address + "user=b dbname=c dbname=d"},
           {"connectdb", address + "user=u dbname='' application_name='' fallback_application_name=f"},
           {"connectdb", "postgresql://a:@elsewhere:1/d?host=" + host + "&port=" + port + "&user=b&options=-c%20x%3Dy"},
           {"connectStart", address + "user=u replication=true"},
           {"connectStart", address + "user=u dbname=d replication=database application_name='a b'"},
           {"connectdbParams", "user", "a", "dbname", address + "user=b", "application_name", "x", "user", "c"},
           {"connectdbParams", "dbname", address + "user=b", "dbname", "user=not-expanded", "host", "", "port", "-"},
           {"connectdbParams", "host", "elsewhere", "host", host, "port", port, "user", "u", "dbname", "d"},
           {"connectdbParams0", "host", host, "port", port, "user", "u", "dbname", "host=only-a-name"},
           {"connectStartParams", "dbname", "postgresql://u@" + host + ":" + port, "dbname", "d", "options", "-c x=y"},
           {"setdbLogin", host, port, "-c x=y", "d", "u", "-"},
           {"setdbLogin", host, port, "-", "user=a dbname=e application_name=n", "b", "-"},
           {"setdbLogin", "-", "-", "-", address + "user=a", "b", "-"},
       }) {
    std::string startups[2], token;
    for (const bool is_bare : {false, true}) {
      const std::string before = fake.log();
      Client& client = is_bare ? without : with;
      EXPECT_EQ(client.say(words), "OK") << words[0] << " " << words[1];
      if (!is_bare) token = client.say({"pass"});
      const std::string log = fake.log().substr(before.size());
      const size_t at = log.find("startup ");
      startups[is_bare] = log.substr(at, log.find('\n', at) - at);
    }
    EXPECT_EQ(startups[0], startups[1]);
    const size_t at = startups[0].find(" user=") + 6;
    std::string user = startups[0].substr(at, startups[0].find(" database=") - at);
    if (const size_t blank = user.find(' '); blank != std::string::npos) user.replace(blank, 1, "%20");
    EXPECT_EQ(token.rfind(host + ":" + port + "/?Action=connect&DBUser=" + user + "&", 0), 0u) << startups[0];
  }
}

}  // namespace
}  // namespace pqmint::test
