// SPDX-License-Identifier: PostgreSQL
// Programs that have nothing to do with libpq, or come to it in unusual ways.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "harness.h"

namespace pqmint::test {
namespace {

namespace fs = std::filesystem;

class Programs : public ::testing::Test {
 protected:
  Environment environment_ = Environment().preload().keys();
  Server& server_ = Server::get();
  std::string good_ = server_.conninfo(kWriter, "iam_user");
};

TEST_F(Programs, WithoutLibpqNothingChangesAndNothingIsLoaded) {
  for (const std::vector<std::string>& argv :
       {std::vector<std::string>{"/bin/true"},
        {"/bin/false"},
        {"/bin/echo", "a", "b"},
        {"/bin/ls", "/proc/self/fd"},
        {"/usr/bin/python3", "-c", "print(open('/proc/self/maps').read().count('core.so'))"}}) {
    const Outcome with = run(argv, environment_), without = run(argv, Environment());
    EXPECT_EQ(with.status, without.status) << argv[0];
    EXPECT_EQ(with.out, without.out) << argv[0];
    EXPECT_EQ(with.err, without.err) << argv[0];
  }
}

TEST_F(Programs, AnUnmanagedConnectionLoadsNothing) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", "host=localhost hostaddr=127.0.0.1 port=" + std::to_string(server_.port()) +
                                         " user=plain password=plainpw dbname=app"}),
            "OK");
  const std::string maps = read_file("/proc/" + std::to_string(client.pid()) + "/maps");
  EXPECT_NE(maps.find("libpqmint.so"), std::string::npos);
  EXPECT_EQ(maps.find("core.so"), std::string::npos);
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
  const std::string later = read_file("/proc/" + std::to_string(client.pid()) + "/maps");
  EXPECT_NE(later.find("core.so"), std::string::npos);
  EXPECT_EQ(later.find("net.so"), std::string::npos);
  EXPECT_EQ(later.find("libcurl"), std::string::npos);
  EXPECT_EQ(later.find("libjsoncpp"), std::string::npos);
}

// psycopg2 comes to libpq by dlopen with RTLD_LOCAL: RTLD_NEXT sees nothing there.
TEST_F(Programs, Psycopg2) {
  const std::string script =
      "import psycopg2, sys\nc = psycopg2.connect(sys.argv[1])\nk = c.cursor()\nk.execute('select current_user')\n"
      "print(k.fetchone()[0])\n";
  const Outcome python = run({"/usr/bin/python3", "-c", script, good_}, environment_);
  EXPECT_EQ(python.out, "iam_user\n") << python.err;
}

TEST_F(Programs, Psycopg2Asynchronously) {
  const std::string script =
      "import psycopg2, psycopg2.extras, sys\nc = psycopg2.connect(sys.argv[1], async_=1)\n"
      "psycopg2.extras.wait_select(c)\nk = c.cursor()\nk.execute('select current_user')\n"
      "psycopg2.extras.wait_select(c)\nprint(k.fetchone()[0])\n";
  const Outcome python = run({"/usr/bin/python3", "-c", script, good_}, environment_);
  EXPECT_EQ(python.out, "iam_user\n") << python.err;
}

TEST_F(Programs, PsqlByUriServiceAndEnvironment) {
  const std::string port = std::to_string(server_.port());
  environment_.set("PGHOSTADDR", "127.0.0.1").set("PGSSLROOTCERT", server_.ca());
  const auto who = [&](std::vector<std::string> more) {
    std::vector<std::string> argv = {kPsql, "-XAtc", "select current_user"};
    argv.insert(argv.end(), more.begin(), more.end());
    const Outcome psql = run(argv, environment_);
    return psql.out + psql.err;
  };
  EXPECT_EQ(who({"-h", kWriter, "-p", port, "-U", "iam_user", "-d", "app"}), "iam_user\n");
  EXPECT_EQ(who({"postgresql://iam_user@" + std::string(kWriter) + ":" + port + "/app"}), "iam_user\n");
  // The example file that the project ships: each of its entries logs in.
  environment_.set("PGSERVICEFILE", source("pg_service.conf.example")).set("PGPORT", port);
  environment_.set("AWS_SHARED_CREDENTIALS_FILE", environment_.home() + "/credentials");
  write_file(environment_.home() + "/credentials",
             "[prod]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\n"
             "aws_secret_access_key = je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY\n");
  for (const auto& [service, user] : {std::pair{"orders", "iam_user"},
                                      {"orders-read", "iam_user"},
                                      {"orders-prod", "iam_user"},
                                      {"orders-tunnel", "iam_user"},
                                      {"ledger", "dsql_app"},
                                      {"ledger-admin", "admin"}}) {
    // Each host of the entry is the local server.
    const bool two_hosts = std::string(service) == "orders-read";
    environment_.set("PGHOSTADDR", two_hosts ? "127.0.0.1,127.0.0.1" : "127.0.0.1");
    EXPECT_EQ(who({"service=" + std::string(service)}), std::string(user) + "\n") << service;
  }
}

TEST_F(Programs, TheWrapperScriptOfDebian) {
  const Outcome psql = run({"/usr/bin/psql", "-XAtc", "select current_user", good_}, environment_);
  EXPECT_EQ(psql.out, "iam_user\n") << psql.err;
}

TEST_F(Programs, EveryToolOfPostgres) {
  for (const std::vector<std::string>& argv : {std::vector<std::string>{"pg_dump", "-s", "-d", good_},
                                               {"vacuumdb", "-j", "2", "-d", good_},
                                               {"reindexdb", "-d", good_},
                                               {"pg_isready", "-d", good_}}) {
    std::vector<std::string> full = argv;
    full[0] = kBin + argv[0];
    const Outcome outcome = run(full, environment_);
    EXPECT_EQ(outcome.status, 0) << argv[0] << ": " << outcome.err;
  }
}

// pg_basebackup -R writes the settings of its connection to disk, for a standby to use later.
TEST_F(Programs, BasebackupWritesNoTokenToDisk) {
  const std::string folder = environment_.home() + "/backup";
  const Outcome backup = run({std::string(kBin) + "pg_basebackup", "-R", "-D", folder, "-X", "stream", "-c", "fast",
                              "-d", good_ + "passfile=pqmint:rds"},
                             environment_);
  ASSERT_EQ(backup.status, 0) << backup.err;
  const std::string written = read_file(folder + "/postgresql.auto.conf");
  EXPECT_NE(written.find("passfile=''pqmint:rds''"), std::string::npos) << written;
  EXPECT_EQ(written.find("X-Amz"), std::string::npos) << written;
  EXPECT_EQ(written.find("/proc/self/fd"), std::string::npos) << written;
}

class Setuid : public Programs {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can make a setuid copy for another user";
    fs::copy_file(kPsql, psql_);
    chmod(environment_.home().c_str(), 0755);
  }
  void make_setuid() {
    ASSERT_EQ(chown(psql_.c_str(), 65534, 65534), 0);
    ASSERT_EQ(chmod(psql_.c_str(), 04755), 0);
  }
  Outcome select(const std::string& more = "") {
    return run({psql_, "-XwAtc", "select current_user", good_ + more}, environment_);
  }
  std::string psql_ = environment_.home() + "/psql";
};

// The loader ignores the preload, and what such a program connects with is its own business.
TEST_F(Setuid, ProgramsAreLeftAloneByTheLoader) {
  make_setuid();
  const Outcome psql = select();
  EXPECT_NE(psql.status, 0);
  EXPECT_NE(psql.err.find("no password supplied"), std::string::npos) << psql.err;
}

// One that needs the library, so that the loader's rule does not reach it: pqmint's own does.
TEST_F(Setuid, ProgramsThatNeedTheLibraryAreLeftAloneByIt) {
  const std::string library = environment_.home() + "/lib", canary = environment_.home() + "/canary";
  fs::copy(stage() + "/lib", library, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  ASSERT_EQ(run({"patchelf", "--add-needed", library + "/libpqmint.so", psql_}, Environment()).status, 0);
  environment_.unset("LD_PRELOAD");
  write_file(environment_.home() + "/token", "#!/bin/sh\necho run >" + canary + "\n", 0755);
  const std::string command = "passfile=pqmint:command?command=" + environment_.home() + "/token";
  EXPECT_EQ(select().out, "iam_user\n");
  select(command);
  EXPECT_TRUE(fs::remove(canary)) << "without the bit it is served";
  chmod(environment_.home().c_str(), 0777);
  make_setuid();
  for (const std::string& more : {std::string(), command}) {
    const Outcome psql = select(more);
    EXPECT_NE(psql.status, 0);
    EXPECT_NE(psql.err.find("no password supplied"), std::string::npos) << psql.err;
  }
  EXPECT_FALSE(fs::exists(canary));
}

}  // namespace
}  // namespace pqmint::test
