// SPDX-License-Identifier: PostgreSQL
// When no token can be made: a real PGconn with one sentence, no prompt, nothing on stderr, and the program goes on.
#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "fake_aws.h"
#include "harness.h"

namespace pqmint::test {
namespace {

namespace fs = std::filesystem;

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
}

class Failure : public ::testing::Test {
 protected:
  Environment environment_ = Environment().preload();
  Server& server_ = Server::get();
  std::string good_ = server_.conninfo(kWriter, "iam_user");

  static void expect_sentence(const std::string& said) { EXPECT_EQ(said.rfind("BAD pqmint: ", 0), 0u) << said; }
};

TEST_F(Failure, NoCredentialsListsWhereTheyWereSought) {
  Client client(environment_);
  const std::string said = client.say({"connectdb", good_});
  expect_sentence(said);
  for (const char* part : {"AWS_ACCESS_KEY_ID", "profile \"default\"", ".aws/credentials", "container", "imds"})
    expect_contains(said, part);
}

TEST_F(Failure, ThePgconnIsARealOne) {
  Client client(environment_);
  expect_sentence(client.say({"connectdb", good_ + "target_session_attrs=any application_name=mine"}));
  EXPECT_EQ(client.say({"needsPassword"}), "0");
  Client bare(Environment(environment_).unset("LD_PRELOAD"));
  bare.say({"connectdb", good_ + "target_session_attrs=any application_name=mine"});
  EXPECT_EQ(client.say({"conninfoAll"}), bare.say({"conninfoAll"}));
  // A reset cannot help it, and does not take the sentence away.
  expect_sentence(client.say({"reset"}));
  expect_sentence(client.say({"resetStart"}));
  EXPECT_EQ(client.say({"finish"}), "done");
  // The next connection is a new chance.
  client.say({"setenv", "AWS_ACCESS_KEY_ID", kKeyId});
  client.say({"setenv", "AWS_SECRET_ACCESS_KEY", kSecretKey});
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
}

TEST_F(Failure, EveryEntryPointSaysIt) {
  Client client(environment_);
  client.say({"setenv", "PGHOSTADDR", "127.0.0.1"});
  for (const std::vector<std::string>& words : {std::vector<std::string>{"connectdb", good_},
                                                {"connectStart", good_},
                                                {"connectdbParams", "dbname", good_},
                                                {"connectStartParams", "host", kWriter, "user", "x"},
                                                {"setdbLogin", kWriter, "-", "-", "app", "x", "-"}}) {
    expect_sentence(client.say(words));
  }
}

TEST_F(Failure, PsqlSaysItAndDoesNotPrompt) {
  const Outcome psql = run({kPsql, "-X", "-c", "select 1", good_}, environment_, "a-typed-password\n");
  EXPECT_EQ(psql.status, 2);
  EXPECT_EQ(psql.err.rfind("psql: error: pqmint: no AWS credentials found", 0), 0u) << psql.err;
  EXPECT_EQ(psql.out, "");
  EXPECT_EQ(psql.err.find("Password"), std::string::npos);
}

TEST_F(Failure, AWrongKeyIsRejectedByTheServerOnce) {
  environment_.set("AWS_ACCESS_KEY_ID", kKeyId).set("AWS_SECRET_ACCESS_KEY", "not-the-secret");
  server_.verdicts();
  const Outcome psql = run({kPsql, "-X", "-c", "select 1", good_}, environment_, "a-typed-password\n");
  EXPECT_EQ(psql.status, 2);
  expect_contains(psql.err, "PAM authentication failed for user \"iam_user\"");
  EXPECT_EQ(psql.err.find("no encryption"), std::string::npos) << psql.err;
  // Below the server's words, what pqmint knows: what was signed, by whom, and the likely causes.
  for (const char* part :
       {"\npqmint: the server refused a token that was signed for orders.cluster-c9akciq32", "user \"iam_user\"",
        "region eu-west-1 (from host)", "AKIA...MPLE (environment)", "GRANT rds_iam TO \"iam_user\"", "clock"}) {
    expect_contains(psql.err, part);
  }
  EXPECT_EQ(psql.err.find("not-the-secret"), std::string::npos);
  const std::string verdicts = server_.verdicts();
  EXPECT_EQ(verdicts.find("reject"), verdicts.rfind("reject")) << verdicts;
}

// A program that connects without blocking, psql from 17 on among them, is told as much.
TEST_F(Failure, ARefusalIsExplainedToWhoPolls) {
  environment_.set("AWS_ACCESS_KEY_ID", kKeyId).set("AWS_SECRET_ACCESS_KEY", "not-the-secret");
  Client client(environment_);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"connectStart", good_}, {"connectStartParams", "dbname", good_}}) {
    const std::string said = client.say(words);
    expect_contains(said, "PAM authentication failed");
    expect_contains(said, "|pqmint: the server refused a token that was signed for");
    expect_contains(said, "GRANT rds_iam");
  }
  // libpq says which password file the refused password is from, and ours is nobody's business.
  FakePostgres fake("reject", true);
  const std::string refused = client.say({"connectStart", "host=" + std::string(kWriter) +
                                                              " hostaddr=127.0.0.1 user=iam_user sslmode=require " +
                                                              "port=" + std::to_string(fake.port())});
  expect_contains(refused, "pqmint: the server refused");
  EXPECT_EQ(refused.find("/proc/self/fd"), std::string::npos) << refused;
  // Said of a password: the server did not take it for a token at all.
  expect_contains(refused, "likeliest first:|  - the role does not exist, or lacks rds_iam: GRANT rds_iam TO");
}

// What is at hand to find the cause: lives, ages, and the tunnel that signs for its own port.
TEST_F(Failure, ARefusalIsExplainedWithWhatIsKnown) {
  environment_.set("AWS_ACCESS_KEY_ID", kRoleKeyId)
      .set("AWS_SECRET_ACCESS_KEY", "not-the-secret")
      .set("AWS_SESSION_TOKEN", "session")
      .set("AWS_CREDENTIAL_EXPIRATION", "2099-01-01T00:00:00Z");
  const std::string said = Client(environment_).say({"connectdb", good_});
  for (const char* part : {"|  keys: ASIA...MPLE (environment), good for ", " characters, ",
                           " s old, good for 1",  // 15 min, or 14 when a second passed
                           "|  likely causes, the likeliest first:|  - the address 127.0.0.1 is this machine's own",
                           "?endpoint=orders.cluster-c9akciq32.eu-west-1.rds.amazonaws.com:5432", "timedatectl"}) {
    expect_contains(said, part);
  }
  const std::string elsewhere = Client(environment_).say({"connectdb", good_ + "passfile=pqmint:rds?region=eu-west-2"});
  expect_contains(elsewhere, "region eu-west-2 (from option)");
  expect_contains(elsewhere, "the database is in another region");
}

TEST_F(Failure, HalfAKeyIsNamed) {
  environment_.set("AWS_ACCESS_KEY_ID", kKeyId);
  const std::string said = Client(environment_).say({"connectdb", good_});
  expect_sentence(said);
  expect_contains(said, "AWS_SECRET_ACCESS_KEY");
}

TEST_F(Failure, AConfiguredSourceThatFailsIsNotFallenThrough) {
  write_file(environment_.home() + "/config",
             "[profile app]\nrole_arn = arn:aws:iam::123456789012:role/app\nsource_profile = base\nmax_attempts = 1\n"
             "[profile base]\naws_access_key_id = " +
                 std::string(kKeyId) + "\naws_secret_access_key = " + kSecretKey + "\n");
  environment_.set("AWS_CONFIG_FILE", environment_.home() + "/config").set("AWS_PROFILE", "app");
  const std::string said = Client(environment_).say({"connectdb", good_});
  expect_sentence(said);
  expect_contains(said, "127.0.0.1");
  expect_contains(said, "app");
}

TEST_F(Failure, StaticKeysOfAProfileLogIn) {
  write_file(environment_.home() + "/credentials",
             "[prod]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = "
             "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY\n");
  environment_.set("AWS_SHARED_CREDENTIALS_FILE", environment_.home() + "/credentials");
  Client client(environment_);
  expect_sentence(client.say({"connectdb", good_}));
  EXPECT_EQ(client.say({"connectdb", good_ + "passfile=pqmint:rds?profile=prod"}), "OK");
  client.say({"setenv", "AWS_PROFILE", "prod"});
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
  const std::string said = client.say({"connectdb", good_ + "passfile=pqmint:rds?profile=missing"});
  expect_sentence(said);
  expect_contains(said, "missing");
}

// --- modules

class Modules : public Failure {
 protected:
  void SetUp() override {
    environment_.keys();
    library_ = environment_.home() + "/lib";
    fs::create_directories(library_ + "/pqmint");
    fs::copy_file(stage() + "/lib/libpqmint.so", library_ + "/libpqmint.so");
    environment_.set("LD_PRELOAD", library_ + "/libpqmint.so");
  }

  std::string core() { return library_ + "/pqmint/core.so"; }

  void expect_named_and_others_untouched() {
    Client client(environment_);
    const std::string said = client.say({"connectdb", good_});
    expect_sentence(said);
    expect_contains(said, core());
    expect_contains(said, "reinstall");
    EXPECT_EQ(client.say({"connectdb", "host=localhost hostaddr=127.0.0.1 port=" + std::to_string(server_.port()) +
                                           " user=plain password=plainpw dbname=app"}),
              "OK");
  }

  std::string library_;
};

TEST_F(Modules, ACoreThatIsMissing) {
  expect_named_and_others_untouched();
}

TEST_F(Modules, ACoreThatIsNoObjectOrHalfOfOne) {
  write_file(core(), "#!/bin/sh\n", 0755);
  expect_named_and_others_untouched();
  write_file(core(), "", 0755);
  expect_named_and_others_untouched();
  write_file(core(), read_file(stage() + "/lib/pqmint/core.so").substr(0, 5000), 0755);
  expect_named_and_others_untouched();
}

TEST_F(Modules, ACoreForAnotherMachine) {
  const std::string good = read_file(stage() + "/lib/pqmint/core.so");
  std::string other = good;
  other[EI_CLASS] = ELFCLASS32;
  write_file(core(), other, 0755);
  expect_named_and_others_untouched();
  other = good;
  other[offsetof(Elf64_Ehdr, e_machine)] = static_cast<char>(EM_AARCH64);
  write_file(core(), other, 0755);
  expect_named_and_others_untouched();
}

TEST_F(Modules, ACoreWithoutItsLibcrypto) {
  fs::copy_file(stage() + "/lib/pqmint/core.so", core());
  ASSERT_EQ(
      run({"patchelf", "--replace-needed", "libcrypto.so.3", "libcrypto-none.so.3", core()}, Environment()).status, 0);
  expect_contains(Client(environment_).say({"connectdb", good_}), "libcrypto-none.so.3");
  expect_named_and_others_untouched();
}

TEST_F(Modules, ACoreThatIsAnotherLibrary) {
  fs::copy_file(stage() + "/lib/pqmint/net.so", core());
  expect_named_and_others_untouched();
}

TEST_F(Modules, ACoreOfAnotherVersion) {
  fs::copy_file(built("test/e2e/foreign_core.so"), core());
  const std::string said = Client(environment_).say({"connectdb", good_});
  expect_contains(said, "another version");
  expect_named_and_others_untouched();
}

TEST_F(Modules, ACoreThatCannotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root reads everything";
  fs::copy_file(stage() + "/lib/pqmint/core.so", core());
  chmod(core().c_str(), 0);
  expect_named_and_others_untouched();
}

TEST_F(Modules, AFailureIsNotRemembered) {
  Client client(environment_);
  expect_sentence(client.say({"connectdb", good_}));
  fs::copy_file(stage() + "/lib/pqmint/core.so", core());
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
}

TEST_F(Modules, ANetThatIsMissingFailsOnlyWhatNeedsIt) {
  fs::copy_file(stage() + "/lib/pqmint/core.so", core());
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", good_}), "OK");
  write_file(environment_.home() + "/config",
             "[profile app]\nrole_arn = arn:aws:iam::123456789012:role/app\nsource_profile = k\n"
             "[profile k]\naws_access_key_id = k\naws_secret_access_key = s\n");
  client.say({"setenv", "AWS_CONFIG_FILE", environment_.home() + "/config"});
  const std::string said = client.say({"connectdb", good_ + "passfile=pqmint:rds?profile=app"});
  expect_sentence(said);
  expect_contains(said, library_ + "/pqmint/net.so");
}

// libcurl is a package of its own, and may be missing where pqmint is not.
TEST_F(Modules, ALibraryOfNetsThatIsMissingFailsOnlyWhatNeedsIt) {
  fs::copy_file(stage() + "/lib/pqmint/core.so", core());
  std::string net = read_file(stage() + "/lib/pqmint/net.so");
  const std::string needed = "libcurl.so.4";
  const size_t at = net.find(needed + '\0');
  ASSERT_NE(at, std::string::npos);
  net.replace(at, needed.size(), "libcurl.so.X");
  write_file(library_ + "/pqmint/net.so", net, 0755);
  write_file(environment_.home() + "/config", "[profile p]\ncredential_process = true\n[profile k]\n" +
                                                  std::string("aws_access_key_id = AKIAI44QH8DHBEXAMPLE\n") +
                                                  "aws_secret_access_key = je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY\n");
  Client client(environment_);
  EXPECT_EQ(client.say({"connectdb", good_}), "OK") << "keys of the environment";
  client.say({"setenv", "AWS_CONFIG_FILE", environment_.home() + "/config"});
  EXPECT_EQ(client.say({"connectdb", good_ + "passfile=pqmint:rds?profile=k"}), "OK") << "keys of a profile";
  const std::string said = client.say({"connectdb", good_ + "passfile=pqmint:rds?profile=p"});
  expect_sentence(said);
  for (const char* part : {"libcurl.so.X", "reinstall pqmint", "apt install libcurl4"}) expect_contains(said, part);
}

// --- exactly one mint for each connection, whichever function it came by

class Counting : public Modules {
 protected:
  void SetUp() override {
    Modules::SetUp();
    fs::copy_file(built("test/e2e/counting_core.so"), core());
    environment_.set("PQMINT_TEST_MINTS", mints_file());
  }
  std::string mints_file() { return environment_.home() + "/mints"; }
  size_t mints() {
    const std::string text = read_file(mints_file());
    write_file(mints_file(), "");
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  void expect_one_each(const std::string& library_path) {
    FakePostgres fake("accept", true);
    Client client(environment_, library_path);
    const std::string port = std::to_string(fake.port());
    const std::string target = "host=" + std::string(kWriter) + " hostaddr=127.0.0.1 user=x dbname=y port=" + port;
    client.say({"setenv", "PGHOSTADDR", "127.0.0.1"});
    for (const std::vector<std::string>& words : {std::vector<std::string>{"connectdb", target},
                                                  {"connectStart", target},
                                                  {"connectdbParams", "dbname", target},
                                                  {"connectdbParams0", "host", kWriter, "user", "x", "port", port},
                                                  {"connectStartParams", "dbname", target},
                                                  {"setdbLogin", kWriter, port, "-", "y", "x", "-"},
                                                  {"reset"},
                                                  {"resetStart"},
                                                  {"reconnect"}}) {
      EXPECT_EQ(client.say(words), "OK") << words[0];
      EXPECT_EQ(mints(), 1u) << words[0];
    }
    client.say({"ping", target});
    client.say({"pingParams", "dbname", target});
    EXPECT_EQ(client.say({"connectdb", "host=localhost user=x port=" + port}).substr(0, 3), "BAD");
    EXPECT_EQ(mints(), 0u);
  }
};

TEST_F(Counting, OnTheLibpqOfThisMachine) {
  expect_one_each("");
}

// Ubuntu's libpq reaches its own functions directly. DT_SYMBOLIC in the dynamic section does that to any libpq: what it
// calls of its own is looked up in itself first.
void make_symbolic(const std::string& path) {
  std::string object = read_file(path);
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(object.data());
  const auto* segments = reinterpret_cast<const Elf64_Phdr*>(object.data() + header->e_phoff);
  for (int i = 0; i < header->e_phnum; ++i) {
    if (segments[i].p_type != PT_DYNAMIC) continue;
    auto* entry = reinterpret_cast<Elf64_Dyn*>(object.data() + segments[i].p_offset);
    while (entry->d_tag != DT_NULL) ++entry;
    ASSERT_EQ(entry[1].d_tag, DT_NULL) << "no spare entry";
    entry->d_tag = DT_SYMBOLIC;
  }
  write_file(path, object, 0755);
}

TEST_F(Counting, OnALibpqThatDoesNotCallItselfThroughThePlt) {
  const std::string folder = environment_.home() + "/symbolic";
  fs::create_directories(folder);
  fs::copy_file(fs::canonical("/usr/lib/x86_64-linux-gnu/libpq.so.5"), folder + "/libpq.so.5");
  make_symbolic(folder + "/libpq.so.5");
  expect_one_each(folder);
}

}  // namespace
}  // namespace pqmint::test
