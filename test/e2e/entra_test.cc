// SPDX-License-Identifier: PostgreSQL
// Azure Database for PostgreSQL: from a program's connection to the judge's yes, with real RS256 tokens of a fake Entra
// over HTTPS with the test's own authority.
#include <gtest/gtest.h>
#include <json/json.h>
#include <pwd.h>
#include <unistd.h>

#include <sstream>

#include "fake_entra.h"
#include "harness.h"

namespace pqmint::test {
namespace {

constexpr char kAzure[] = "orders.postgres.database.azure.com";
constexpr char kPerson[] = R"("oid":"11111111-aaaa-bbbb-cccc-000000000001","upn":"entra_user@example.com")";
constexpr char kManaged[] =
    R"("oid":"11111111-aaaa-bbbb-cccc-000000000002","idtyp":"app","xms_mirid":"/subscriptions/s/resourcegroups/g/)"
    R"(providers/Microsoft.ManagedIdentity/userAssignedIdentities/my-managed-id")";

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
}

class Entra : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.clock("real");
    entra_.add({"person", "s3cret", kPerson, 3600, ""});
    entra_.add({"managed", "s3cret", kManaged, 3600, ""});
    entra_.add({"nameless", "s3cret", R"("oid":"11111111-aaaa-bbbb-cccc-000000000009","idtyp":"app")", 3600, ""});
    entra_.add({"elsewhere", "s3cret", kPerson, 3600, "https://graph.microsoft.com"});
    entra_.add({"expired", "s3cret", kPerson, -60, ""});
    environment_.set("AZURE_AUTHORITY_HOST", entra_.url())
        .set("PQMINT_UNSAFE_AUTHORITY", "localhost:" + std::to_string(entra_.port()))
        .set("SSL_CERT_FILE", server_.ca())
        .set("AZURE_TENANT_ID", "test-tenant")
        .set("AZURE_CLIENT_SECRET", "s3cret");
    as("person");
  }
  void TearDown() override { server_.clock("real"); }
  void as(const std::string& app) { environment_.set("AZURE_CLIENT_ID", app); }

  std::string conninfo(const std::string& more = "") const {
    return "host=" + std::string(kAzure) + " hostaddr=127.0.0.1 port=" + std::to_string(server_.port()) +
           " dbname=app sslrootcert=" + server_.ca() + " " + more;
  }
  std::string log_in(const std::string& more) { return Client(environment_).say({"connectdb", conninfo(more)}); }
  Outcome check(const std::string& more) {
    return run({stage() + "/bin/pqmint", "check", "--json", conninfo(more)}, environment_);
  }

  Server& server_ = Server::get();
  FakeEntra entra_{server_.value("PQMINT_TEST_CERTIFICATE"), server_.value("PQMINT_TEST_KEY"),
                   server_.value("PQMINT_TEST_ENTRA_KEY")};
  Environment environment_ = Environment().preload();
};

TEST_F(Entra, PsqlLogsIn) {
  server_.verdicts();
  const Outcome psql =
      run({kPsql, "-XAtc", "select current_user", conninfo("user=entra_user@example.com")}, environment_);
  EXPECT_EQ(psql.out, "entra_user@example.com\n") << psql.err;
  expect_contains(server_.verdicts(), "accept entra user=entra_user@example.com");
  ASSERT_EQ(entra_.heard().size(), 1u);
  const Heard heard = entra_.heard()[0];
  EXPECT_EQ(heard.target, "/test-tenant/oauth2/v2.0/token");
  expect_contains(heard.body, "scope=https%3A%2F%2Fossrdbms-aad.database.windows.net%2F.default");
  expect_contains(heard.body, "grant_type=client_credentials");
}

TEST_F(Entra, TheUserComesFromTheTokenUnlessOneIsGiven) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", conninfo()}), "OK");
  EXPECT_EQ(client.say({"query", "select current_user"}), "entra_user@example.com");
  EXPECT_EQ(client.say({"conninfo", "user"}), "entra_user@example.com")
      << "who reconnects with it comes back as the same";
  EXPECT_EQ(client.say({"reconnect"}), "OK");
  EXPECT_EQ(client.say({"reset"}), "OK");
  client.say({"setenv", "AZURE_CLIENT_ID", "managed"});
  ASSERT_EQ(client.say({"connectdb", conninfo()}), "OK");
  EXPECT_EQ(client.say({"query", "select current_user"}), "my-managed-id");
  client.say({"setenv", "PGUSER", "entra_user@example.com"});
  expect_contains(client.say({"connectdb", conninfo()}),
                  "PAM authentication failed for user \"entra_user@example.com\"");
  client.say({"unsetenv", "PGUSER"});
  client.say({"setenv", "AZURE_CLIENT_ID", "nameless"});
  const std::string said = client.say({"connectdb", conninfo()});
  expect_contains(said, "BAD pqmint: no user is given");
  expect_contains(said, "oid=11111111-aaaa-bbbb-cccc-000000000009");
  expect_contains(said, "appid=nameless");
}

TEST_F(Entra, TheDatabaseFollowsTheUser) {
  const std::string url = "postgresql://" + std::string(kAzure) + ":" + std::to_string(server_.port()) +
                          "/?hostaddr=127.0.0.1&sslrootcert=" + server_.ca();
  // libpq's default for the database is the user's name, and there is no such database.
  expect_contains(Client(environment_).say({"connectdb", url}), "database \"entra_user@example.com\" does not exist");
}

// As in a container whose user and database are both called "app".
TEST_F(Entra, ADatabaseThatIsNamedStaysWhateverItsName) {
  const std::string name = getpwuid(geteuid())->pw_name;
  const std::string missing = "database \"" + name + "\" does not exist";
  const std::string nameless = "host=" + std::string(kAzure) + " hostaddr=127.0.0.1 sslrootcert=" + server_.ca() +
                               " port=" + std::to_string(server_.port()) + " ";
  Client client(environment_);
  const auto database = [&](const std::string& conninfo) { return client.say({"connectdb", nameless + conninfo}); };
  expect_contains(database("dbname=" + name), missing);
  expect_contains(database("user='' dbname=" + name), missing);
  expect_contains(database("user='' dbname=''"), "database \"entra_user@example.com\" does not exist");
  write_file(environment_.home() + "/services", "[named]\ndbname=" + name + "\n");
  client.say({"setenv", "PGSERVICEFILE", environment_.home() + "/services"});
  expect_contains(database("service=named"), missing);
  client.say({"setenv", "PGDATABASE", name});
  expect_contains(database(""), missing);
  client.say({"setenv", "PGDATABASE", ""});
  expect_contains(database(""), "database \"entra_user@example.com\" does not exist");
  const Outcome asked = run({stage() + "/bin/pqmint", "check", "--json", nameless + "dbname=" + name}, environment_);
  expect_contains(asked.out, "\"dbname\" : \"" + name + "\"");
  const Outcome silent = run({stage() + "/bin/pqmint", "check", "--json", nameless}, environment_);
  expect_contains(silent.out, "\"dbname\" : \"entra_user@example.com\"");
}

// libpq takes an empty name for none, wherever it stands.
TEST_F(Entra, AnEmptyUserIsNone) {
  write_file(environment_.home() + "/services", "[empty]\nuser=\n");
  environment_.set("PGSERVICEFILE", environment_.home() + "/services");
  Client client(environment_);
  const auto user = [&](const std::string& more) {
    const std::string said = client.say({"connectdb", conninfo(more)});
    return said == "OK" ? client.say({"query", "select current_user"}) : said;
  };
  for (const char* more : {"user=''", "service=empty"}) EXPECT_EQ(user(more), "entra_user@example.com") << more;
  client.say({"setenv", "PGUSER", ""});
  for (const char* more : {"", "user=''", "service=empty"}) EXPECT_EQ(user(more), "entra_user@example.com") << more;
  EXPECT_EQ(user("user=entra_user@example.com"), "entra_user@example.com");
  // What stands in the conninfo or the service file hides what the environment says.
  client.say({"setenv", "PGUSER", "somebody"});
  for (const char* more : {"user=''", "service=empty"}) EXPECT_EQ(user(more), "entra_user@example.com") << more;
  expect_contains(user(""), "for user \"somebody\"");
}

// Who names the user that the operating system knows means that one.
TEST_F(Entra, TheOperatingSystemsUserMayBeNamed) {
  const std::string name = getpwuid(geteuid())->pw_name;
  Client client(environment_);
  expect_contains(client.say({"connectdb", conninfo("user=" + name)}), "for user \"" + name + "\"");
  client.say({"setenv", "PGUSER", name});
  expect_contains(client.say({"connectdb", conninfo()}), "for user \"" + name + "\"");
}

TEST_F(Entra, AServiceFileMayNameTheUser) {
  write_file(environment_.home() + "/.pg_service.conf",
             "[named]\n"
             "host=" +
                 std::string(kAzure) + "\nuser=my-managed-id\n[silent]\nhost=" + kAzure + "\n");
  as("managed");
  const std::string rest =
      " hostaddr=127.0.0.1 dbname=app port=" + std::to_string(server_.port()) + " sslrootcert=" + server_.ca();
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", "service=named" + rest}), "OK");
  client.say({"setenv", "AZURE_CLIENT_ID", "person"});
  expect_contains(client.say({"connectdb", "service=named" + rest}), "for user \"my-managed-id\"");
  EXPECT_EQ(client.say({"connectdb", "service=silent" + rest}), "OK");
  EXPECT_EQ(client.say({"query", "select current_user"}), "entra_user@example.com");
}

TEST_F(Entra, WhatTheServerRefusesIsExplained) {
  as("elsewhere");
  const std::string audience = log_in("user=entra_user@example.com");
  expect_contains(audience, "PAM authentication failed");
  expect_contains(audience, "the server refused a token of Microsoft Entra for user \"entra_user@example.com\"");
  expect_contains(server_.verdicts(), "reason=wrong audience");
  as("expired");
  expect_contains(log_in("user=entra_user@example.com"), "oid=11111111-aaaa-bbbb-cccc-000000000001");
  expect_contains(server_.verdicts(), "reason=expired");
  as("person");
  expect_contains(log_in("user=my-managed-id"), "pgaadauth_create_principal");
  expect_contains(server_.verdicts(), "reason=wrong oid for this role");
}

TEST_F(Entra, WhatEntraRefusesStopsTheChain) {
  environment_.set("AZURE_CLIENT_SECRET", "wr0ng");
  const std::string said = log_in("user=entra_user@example.com");
  for (const char* part :
       {"BAD pqmint: ", "AADSTS7000215", "55555555-6666-7777-8888-999999999999", "AZURE_CLIENT_SECRET"}) {
    expect_contains(said, part);
  }
  EXPECT_EQ(said.find("wr0ng"), std::string::npos);
  as("unknown");
  expect_contains(log_in("user=entra_user@example.com"), "AADSTS700016");
}

TEST_F(Entra, ThreadsFromColdAskOnce) {
  Client client(environment_);
  EXPECT_EQ(client.say({"threads", "16", conninfo("user=entra_user@example.com"), "select 1"}), "1");
  EXPECT_EQ(entra_.heard().size(), 1u);
}

TEST_F(Entra, OneTokenServesAllConnections) {
  Client client(environment_);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(client.say({"connectdb", conninfo("user=entra_user@example.com")}), "OK");
  EXPECT_EQ(client.say({"threads", "16", conninfo("user=entra_user@example.com"), "select 1"}), "1");
  EXPECT_EQ(entra_.heard().size(), 1u);
  // Another identity has another token.
  EXPECT_EQ(
      client.say({"connectdb", conninfo("user=my-managed-id passfile=pqmint:entra?client_id=managed")}).substr(0, 3),
      "BAD")
      << "the secret in the environment is not this client's";
  client.say({"setenv", "AZURE_CLIENT_ID", "managed"});
  EXPECT_EQ(client.say({"connectdb", conninfo("user=my-managed-id")}), "OK");
  EXPECT_EQ(entra_.heard().size(), 2u);
}

TEST_F(Entra, ATokenThatTheServerTakesForExpiredIsAskedForAnewOnce) {
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", conninfo("user=entra_user@example.com")}), "OK");
  server_.clock("+7200");
  server_.verdicts();
  client.say({"connectdb", conninfo("user=entra_user@example.com")});
  EXPECT_EQ(entra_.heard().size(), 2u) << "the one from memory was refused, so one fresh one was tried";
  const std::string verdicts = server_.verdicts();
  EXPECT_NE(verdicts.find("expired"), verdicts.rfind("expired"));
  client.say({"connectdb", conninfo("user=entra_user@example.com")});
  EXPECT_LE(entra_.heard().size(), 3u);
}

TEST_F(Entra, SecretsGoToMicrosoftAlone) {
  environment_.unset("PQMINT_UNSAFE_AUTHORITY");
  expect_contains(log_in("user=u"), "none of Microsoft's authorities");
  environment_.set("PQMINT_UNSAFE_AUTHORITY", "localhost");
  expect_contains(log_in("user=u"), "none of Microsoft's authorities");
  environment_.set("AZURE_AUTHORITY_HOST", "http://localhost:" + std::to_string(entra_.port()));
  expect_contains(log_in("user=u"), "must use the 'https' protocol");
  EXPECT_TRUE(entra_.heard().empty());
}

TEST_F(Entra, TheAuthorityIsVerified) {
  environment_.unset("SSL_CERT_FILE");
  const std::string said = log_in("user=u");
  expect_contains(said, "BAD pqmint: ");
  expect_contains(said, "certificate");
  EXPECT_TRUE(entra_.heard().empty());
}

TEST_F(Entra, NobodyLoggedInListsEverySource) {
  for (const char* name : {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}) environment_.unset(name);
  environment_.set("PATH", environment_.home());
  const std::string said = log_in("user=u");
  expect_contains(said, "BAD pqmint: no Microsoft Entra token: ");
  for (const char* part : {"environment: ", "workload-identity: ", "managed-identity: ", "azure-cli: ",
                           "azure-powershell: ", "azure-developer-cli: ", "az login"}) {
    expect_contains(said, part);
  }
}

TEST_F(Entra, TheAzureCli) {
  for (const char* name : {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}) environment_.unset(name);
  const std::string token = entra_.sign(std::string(R"("aud":"https://ossrdbms-aad.database.windows.net","exp":)") +
                                        std::to_string(time(nullptr) + 3600) + "," + kPerson);
  write_file(environment_.home() + "/az",
             "#!/bin/sh\n[ -z \"$LD_PRELOAD\" ] || exit 9\necho \"$@\" >" + environment_.home() +
                 "/asked\nprintf '%s' '{\"accessToken\":\"" + token +
                 "\",\"expires_on\":" + std::to_string(time(nullptr) + 3600) + ",\"tokenType\":\"Bearer\"}'\n",
             0700);
  environment_.set("PATH", environment_.home() + ":/usr/bin:/bin").set("AZURE_TOKEN_CREDENTIALS", "dev");
  EXPECT_EQ(log_in(""), "OK");
  EXPECT_EQ(read_file(environment_.home() + "/asked"),
            "account get-access-token --output json --resource https://ossrdbms-aad.database.windows.net\n");
}

TEST_F(Entra, ManagedIdentityOfAnAppService) {
  for (const char* name : {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}) environment_.unset(name);
  const std::string token = entra_.sign(std::string(R"("aud":"https://ossrdbms-aad.database.windows.net","exp":)") +
                                        std::to_string(time(nullptr) + 3600) + "," + kManaged);
  HttpServer platform([&](const Heard&) {
    return Reply{200, "{\"access_token\":\"" + token + "\",\"expires_on\":\"" + std::to_string(time(nullptr) + 3600) +
                          "\",\"resource\":\"r\",\"token_type\":\"Bearer\"}"};
  });
  environment_.set("IDENTITY_ENDPOINT", platform.url() + "/msi/token").set("IDENTITY_HEADER", "header-secret");
  EXPECT_EQ(log_in(""), "OK");
  ASSERT_EQ(platform.count(), 1u);
  EXPECT_EQ(platform.heard()[0].headers.at("x-identity-header"), "header-secret");
}

TEST_F(Entra, AMachineWhoseServiceIsGoneDoesNotBecomeThePersonWhoIsLoggedIn) {
  for (const char* name : {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}) environment_.unset(name);
  const auto token = [&](const char* whose, long life) {
    return entra_.sign(std::string(R"("aud":"https://ossrdbms-aad.database.windows.net","exp":)") +
                       std::to_string(time(nullptr) + life) + "," + whose);
  };
  write_file(environment_.home() + "/az",
             "#!/bin/sh\nprintf '%s' '{\"accessToken\":\"" + token(kPerson, 3600) +
                 "\",\"expires_on\":" + std::to_string(time(nullptr) + 3600) + "}'\n",
             0700);
  // In the last 5 minutes of its life it is asked for anew at once.
  auto service = std::make_unique<HttpServer>([&](const Heard&) {
    return Reply{200, "{\"access_token\":\"" + token(kManaged, 290) + "\",\"expires_in\":\"290\"}"};
  });
  environment_.set("PATH", environment_.home() + ":/usr/bin:/bin")
      .set("AZURE_POD_IDENTITY_AUTHORITY_HOST", service->url());
  Client client(environment_);
  ASSERT_EQ(client.say({"connectdb", conninfo()}), "OK");
  EXPECT_EQ(client.say({"query", "select current_user"}), "my-managed-id");
  EXPECT_EQ(service->count(), 1u);
  service.reset();
  ASSERT_EQ(client.say({"connectdb", conninfo()}), "OK");
  EXPECT_EQ(client.say({"query", "select current_user"}), "my-managed-id");
  // In a process that never saw it, the machine has none.
  Client another(environment_);
  ASSERT_EQ(another.say({"connectdb", conninfo()}), "OK");
  EXPECT_EQ(another.say({"query", "select current_user"}), "entra_user@example.com");
}

TEST_F(Entra, CheckTellsWhatWouldBeDone) {
  const Outcome outcome = check("");
  Json::Value report;
  std::istringstream in(outcome.out);
  ASSERT_TRUE(Json::parseFromStream(Json::CharReaderBuilder(), in, &report, nullptr)) << outcome.out << outcome.err;
  EXPECT_EQ(report["user"].asString(), "entra_user@example.com");
  const Json::Value& host = report["hosts"][0];
  EXPECT_EQ(host["provider"].asString(), "entra");
  EXPECT_EQ(host["kind"].asString(), "azure");
  EXPECT_EQ(host["credential"]["source"].asString(), "client-secret");
  expect_contains(host["credential"]["identity"].asString(), "appid=person");
  EXPECT_EQ(host["tls"]["sslmode"].asString(), "verify-full");
  EXPECT_TRUE(host["region"].isNull());
  const Outcome token = run({stage() + "/bin/pqmint", "token", conninfo()}, environment_);
  EXPECT_EQ(token.out.substr(0, 3), "eyJ");
}

TEST_F(Entra, APasswordThatIsAWebTokenCountsAsNone) {
  environment_.set("PGPASSWORD", entra_.sign(R"("aud":"old","exp":1)"));
  EXPECT_EQ(log_in("user=entra_user@example.com"), "OK");
}

}  // namespace
}  // namespace pqmint::test
