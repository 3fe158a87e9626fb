// SPDX-License-Identifier: PostgreSQL
// Which identity is used: AWS CLI v2's order, half-configured sources, and what the user is told
// when there is none.

#include "core/credential.h"

#include <gtest/gtest.h>
#include <pqmint/abi.h>

#include <thread>

#include "../support.h"

namespace pqmint {
namespace {

using test::contains;

constexpr int64_t kNow = 1768480496;  // 2026-01-15T12:34:56Z

class CredentialTest : public test::CleanEnvironment {
 protected:
  static void environment_keys() {
    set("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENTKEY00");
    set("AWS_SECRET_ACCESS_KEY", "environment-secret");
  }

  /// "SOURCE:ID:SECRET:TOKEN", or the error.
  static std::string find(const std::string& profile = "") {
    const auto found = find_credentials({profile}, kNow);
    if (!found) {
      EXPECT_FALSE(contains(found.error().text, "\n"));
      EXPECT_FALSE(contains(found.error().text, "secret-"));
      EXPECT_LE(found.error().text.size(), 900u) << found.error().text;
      return found.error().text;
    }
    return found->source + ":" + found->access_key_id + ":" + std::string(found->secret_access_key.reveal()) + ":" +
           std::string(found->session_token.reveal());
  }

  /// Whether the answer is that `source` had to be asked through net.so (which may lie beside the
  /// test, or not).
  static ::testing::AssertionResult asks_for(const std::string& answer, const std::string& source) {
    if (contains(answer, "credentials by " + source)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << answer;
  }
};

std::string static_keys(const std::string& name) {
  return "aws_access_key_id = " + name + "\naws_secret_access_key = secret-of-" + name + "\n";
}

TEST_F(CredentialTest, EnvironmentKeys) {
  environment_keys();
  EXPECT_EQ(find(), "environment:AKIAENVIRONMENTKEY00:environment-secret:");
  set("AWS_SESSION_TOKEN", "session");
  EXPECT_EQ(find(), "environment:AKIAENVIRONMENTKEY00:environment-secret:session");
  set("AWS_SECURITY_TOKEN", "security");
  EXPECT_EQ(find(), "environment:AKIAENVIRONMENTKEY00:environment-secret:security");
  set("AWS_SECURITY_TOKEN", "");
  set("AWS_ACCESS_KEY_ID", " AKIAENVIRONMENTKEY00\n");
  set("AWS_SECRET_ACCESS_KEY", "\tenvironment-secret\r\n");
  EXPECT_EQ(find(), "environment:AKIAENVIRONMENTKEY00:environment-secret:session");
  const auto found = find_credentials({}, kNow);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "");
  EXPECT_EQ(found->expires, 0);
}

TEST_F(CredentialTest, HalfAnEnvironmentIsAnError) {
  credentials("[default]\n" + static_keys("FILE"));
  set("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENTKEY00");
  EXPECT_TRUE(contains(find(), "AWS_SECRET_ACCESS_KEY is not")) << find();
  set("AWS_SECRET_ACCESS_KEY", "  ");
  EXPECT_TRUE(contains(find(), "AWS_SECRET_ACCESS_KEY is not")) << find();
  // A secret alone names nobody.
  set("AWS_ACCESS_KEY_ID", "");
  set("AWS_SECRET_ACCESS_KEY", "environment-secret");
  EXPECT_EQ(find(), "profile:FILE:secret-of-FILE:");
}

TEST_F(CredentialTest, EnvironmentExpiry) {
  environment_keys();
  set("AWS_CREDENTIAL_EXPIRATION", "2026-01-15T13:34:56+00:00");
  const auto found = find_credentials({}, kNow);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->expires, kNow + 3600);
  set("AWS_CREDENTIAL_EXPIRATION", "2026-01-15T12:34:56Z");
  EXPECT_TRUE(contains(find(), "AKIA...EY00) expired at 2026-01-15T12:34:56Z")) << find();
  set("AWS_CREDENTIAL_EXPIRATION", "tomorrow");
  EXPECT_TRUE(contains(find(), "no ISO 8601 time")) << find();
}

TEST_F(CredentialTest, WhichProfile) {
  credentials("[default]\n" + static_keys("DEF") + "[one]\n" + static_keys("ONE") + "[two]\n" + static_keys("TWO"));
  EXPECT_EQ(find(), "profile:DEF:secret-of-DEF:");
  set("AWS_DEFAULT_PROFILE", "two");
  EXPECT_EQ(find(), "profile:TWO:secret-of-TWO:");
  set("AWS_PROFILE", "one");
  EXPECT_EQ(find(), "profile:ONE:secret-of-ONE:");
  EXPECT_EQ(find("two"), "profile:TWO:secret-of-TWO:");
  set("AWS_PROFILE", "");
  EXPECT_EQ(find(), "profile:TWO:secret-of-TWO:");
  environment_keys();
  EXPECT_TRUE(find().starts_with("environment:"));
  set("AWS_PROFILE", "one");
  EXPECT_TRUE(find().starts_with("environment:")) << "as in the CLI, AWS_PROFILE does not turn environment keys off";
  EXPECT_EQ(find("two"), "profile:TWO:secret-of-TWO:");
  const auto found = find_credentials({"two"}, kNow);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "two");
}

TEST_F(CredentialTest, AMissingProfileIsAnError) {
  config("[profile staging]\nregion = eu-west-1\n");
  credentials("[prod]\n" + static_keys("PROD"));
  EXPECT_TRUE(contains(find("nope"), "profile \"nope\" (from profile=) does not exist in " + home)) << find("nope");
  EXPECT_TRUE(contains(find("nope"), "there are \"prod\", \"staging\"")) << find("nope");
  set("AWS_PROFILE", "nope");
  EXPECT_TRUE(contains(find(), "from AWS_PROFILE")) << find();
  environment_keys();
  EXPECT_TRUE(contains(find(), "from AWS_PROFILE")) << find();
  EXPECT_FALSE(profile_region({}));
  set("AWS_PROFILE", "default");
  EXPECT_TRUE(find().starts_with("environment:")) << find();
  unsetenv("AWS_PROFILE");
  EXPECT_TRUE(find().starts_with("environment:"));

  std::string many;
  for (int i = 0; i < 200; ++i) many += "[" + std::string(300, 'x') + std::to_string(i) + "]\n" + static_keys("K");
  credentials(many);
  EXPECT_TRUE(contains(find("line\nbreak"), "line?break")) << find("line\nbreak");
  EXPECT_TRUE(contains(find("nope"), "more")) << find("nope");
  credentials("");
  config("");
  EXPECT_TRUE(contains(find("nope"), "no profiles at all")) << find("nope");
}

TEST_F(CredentialTest, StaticKeysAreAUnit) {
  config("[default]\n" + static_keys("CONFIG") + "aws_session_token = config-token\n");
  EXPECT_EQ(find(), "profile:CONFIG:secret-of-CONFIG:config-token");
  credentials("[default]\n" + static_keys("CRED"));
  EXPECT_EQ(find(), "profile:CRED:secret-of-CRED:") << "the config file's session token is another identity's";
  credentials("[default]\n" + static_keys("CRED") + "aws_session_token = a\naws_security_token = b\n");
  EXPECT_EQ(find(), "profile:CRED:secret-of-CRED:b");
  credentials("[default]\naws_access_key_id = CRED\n");
  EXPECT_TRUE(contains(find(), "has aws_access_key_id but no aws_secret_access_key")) << find();
  EXPECT_TRUE(contains(find(), home + "/.aws/credentials")) << find();
  credentials("[default]\naws_secret_access_key = secret-x\naws_access_key_id =\n");
  EXPECT_TRUE(contains(find(), "has aws_secret_access_key but no aws_access_key_id")) << find();
  credentials("[default]\naws_session_token = lonely\n");
  EXPECT_EQ(find(), "profile:CONFIG:secret-of-CONFIG:config-token");
}

TEST_F(CredentialTest, OrderWithinAProfile) {
  const std::string keys = static_keys("K");
  const auto with = [&](const std::string& in_config, const std::string& in_credentials) {
    config("[default]\n" + in_config);
    credentials("[default]\n" + in_credentials);
    return find();
  };
  const std::string sso = "sso_account_id = 1\nsso_role_name = r\n";
  EXPECT_TRUE(asks_for(with("role_arn = r\nsource_profile = x\n", keys), "assume-role"));
  EXPECT_TRUE(asks_for(with("role_arn = r\nweb_identity_token_file = f\n", keys), "web-identity"));
  EXPECT_TRUE(asks_for(with(sso, keys), "sso"));
  EXPECT_TRUE(asks_for(with(sso + "credential_process = p\n", ""), "sso"));
  EXPECT_EQ(with("login_session = l\ncredential_process = p\n", keys), "profile:K:secret-of-K:");
  EXPECT_TRUE(asks_for(with("login_session = l\ncredential_process = p\n" + keys, ""), "login"));
  EXPECT_TRUE(asks_for(with("credential_process = p\n" + keys, ""), "process"));
  EXPECT_EQ(with("credential_process = p\n", keys), "profile:K:secret-of-K:");
  // An SSO session without account and role: the CLI passes over it, we do so only for the same
  // profile's own keys.
  EXPECT_EQ(with("sso_session = s\n", keys), "profile:K:secret-of-K:");
  EXPECT_TRUE(asks_for(with("sso_session = s\n", ""), "sso"));
  set("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
  EXPECT_TRUE(asks_for(with("", keys), "web-identity"));
  EXPECT_TRUE(asks_for(with("role_arn = r\n", keys), "assume-role"));
  config("[profile p]\n" + keys);
  EXPECT_EQ(find("p"), "profile:K:secret-of-K:") << "a named profile turns the environment's web identity off";
}

TEST_F(CredentialTest, ContainerComesAfterProfiles) {
  set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "");
  EXPECT_TRUE(asks_for(find(), "container"));
  credentials("[default]\n" + static_keys("K"));
  EXPECT_EQ(find(), "profile:K:secret-of-K:");
}

TEST_F(CredentialTest, NothingFoundNamesEverySource) {
  const std::string answer = find();
  for (const char* part : {"AWS_ACCESS_KEY_ID", "profile \"default\": no such profile", "/.aws/credentials",
                           "container:", "IMDS: AWS_EC2_METADATA_DISABLED is true", "aws configure"}) {
    EXPECT_TRUE(contains(answer, part)) << part << " is not in " << answer;
  }
  set("AWS_CONFIG_FILE", "/" + std::string(3000, 'x') + "\n");
  set("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/" + std::string(200, 'y'));
  find();
  unsetenv("AWS_CONFIG_FILE");
  config("[profile p]\nregion = x\n");
  EXPECT_TRUE(contains(find("p"), "skipped, because profile= was given")) << find("p");
  EXPECT_TRUE(contains(find("p"), "no keys, role or login in")) << find("p");
}

TEST_F(CredentialTest, AnUnreadableFileStopsTheChain) {
  credentials("[default]\n" + static_keys("K"));
  set("AWS_CONFIG_FILE", home);
  EXPECT_TRUE(contains(find(), "cannot read " + home)) << find();
  environment_keys();
  EXPECT_TRUE(find().starts_with("environment:")) << "keys of the environment need no files";
}

TEST_F(CredentialTest, Region) {
  config(
      "[default]\nregion = eu-west-1\n[profile p]\nregion = eu-west-2 # London\n[profile "
      "q]\noutput = json\n");
  const auto region = [](const std::string& profile) {
    const auto found = profile_region({profile});
    return found ? *found : found.error().text;
  };
  EXPECT_EQ(region(""), "eu-west-1");
  EXPECT_EQ(region("p"), "eu-west-2");
  EXPECT_EQ(region("q"), "");
  EXPECT_TRUE(contains(region("r"), "does not exist"));
  credentials("[p]\nregion = us-east-1\n");
  EXPECT_EQ(region("p"), "us-east-1");
  set("AWS_PROFILE", "p");
  EXPECT_EQ(region(""), "us-east-1");
}

TEST_F(CredentialTest, ThreadsFindTheSame) {
  credentials("[default]\n" + static_keys("K"));
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        if (find() != "profile:K:secret-of-K:") ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Masked, ShowsTheEndsOfLongOnes) {
  EXPECT_EQ(masked("AKIAIOSFODNN7EXAMPLE"), "AKIA...MPLE");
  EXPECT_EQ(masked("abcdefghijkl"), "abcd...ijkl");
  EXPECT_EQ(masked("abcdefghijk"), "...");
  EXPECT_EQ(masked(""), "...");
}

TEST(Clone, CopiesEverything) {
  Credentials original;
  original.access_key_id = "id";
  original.secret_access_key = Secret("secret");
  original.session_token = Secret("token");
  original.expires = 5;
  original.source = "profile";
  original.name = "p";
  const Credentials copy = original.clone();
  EXPECT_EQ(copy.access_key_id, "id");
  EXPECT_EQ(copy.secret_access_key.reveal(), "secret");
  EXPECT_EQ(copy.session_token.reveal(), "token");
  EXPECT_EQ(copy.expires, 5);
  EXPECT_EQ(copy.source, "profile");
  EXPECT_EQ(copy.name, "p");
}

TEST(Instant, AcceptsWhatAwsWrites) {
  for (const char* text : {"2026-01-15T12:34:56Z", "2026-01-15T12:34:56.789Z", "2026-01-15T12:34:56+00:00",
                           "2026-01-15 12:34:56", "2026-01-15T12:34:56UTC", "2026-01-15T13:34:56+0100",
                           "2026-01-15T07:04:56-05:30", "2026-01-15T12:34:56.000000+00:00"}) {
    EXPECT_EQ(parse_instant(text), kNow) << text;
  }
  EXPECT_EQ(parse_instant("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_instant("2024-02-29T00:00:00Z"), 1709164800);
  for (const char* text :
       {"", "now", "2026", "2026-01-15", "2026-01-15T12:34", "2026-13-15T12:34:56Z", "2026-02-30T12:34:56Z",
        "2026-01-15T24:00:00Z", "2026-01-15T12:34:56X", "2026-01-15T12:34:56.Z", "2026-01-15T12:34:56+1",
        "2026-01-15T12:34:56Z ", "20260115T123456Z", "1768480496"}) {
    EXPECT_EQ(parse_instant(text), std::nullopt) << text;
  }
}

#ifdef PQMINT_TEST_NET_LINKED
// net.so's own answers, where the test links it.
TEST(Net, SaysWhatToDoInstead) {
  const auto answer = [](const char* source, const char* profile) {
    const pqmint_fetch what = {source, profile};
    const pqmint_fetched* fetched = pqmint_net()->fetch(&what);
    const std::string text = fetched->error;
    pqmint_net()->release(fetched);
    return text;
  };
  EXPECT_EQ(pqmint_net()->abi, PQMINT_ABI_VERSION);
  EXPECT_EQ(answer("assume-role", "x"),
            "profile \"x\" asks for credentials by assume-role (role_arn), which this version of "
            "pqmint cannot fetch yet; "
            "use environment keys or static keys, for example: eval \"$(aws configure "
            "export-credentials --profile x "
            "--format env)\"");
  EXPECT_TRUE(contains(answer("sso", "it's"), "--profile 'it'\\''s' --format")) << answer("sso", "it's");
  EXPECT_TRUE(contains(answer("container", nullptr), "the environment asks for credentials by container"));
  for (const char* source : {"web-identity", "login", "process", "imds", "unheard-of"}) {
    EXPECT_TRUE(contains(answer(source, "x"), std::string("credentials by ") + source));
  }
}
#endif

}  // namespace
}  // namespace pqmint
