// SPDX-License-Identifier: PostgreSQL
// Which identity is used: AWS CLI v2's order, half-configured sources, and what the user is told
// when there is none.

#include "core/aws_chain.h"

#include <gtest/gtest.h>

#include <thread>

#include "../support.h"

namespace pqmint {
namespace {

using test::contains;

constexpr int64_t kNow = 1768480496;  // 2026-01-15T12:34:56Z

class AwsChain : public test::CleanEnvironment {
 protected:
  static void environment_keys() {
    set("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENTKEY00");
    set("AWS_SECRET_ACCESS_KEY", "environment-secret");
  }

  static Result<CredentialPlan> plan(const std::string& profile = "") {
    Trail trail;
    return plan_credentials({profile, "", "", ""}, kNow, trail);
  }

  static std::string text_of(const CredentialPlan& plan) {
    if (plan.keys) {
      return plan.source + ":" + plan.keys->access_key_id + ":" + std::string(plan.keys->secret_access_key.reveal()) +
             ":" + std::string(plan.keys->session_token.reveal());
    }
    std::string text = "fetch " + plan.source;
    for (const auto& [name, value] : plan.settings) text += " " + name + "=" + std::string(value.reveal());
    return plan.signer ? text + " with " + text_of(*plan.signer) : text;
  }

  /// "SOURCE:ID:SECRET:TOKEN", or "fetch SOURCE setting=value ... [with SIGNER]", or the error.
  static std::string find(const std::string& profile = "") {
    const auto found = plan(profile);
    if (found) return text_of(*found);
    EXPECT_FALSE(contains(found.error().text, "\n"));
    EXPECT_FALSE(contains(found.error().text, "secret-"));
    EXPECT_LE(found.error().text.size(), 1500u) << found.error().text;
    return found.error().text;
  }

  /// Whether the answer is that `source` has to be asked.
  static ::testing::AssertionResult asks_for(const std::string& answer, const std::string& source) {
    if (answer.starts_with("fetch " + source + " ")) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << answer;
  }
};

std::string static_keys(const std::string& name) {
  return "aws_access_key_id = " + name + "\naws_secret_access_key = secret-of-" + name + "\n";
}

TEST_F(AwsChain, EnvironmentKeys) {
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
  const auto found = plan();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "");
  EXPECT_EQ(found->keys->expires, 0);
}

TEST_F(AwsChain, HalfAnEnvironmentIsAnError) {
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

/// Blanks around a value are a slip of who set it; everything else is the value.
TEST_F(AwsChain, KeysAreTakenAsTheyAreButForBlanksAround) {
  const std::string long_token(10 * 1024, 't'), bytes = "a\x01\x7f\x80\xff b";
  set("AWS_ACCESS_KEY_ID", bytes);
  set("AWS_SECRET_ACCESS_KEY", " \t" + bytes + "\r\n");
  set("AWS_SESSION_TOKEN", "\r" + long_token + "\r");
  EXPECT_EQ(find(), "environment:" + bytes + ":" + bytes + ":" + long_token);
  for (const char* blank : {"", " ", "\r", "\n", "\r\n", " \t "}) {
    set("AWS_SECRET_ACCESS_KEY", blank);
    EXPECT_TRUE(contains(find(), "missing: AWS_SECRET_ACCESS_KEY")) << find();
    set("AWS_ACCESS_KEY_ID", blank);
    EXPECT_TRUE(contains(find(), "no AWS credentials found")) << find();
    set("AWS_ACCESS_KEY_ID", "A");
    set("AWS_SECRET_ACCESS_KEY", "secret-x");
    set("AWS_SESSION_TOKEN", blank);
    EXPECT_EQ(find(), "environment:A:secret-x:") << "no session token, and not one of a blank";
  }
  unsetenv("AWS_ACCESS_KEY_ID");
  credentials("[default]\r\naws_access_key_id = A \r\naws_secret_access_key =\tsecret-x\t\r\naws_session_token = " +
              long_token + "\r\n");
  EXPECT_EQ(find(), "profile:A:secret-x:" + long_token);
}

TEST_F(AwsChain, EnvironmentExpiry) {
  environment_keys();
  set("AWS_CREDENTIAL_EXPIRATION", "2026-01-15T13:34:56+00:00");
  const auto found = plan();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->keys->expires, kNow + 3600);
  set("AWS_CREDENTIAL_EXPIRATION", "2026-01-15T12:34:56Z");
  EXPECT_TRUE(contains(find(), "AKIA...EY00) expired at 2026-01-15T12:34:56Z")) << find();
  set("AWS_CREDENTIAL_EXPIRATION", "tomorrow");
  EXPECT_TRUE(contains(find(), "no ISO 8601 time")) << find();
}

TEST_F(AwsChain, WhichProfile) {
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
  const auto found = plan("two");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "two");
}

TEST_F(AwsChain, AMissingProfileIsAnError) {
  config("[profile staging]\nregion = eu-west-1\n");
  credentials("[prod]\n" + static_keys("PROD"));
  EXPECT_TRUE(contains(find("nope"), "profile \"nope\" (from profile=) does not exist in " + home)) << find("nope");
  EXPECT_TRUE(contains(find("nope"), "there are \"prod\", \"staging\"")) << find("nope");
  set("AWS_PROFILE", "nope");
  EXPECT_TRUE(contains(find(), "from AWS_PROFILE")) << find();
  environment_keys();
  EXPECT_TRUE(contains(find(), "from AWS_PROFILE")) << find();
  EXPECT_FALSE(profile_region({"", "", "", ""}));
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

TEST_F(AwsChain, StaticKeysAreAUnit) {
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

TEST_F(AwsChain, OrderWithinAProfile) {
  const std::string keys = static_keys("K");
  const auto with = [&](const std::string& in_config, const std::string& in_credentials) {
    config("[default]\n" + in_config);
    credentials("[default]\n" + in_credentials);
    return find();
  };
  const std::string sso = "sso_account_id = 1\nsso_role_name = r\nsso_start_url = u\nsso_region = eu-west-1\n";
  EXPECT_TRUE(asks_for(with("role_arn = r\nsource_profile = default\n", keys), "assume-role"));
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
  EXPECT_TRUE(contains(with("sso_session = s\n", ""), "neither sso_account_id nor sso_role_name"));
  set("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
  EXPECT_TRUE(contains(with("", keys), "has no role ARN configured")) << with("", keys);
  set("AWS_ROLE_ARN", "env-role");
  EXPECT_TRUE(asks_for(with("", keys), "web-identity"));
  EXPECT_TRUE(asks_for(with("role_arn = r\nsource_profile = default\n", keys), "assume-role"));
  config("[profile p]\n" + keys);
  EXPECT_EQ(find("p"), "profile:K:secret-of-K:") << "a named profile turns the environment's web identity off";
}

TEST_F(AwsChain, AWayThatWasBegunAndHasNoValueIsAnError) {
  for (const std::string key : {"role_arn", "login_session", "credential_process"}) {
    config("[default]\n" + key + " =\n" + static_keys("AKIADEFAULT"));
    EXPECT_EQ(find(), "profile \"default\" has " + key + " without a value; give it one, or remove the line");
    config("[profile app]\nrole_arn = arn:aws:iam::1:role/App\nsource_profile = base\n[profile base]\n" + key + " =\n" +
           static_keys("AKIABASE"));
    EXPECT_TRUE(contains(find("app"), "profile \"base\" has " + key + " without a value"));
  }
  config("[default]\nweb_identity_token_file =\n" + static_keys("AKIADEFAULT"));
  EXPECT_TRUE(contains(find(), "AKIADEFAULT")) << "the CLI passes over that one";
}

TEST_F(AwsChain, ContainerComesAfterProfiles) {
  set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "");
  EXPECT_TRUE(contains(find(), "AWS_CONTAINER_CREDENTIALS_FULL_URI is set but empty")) << find();
  set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/x");
  EXPECT_TRUE(asks_for(find(), "container"));
  credentials("[default]\n" + static_keys("K"));
  EXPECT_EQ(find(), "profile:K:secret-of-K:");
}

TEST_F(AwsChain, NothingFoundNamesEverySource) {
  const std::string answer = find();
  for (const char* part : {"AWS_ACCESS_KEY_ID", "profile: there is no profile \"default\" in", "/.aws/credentials",
                           "container:", "imds: AWS_EC2_METADATA_DISABLED is true", "aws configure"}) {
    EXPECT_TRUE(contains(answer, part)) << part << " is not in " << answer;
  }
  set("AWS_CONFIG_FILE", "/" + std::string(3000, 'x') + "\n");
  set("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/" + std::string(200, 'y'));
  find();
  unsetenv("AWS_CONFIG_FILE");
  config("[profile p]\nregion = x\n");
  EXPECT_TRUE(contains(find("p"), "skipped, because profile= was given")) << find("p");
  EXPECT_TRUE(contains(find("p"), "profile: no aws_access_key_id in")) << find("p");
}

TEST_F(AwsChain, AnUnreadableFileStopsTheChain) {
  credentials("[default]\n" + static_keys("K"));
  set("AWS_CONFIG_FILE", home);
  EXPECT_TRUE(contains(find(), "cannot read " + home)) << find();
  environment_keys();
  EXPECT_TRUE(find().starts_with("environment:")) << "keys of the environment need no files";
}

TEST_F(AwsChain, Region) {
  config(
      "[default]\nregion = eu-west-1\n[profile p]\nregion = eu-west-2 # London\n[profile "
      "q]\noutput = json\n");
  const auto region = [](const std::string& profile) {
    const auto found = profile_region({profile, "", "", ""});
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

TEST_F(AwsChain, ThreadsFindTheSame) {
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

// --- roles

TEST_F(AwsChain, ARoleIsAssumedWithItsSource) {
  config(
      "[profile r]\nrole_arn = arn:r\nsource_profile = q\nexternal_id = e\nrole_session_name = s\n"
      "duration_seconds = 1800\nregion = eu-west-1\n"
      "[profile q]\nrole_arn = arn:q\nsource_profile = k\nregion = us-east-1\n");
  credentials("[k]\n" + static_keys("K"));
  EXPECT_EQ(find("r"),
            "fetch assume-role role_arn=arn:r role_session_name=s external_id=e region=eu-west-1 "
            "duration_seconds=1800 profile=r with fetch assume-role role_arn=arn:q region=eu-west-1 profile=q with "
            "profile:K:secret-of-K:")
      << "the region of the chosen profile counts for the whole chain, as in botocore";
  set("AWS_DEFAULT_REGION", "eu-west-2");
  EXPECT_TRUE(contains(find("r"), "region=eu-west-2")) << find("r");
  set("AWS_REGION", "eu-west-3");
  EXPECT_TRUE(contains(find("r"), "region=eu-west-3")) << find("r");
  const auto found = plan("r");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "r");
}

TEST_F(AwsChain, WithoutARegionTheRolesPartitionDecides) {
  credentials("[k]\n" + static_keys("K"));
  config("[profile r]\nrole_arn = arn:aws:iam::1:role/R\nsource_profile = k\n");
  EXPECT_FALSE(contains(find("r"), "region=")) << find("r");
  config("[profile r]\nrole_arn = arn:aws-cn:iam::1:role/R\nsource_profile = k\n");
  EXPECT_TRUE(contains(find("r"), "region=cn-northwest-1")) << find("r");
}

TEST_F(AwsChain, ARoleNeedsOneSource) {
  credentials("[k]\n" + static_keys("K"));
  const auto with = [&](const std::string& text) {
    config("[profile r]\nrole_arn = arn:r\n" + text);
    return find("r");
  };
  for (const auto& [text, part] : {
           std::pair{"source_profile = k\ncredential_source = Environment\n",
                     "contains both source_profile and credential_source"},
           {"", "missing: source_profile or credential_source"},
           {"source_profile = zz\n", "source_profile \"zz\" referenced in the profile \"r\" does not exist"},
           {"source_profile = e\n[profile e]\nregion = x\n",
            "source profile \"e\" of profile \"r\" must have credentials"},
           {"source_profile = q\n[profile q]\nrole_arn = q\nsource_profile = r\n", "(visited: \"r\", \"q\")"},
           {"source_profile = r\n", "infinite loop in credential configuration detected"},
           {"credential_source = environment\n",
            "credential source \"environment\" referenced in profile \"r\" is not valid"},
           {"credential_source = Environment\n", "no credentials found in credential_source Environment"},
           {"credential_source = EcsContainer\n", "no credentials found in credential_source EcsContainer"},
           {"credential_source = Ec2InstanceMetadata\n", "AWS_EC2_METADATA_DISABLED is true"},
           {"source_profile = k\nmfa_serial = arn:m\n", "requires multi-factor authentication"},
       }) {
    EXPECT_TRUE(contains(with(text), part)) << part << " is not in " << with(text);
  }
}

TEST_F(AwsChain, AChainOfRolesHasAnEnd) {
  const auto chain = [&](int roles) {
    std::string text;
    for (int i = 0; i < roles; ++i) {
      text += "[profile r" + std::to_string(i) + "]\nrole_arn=a\nsource_profile=r" + std::to_string(i + 1) + "\n";
    }
    config(text + "[profile r" + std::to_string(roles) + "]\n" + static_keys("K"));
    return find("r0");
  };
  EXPECT_TRUE(asks_for(chain(16), "assume-role"));
  for (const int roles : {17, 100, 20'000}) {
    EXPECT_TRUE(contains(chain(roles), "profile \"r0\" stands on more than 16 other profiles"))
        << roles << chain(roles);
  }
}

TEST_F(AwsChain, AProfileMayBeItsOwnSource) {
  credentials("[r]\n" + static_keys("K") + "role_arn = arn:r\nsource_profile = r\n");
  EXPECT_EQ(find("r"), "fetch assume-role role_arn=arn:r profile=r with profile:K:secret-of-K:");
  // Keys of the source come before its role.
  credentials("[k]\n" + static_keys("K") + "role_arn = arn:k\nsource_profile = r\n");
  config("[profile r]\nrole_arn = arn:r\nsource_profile = k\n");
  EXPECT_EQ(find("r"), "fetch assume-role role_arn=arn:r profile=r with profile:K:secret-of-K:");
}

TEST_F(AwsChain, CredentialSources) {
  const auto with = [&](const std::string& kind) {
    config("[profile r]\nrole_arn = arn:r\ncredential_source = " + kind + "\n");
    return find("r");
  };
  environment_keys();
  EXPECT_TRUE(with("Environment").ends_with(" with environment:AKIAENVIRONMENTKEY00:environment-secret:"))
      << with("Environment");
  set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/c");
  EXPECT_TRUE(contains(with("EcsContainer"), "with fetch container full_uri=http://127.0.0.1/c"));
  set("AWS_EC2_METADATA_DISABLED", "false");
  EXPECT_TRUE(contains(with("Ec2InstanceMetadata"), "with fetch imds")) << with("Ec2InstanceMetadata");
}

TEST_F(AwsChain, ASpecsRoleComesOnTop) {
  credentials("[k]\n" + static_keys("K"));
  Trail trail;
  const auto found = plan_credentials({"k", "arn:top", "ext", "me"}, kNow, trail);
  ASSERT_TRUE(found) << found.error().text;
  EXPECT_EQ(text_of(*found),
            "fetch assume-role role_arn=arn:top role_session_name=me external_id=ext with profile:K:secret-of-K:");
  EXPECT_EQ(found->name, "k");
  EXPECT_EQ(trail.back().first, "assume-role");
  environment_keys();
  Trail second;
  const auto on_env = plan_credentials({"", "arn:top", "", ""}, kNow, second);
  ASSERT_TRUE(on_env) << on_env.error().text;
  EXPECT_TRUE(text_of(*on_env).ends_with("with environment:AKIAENVIRONMENTKEY00:environment-secret:"));
}

// --- what a fetch is told

TEST_F(AwsChain, WebIdentityLooksEachValueUpByItself) {
  set("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
  config("[default]\nrole_session_name = n\nweb_identity_token_file = /other\nrole_arn = arn:p\nregion = eu-west-1\n");
  EXPECT_EQ(find(),
            "fetch web-identity web_identity_token_file=/token role_arn=arn:p role_session_name=n region=eu-west-1");
  set("AWS_ROLE_ARN", "arn:e");
  set("AWS_ROLE_SESSION_NAME", "e");
  EXPECT_TRUE(contains(find(), "role_arn=arn:e role_session_name=e")) << find();
  unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
  set("AWS_PROFILE", "default");
  EXPECT_EQ(plan()->name, "default");
  EXPECT_TRUE(contains(find("default"), "role_arn=arn:p role_session_name=n")) << find("default");
}

TEST_F(AwsChain, SsoSessionsAndLegacySso) {
  config(
      "[profile s]\nsso_session = corp\nsso_account_id = 0123\nsso_role_name = Admin\nregion = us-west-2\n"
      "[sso-session corp]\nsso_start_url = https://x/start#\nsso_region = eu-west-1\n"
      "[profile legacy]\nsso_start_url = https://x/start\nsso_region = eu-west-2\nsso_account_id = 1\nsso_role_name = "
      "R\n");
  EXPECT_EQ(find("s"),
            "fetch sso sso_start_url=https://x/start# region=eu-west-1 sso_account_id=0123 sso_role_name=Admin "
            "sso_session=corp cache_directory=" +
                home + "/.aws/sso/cache profile=s");
  EXPECT_EQ(find("legacy"),
            "fetch sso sso_start_url=https://x/start region=eu-west-2 sso_account_id=1 sso_role_name=R "
            "cache_directory=" +
                home + "/.aws/sso/cache profile=legacy");
  const auto with = [&](const std::string& text) {
    config("[profile s]\nsso_account_id = 1\n" + text);
    return find("s");
  };
  EXPECT_TRUE(contains(with("sso_session = corp\n"), "specified sso-session does not exist: \"corp\""));
  EXPECT_TRUE(contains(with(""), "missing required configuration: sso_start_url, sso_region, sso_role_name"))
      << with("");
  EXPECT_TRUE(contains(with("sso_session = c\nsso_region = a\n[sso-session c]\nsso_region = b\n"),
                       "the value for sso_region is inconsistent between profile \"s\" (a) and sso-session (b)"));
}

TEST_F(AwsChain, LoginAndProcess) {
  config("[profile l]\nlogin_session = arn:l\nregion = eu-west-1\n[profile p]\ncredential_process = get --keys\n");
  EXPECT_EQ(find("l"),
            "fetch login login_session=arn:l cache_directory=" + home + "/.aws/login/cache region=eu-west-1 profile=l");
  set("AWS_LOGIN_CACHE_DIRECTORY", "~/elsewhere");
  EXPECT_TRUE(contains(find("l"), "cache_directory=" + home + "/elsewhere ")) << find("l");
  EXPECT_EQ(find("p"), "fetch process command=get --keys profile=p");
}

TEST_F(AwsChain, ContainersAreToldEverythingAsItIs) {
  set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/c");
  set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t\n");
  EXPECT_EQ(find(), "fetch container relative_uri=/v2/c authorization_token=t\n");
  set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/f");
  EXPECT_TRUE(find().ends_with("authorization_token_file=/f")) << find();
}

TEST_F(AwsChain, TheMachineComesLast) {
  set("AWS_EC2_METADATA_DISABLED", "false");
  EXPECT_EQ(find(), "fetch imds");
  set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
  set("AWS_IMDS_USE_IPV6", "true");
  set("AWS_EC2_METADATA_V1_DISABLED", "false");
  set("AWS_METADATA_SERVICE_TIMEOUT", "3");
  set("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "2");
  EXPECT_EQ(find(), "fetch imds endpoint=http://127.0.0.1:1 endpoint_mode=ipv6 v1_allowed=true timeout=3 attempts=2");
  set("AWS_EC2_METADATA_DISABLED", "TRUE");
  EXPECT_TRUE(contains(find(), "AWS_EC2_METADATA_DISABLED is true"));
}

TEST_F(AwsChain, EndpointUrlsInTheirOrder) {
  credentials("[k]\n" + static_keys("K"));
  const std::string role = "role_arn = arn:r\nsource_profile = k\n";
  config("[profile r]\n" + role +
         "endpoint_url = http://profile\nservices = s\n[services s]\nsts =\n  endpoint_url = http://service\n");
  EXPECT_TRUE(contains(find("r"), "endpoint_url_sts=http://service endpoint_url_sso=http://profile")) << find("r");
  set("AWS_ENDPOINT_URL", "http://all");
  EXPECT_TRUE(contains(find("r"), "endpoint_url_sts=http://all endpoint_url_sso=http://all")) << find("r");
  set("AWS_ENDPOINT_URL_STS", "http://sts");
  EXPECT_TRUE(contains(find("r"), "endpoint_url_sts=http://sts")) << find("r");
  set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
  EXPECT_FALSE(contains(find("r"), "http://")) << find("r");
  config("[profile r]\n" + role + "services = t\n[services s]\n");
  EXPECT_FALSE(contains(find("r"), "services"));
  unsetenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
  EXPECT_EQ(
      find("r"),
      "profile \"r\" asks for the services section \"t\", which is not there; add [services t] to the config file, or "
      "remove the line");
  config("[profile r]\n" + role + "use_fips_endpoint = true\nca_bundle = /ca\nmax_attempts = 5\n");
  set("AWS_USE_DUALSTACK_ENDPOINT", "True");
  EXPECT_TRUE(contains(find("r"), "use_fips_endpoint=true use_dualstack_endpoint=true ca_bundle=/ca max_attempts=5"));
}

TEST_F(AwsChain, TheTrailSaysWhyEachSourceWasPassedOver) {
  credentials("[default]\n" + static_keys("K"));
  Trail trail;
  ASSERT_TRUE(plan_credentials({}, kNow, trail));
  std::string sources;
  for (const auto& [source, why] : trail) sources += source + (why == "used" ? "! " : " ");
  EXPECT_EQ(sources, "environment assume-role web-identity sso profile! ");
  trail.clear();
  credentials("");
  ASSERT_FALSE(plan_credentials({}, kNow, trail));
  sources.clear();
  for (const auto& [source, why] : trail) sources += source + " ";
  EXPECT_EQ(sources, "environment web-identity profile container imds ");
  config("[default]\nregion = eu-west-1\n");
  trail.clear();
  ASSERT_FALSE(plan_credentials({}, kNow, trail));
  sources.clear();
  for (const auto& [source, why] : trail) sources += source + " ";
  EXPECT_EQ(sources, "environment assume-role web-identity sso profile login process container imds ");
}

}  // namespace
}  // namespace pqmint
