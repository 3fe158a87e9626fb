// SPDX-License-Identifier: PostgreSQL
// Inside a server: dblink, postgres_fdw and subscriptions of a PostgreSQL that was itself started with the library and
// with cloud credentials. Its superusers may use them, by name; nobody else may.
#include <gtest/gtest.h>
#include <unistd.h>

#include "harness.h"

namespace pqmint::test {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr char kOnlySuperusers[] = "a token is minted for superusers only";

class ServerSide : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Server& server = Server::get();
    server.administer("alter system set wal_level = logical");
    server.restart(Environment().keys().set("PQMINT_TEST_SERVER_PRELOAD", stage() + "/lib/libpqmint.so"));
    server.administer(
        "create extension dblink; create extension postgres_fdw;"
        "grant usage on foreign data wrapper postgres_fdw to plain; grant create on database app to plain;"
        "create schema of_plain authorization plain; grant execute on all functions in schema public to plain");
  }

  // As far as the host and its verification go; what follows decides.
  std::string remote(const std::string& more) const { return server_.conninfo(kWriter, "iam_user", more); }
  std::string by_dblink(const std::string& conninfo) const {
    return "select who from public.dblink('" + conninfo + "', 'select current_user::text') as t(who text)";
  }

  Server& server_ = Server::get();
};

TEST_F(ServerSide, DblinkOfASuperuserMintsWhenAskedByName) {
  server_.verdicts();
  EXPECT_EQ(server_.administer(by_dblink(remote("password=pqmint:rds"))), "iam_user\n");
  EXPECT_TRUE(has(server_.verdicts(), "accept"));
}

TEST_F(ServerSide, TheHostsNameAloneAsksForNothing) {
  const Outcome outcome = server_.as_superuser(by_dblink(remote("")));
  EXPECT_TRUE(has(outcome.err, "no password supplied")) << outcome.out << outcome.err;
}

TEST_F(ServerSide, OthersDoNotBorrowTheServersIdentity) {
  server_.verdicts();
  const std::string by_spec = server_.ask("plain", "plainpw", by_dblink(remote("password=pqmint:rds")));
  EXPECT_TRUE(has(by_spec, kOnlySuperusers)) << by_spec;
  // A foreign server and a mapping of their own.
  const std::string options = "host '" + std::string(kWriter) + "', hostaddr '127.0.0.1', dbname 'app', port '" +
                              std::to_string(server_.port()) + "', sslrootcert '" + server_.ca() + "'";
  const std::string by_mapping =
      server_.ask("plain", "plainpw",
                  "create server cloud foreign data wrapper postgres_fdw options (" + options + ");" +
                      "create user mapping for plain server cloud options (user 'iam_user', password 'pqmint:rds');" +
                      "create foreign table of_plain.orders (id int) server cloud options (schema_name 'public');" +
                      "select count(*) from of_plain.orders");
  EXPECT_TRUE(has(by_mapping, kOnlySuperusers)) << by_mapping;
  EXPECT_EQ(server_.verdicts(), "");
}

// SQL that starts programs of the server's is COPY ... PROGRAM, and there is a role for those who may.
TEST_F(ServerSide, NobodyStartsAProgramByASpec) {
  const std::string canary = "/tmp/pqmint-canary-" + std::to_string(getpid());
  const Outcome outcome = run(
      {kPsql, "-XAtqc", by_dblink(remote("passfile=''pqmint:command?command=touch " + canary + "''")), "-h",
       server_.value("PQMINT_TEST_SOCKET_DIR"), "-p", std::to_string(server_.port()), "-U", "postgres", "-d", "app"},
      Environment());
  EXPECT_TRUE(has(outcome.err, "so none is run")) << outcome.out << outcome.err;
  EXPECT_NE(access(canary.c_str(), F_OK), 0);
}

// A superuser who runs what somebody else has written works for that one meanwhile.
TEST_F(ServerSide, ATrapForASuperuserCatchesNothing) {
  server_.verdicts();
  const std::string made =
      server_.ask("plain", "plainpw",
                  "create function of_plain.trap() returns text language sql security definer as $$" +
                      by_dblink(remote("password=pqmint:rds")) + "$$");
  EXPECT_EQ(made, "");
  const Outcome sprung = server_.as_superuser("select of_plain.trap()");
  EXPECT_TRUE(has(sprung.err, kOnlySuperusers)) << sprung.out << sprung.err;
  EXPECT_EQ(server_.verdicts(), "");
}

// The way to lend it on purpose.
TEST_F(ServerSide, ASuperusersFunctionMayLendIt) {
  server_.administer("create function public.lent() returns text language sql security definer as $$" +
                     by_dblink(remote("password=pqmint:rds")) + "$$; grant execute on function public.lent() to plain");
  EXPECT_EQ(server_.ask("plain", "plainpw", "select public.lent()"), "iam_user\n");
}

TEST_F(ServerSide, ForeignTablesOfASuperuserMint) {
  const std::string options = "host '" + std::string(kWriter) + "', hostaddr '127.0.0.1', dbname 'app', port '" +
                              std::to_string(server_.port()) + "', sslrootcert '" + server_.ca() + "'";
  EXPECT_EQ(server_.administer("create server ours foreign data wrapper postgres_fdw options (" + options + ");" +
                               "create user mapping for postgres server ours options (user 'iam_user', password "
                               "'pqmint:rds');" +
                               "create foreign table orders_there (id int) server ours options (schema_name 'public', "
                               "table_name 'orders'); select count(*) from orders_there"),
            "1000\n");
}

// The worker of a subscription connects outside of any transaction.
TEST_F(ServerSide, SubscriptionsOfASuperuserMint) {
  server_.administer("create publication p for table customers");
  server_.administer("select pg_create_logical_replication_slot('s', 'pgoutput')");
  server_.administer("create table customers (id int)", "restored");
  server_.verdicts();
  server_.administer("create subscription s connection '" + remote("password=pqmint:rds") +
                         "' publication p with (create_slot = false, slot_name = 's', copy_data = false)",
                     "restored");
  std::string worker;
  for (int tries = 0; tries < 100 && worker.empty(); ++tries) {
    worker = server_.administer(
        "select pid from pg_stat_replication where usename = 'iam_user' and pg_sleep(0.1) is not null");
  }
  EXPECT_NE(worker, "") << server_.verdicts();
  server_.administer("alter subscription s disable", "restored");
  server_.administer("alter subscription s set (slot_name = none)", "restored");
  server_.administer("drop subscription s", "restored");
}

}  // namespace
}  // namespace pqmint::test
