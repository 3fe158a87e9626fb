// SPDX-License-Identifier: PostgreSQL
// What a host program may do to itself while pqmint is in it: signals, forks, ends, limits.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "fake_aws.h"
#include "harness.h"

namespace pqmint::test {
namespace {

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
}

class Host : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = make_folder();
    const Outcome made = run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                              "-nodes", "-subj", "/CN=server", "-keyout", folder_ + "/key", "-out", folder_ + "/crt"},
                             Environment());
    ASSERT_EQ(made.status, 0) << made.err;
  }
  static std::string target(int port, const std::string& more = "") {
    return "host=" + std::string(kWriter) +
           " hostaddr=127.0.0.1 user=u dbname=d sslmode=require port=" + std::to_string(port) + " " + more;
  }
  std::string good(const std::string& more = "") const { return target(server_.port(), more); }
  static std::string refused(const std::string& more = "") { return target(closed_port(), more); }

  static std::string folder_;
  FakePostgres server_{"accept", folder_ + "/crt", folder_ + "/key"};
  Environment environment_ = Environment().preload().keys();
};
std::string Host::folder_;

// The command raises the signal while its caller waits for it, inside of pqmint.
TEST_F(Host, AHandlerThatConnectsMeanwhileGetsThePlainCall) {
  Client client(environment_);
  const std::string command = environment_.home() + "/token";
  write_file(command, "#!/bin/sh\nkill -USR1 " + std::to_string(client.pid()) + "\necho a-token\n", 0700);
  const std::string asked = good("passfile=pqmint:command?command=" + command);
  client.say({"onSignal", good()});
  EXPECT_EQ(client.say({"connectdb", asked}), "OK");
  expect_contains(client.say({"onSignalSaid"}), "no password supplied");
  // Outside of it the same handler's connection is one like any other.
  Client outside(environment_);
  outside.say({"onSignal", good()});
  ASSERT_EQ(kill(outside.pid(), SIGUSR1), 0);
  EXPECT_EQ(outside.say({"connectdb", good()}), "OK");
  EXPECT_EQ(outside.say({"onSignalSaid"}), "OK");
}

TEST_F(Host, AnExitHandlerMayConnect) {
  for (const char* how : {"exit", "quick_exit", "pthread_exit"}) {
    Client client(environment_);
    EXPECT_EQ(client.say({"leave", how, good()}), "OK") << how;
    EXPECT_EQ(client.finish(), 0) << how;
  }
  Client client(environment_);
  client.write_line("leave\t_exit\t" + good());
  EXPECT_EQ(client.finish(), 0);
}

// While credentials are fetched it waits, and is cancelled afterwards; the host goes on, and so does who else connects.
TEST_F(Host, AThreadThatIsCancelledTakesNobodyWithIt) {
  const HttpServer sts([](const Heard&) {
    Reply reply = assumed_role();
    reply.delay = std::chrono::milliseconds(700);
    return reply;
  });
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url());
  const std::string role = good("passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/One");
  Client client(environment_);
  EXPECT_EQ(client.say({"cancel", role, "200"}), "cancelled");
  EXPECT_EQ(client.say({"connectdb", role}), "OK");
  EXPECT_EQ(sts.count(), 1u) << "what was fetched is there";
}

// A worker forked before anything was fetched, and one that finds what its parent has, its modules and libcurl.
TEST_F(Host, WorkersThatAreForkedFetchForThemselves) {
  const HttpServer sts([](const Heard&) { return assumed_role(); });
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url());
  const auto as = [this](const char* role) {
    return good(std::string("passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/") + role);
  };
  Client client(environment_);
  EXPECT_EQ(client.say({"fork", as("One")}), "OK / OK");
  EXPECT_EQ(sts.count(), 2u) << "each by itself";
  EXPECT_EQ(client.say({"fork", as("One")}), "OK / OK");
  EXPECT_EQ(sts.count(), 2u) << "what the parent had";
  EXPECT_EQ(client.say({"fork", as("Two")}), "OK / OK");
  EXPECT_EQ(sts.count(), 4u);
}

TEST_F(Host, ChangedKeysAreAnotherIdentityAtOnce) {
  const HttpServer sts([](const Heard& heard) {
    const std::string id = heard.body.find("role%2FOne") != std::string::npos ? "ASIAONE" : "ASIATWO";
    return Reply{200,
                 "<R><Credentials><AccessKeyId>" + id +
                     "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
                     "<Expiration>2099-01-15T12:34:56Z</Expiration></Credentials></R>",
                 {{"Content-Type", "text/xml"}}};
  });
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url());
  std::filesystem::create_directory(environment_.home() + "/.aws");
  write_file(environment_.home() + "/.aws/credentials",
             "[one]\naws_access_key_id = AKIAPROFILEONE\naws_secret_access_key = s\n"
             "[two]\naws_access_key_id = AKIAPROFILETWO\naws_secret_access_key = s\n");
  Client client(environment_);
  const auto signer = [&](const std::string& spec) {
    EXPECT_EQ(client.say({"connectdb", good(spec)}), "OK");
    const std::string token = client.say({"pass"});
    const size_t at = token.find("X-Amz-Credential=") + 17;
    return token.substr(at, token.find('%', at) - at);
  };
  const std::string role = "passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/";
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(signer("passfile=pqmint:rds?profile=one"), "AKIAPROFILEONE");
    EXPECT_EQ(signer("passfile=pqmint:rds?profile=two"), "AKIAPROFILETWO");
    EXPECT_EQ(signer(role + "One"), "ASIAONE");
    EXPECT_EQ(signer(role + "Two"), "ASIATWO");
  }
  EXPECT_EQ(sts.count(), 2u);
  EXPECT_EQ(signer(""), "AKIAIOSFODNN7EXAMPLE");
  client.say({"setenv", "AWS_ACCESS_KEY_ID", "AKIACHANGED"});
  EXPECT_EQ(signer(""), "AKIACHANGED");
  EXPECT_EQ(signer(role + "One"), "ASIAONE");
  EXPECT_EQ(sts.count(), 3u) << "another's keys assume it by themselves";
}

// PQconnectStart waits for a token as PQconnectdb does, and no longer.
TEST_F(Host, AConnectThatPollsIsToldWhenItsTokenIsNotDone) {
  const std::string command = environment_.home() + "/token";
  write_file(command, "#!/bin/sh\nexec sleep 60\n", 0700);
  Client client(environment_);
  expect_contains(client.say({"connectStart", good("passfile=pqmint:command?timeout=1&command=" + command)}),
                  "it was not done in time");
}

// From no room at all to enough of it, in a process that uses pqmint for the first time.
TEST_F(Host, ALimitOnMemoryIsAFailedConnection) {
  if (getenv("PQMINT_TEST_PRELOAD")) GTEST_SKIP() << "a sanitizer's runtime takes terabytes of addresses";
  const HttpServer sts([](const Heard&) { return Reply{403, "<Error><Code>AccessDenied</Code></Error>"}; });
  environment_.set("AWS_ENDPOINT_URL_STS", sts.url());
  // Nobody listens: what OpenSSL makes of TLS without memory is its own.
  for (const auto& [more, enough] :
       {std::pair{"sslrootcert=/dev/null", "Connection refused"},
        {"passfile=pqmint:rds?role_arn=arn:aws:iam::123456789012:role/App", "AccessDenied"}}) {
    Client client(environment_);
    const std::string said = client.say({"starve", "1048576", "50331648", refused(more)});
    expect_contains(said, "pqmint: cannot load ");
    // One of libpq's answers or of ours, and nothing before it: neither a word on stderr nor a crash.
    const std::string all = said + " / ";
    for (size_t at = 0, end; (end = all.find(" / ", at)) != std::string::npos; at = end + 3) {
      const std::string answer = all.substr(at, end - at);
      EXPECT_TRUE(answer == "NULL" || answer.starts_with("pqmint: ") || answer.starts_with("connection to server at "))
          << answer;
    }
    expect_contains(said.substr(said.rfind(" / ")), enough);
  }
}

TEST_F(Host, AFullDiskBehindStderrStopsNothing) {
  const std::string psql = "exec " + std::string(kPsql) + " -XAtc 'select 1' '" + good() + "' 2>/dev/full";
  environment_.unset("PQMINT_LOG_FILE");
  EXPECT_EQ(run({"/bin/sh", "-c", psql}, environment_).out, "1\n");
  environment_.set("PQMINT_LOG_FILE", "/dev/full");
  EXPECT_EQ(run({"/bin/sh", "-c", psql}, environment_).out, "1\n");
}

TEST_F(Host, APortThatRefusesManyTimesCostsNothing) {
  environment_.unset("PQMINT_LOG");
  Client client(environment_);
  const std::string nobody = refused();
  // As many as the memory of minted tokens holds; after that it only changes.
  client.say({"repeat", "1100", nobody});
  const std::string descriptors = client.say({"fds"});
  EXPECT_LT(std::stol(client.say({"repeat", "2000", nobody})), 4096);
  EXPECT_EQ(client.say({"fds"}), descriptors);
}

}  // namespace
}  // namespace pqmint::test
