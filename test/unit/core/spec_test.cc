// SPDX-License-Identifier: PostgreSQL
// Token specs: what may be said, and which sentence answers what may not.
#include "core/spec.h"

#include <gtest/gtest.h>

namespace pqmint {
namespace {

using Provider = TokenSpec::Provider;

TokenSpec good(std::string_view text) {
  auto spec = parse_token_spec(text);
  EXPECT_TRUE(spec) << text << ": " << (spec ? "" : spec.error().text);
  return spec ? *spec : TokenSpec{};
}

std::string bad(std::string_view text) {
  auto spec = parse_token_spec(text);
  EXPECT_FALSE(spec) << text;
  return spec ? "" : spec.error().text;
}

TEST(TokenSpec, NamesAProviderOrLeavesItToTheHost) {
  EXPECT_EQ(good("pqmint:").provider, Provider::kAuto);
  EXPECT_EQ(good("pqmint:auto").provider, Provider::kAuto);
  EXPECT_EQ(good("pqmint:rds").provider, Provider::kRds);
  EXPECT_EQ(good("pqmint:dsql").provider, Provider::kDsql);
  EXPECT_EQ(good("pqmint:off").provider, Provider::kOff);
  EXPECT_EQ(good("pqmint:?region=eu-west-1").region, "eu-west-1");
  EXPECT_EQ(good("pqmint:rds?").provider, Provider::kRds);
}

TEST(TokenSpec, EndpointIsAHostAndMayHaveAPort) {
  const TokenSpec bare = good("pqmint:rds?endpoint=a.b.eu-west-1.rds.amazonaws.com");
  EXPECT_EQ(bare.endpoint_host, "a.b.eu-west-1.rds.amazonaws.com");
  EXPECT_EQ(bare.endpoint_port, 5432);
  EXPECT_EQ(good("pqmint:rds?endpoint=a:6432").endpoint_port, 6432);
  EXPECT_EQ(good("pqmint:rds?endpoint=%5Bfd00::1%5D:6432").endpoint_host, "[fd00::1]");
  for (const char* text : {"pqmint:rds?endpoint=a:0", "pqmint:rds?endpoint=a:65536", "pqmint:rds?endpoint=a:x",
                           "pqmint:rds?endpoint=a:", "pqmint:rds?endpoint=:5432", "pqmint:rds?endpoint=https://a",
                           "pqmint:rds?endpoint=u%40a", "pqmint:rds?endpoint=a%20b", "pqmint:rds?endpoint=%5Ba"}) {
    EXPECT_NE(bad(text).find("endpoint="), std::string::npos) << text;
  }
}

TEST(TokenSpec, ValuesArePercentEncoded) {
  EXPECT_EQ(good("pqmint:rds?profile=a%26b%3Dc%20%C3%A9").credentials.profile, "a&b=c \xC3\xA9");
  EXPECT_NE(bad("pqmint:rds?profile=50%").find("percent-encoded"), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?profile=%zz").find("percent-encoded"), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?profile=a%00b").find("percent-encoded"), std::string::npos);
}

TEST(TokenSpec, ExpiresInIsForDsqlAndAtMostAWeek) {
  EXPECT_EQ(good("pqmint:dsql?expires_in=1").expires_in, 1);
  EXPECT_EQ(good("pqmint:dsql?expires_in=604800").expires_in, 604800);
  for (const char* value : {"0", "-1", "604801", "1.5", "900s", "99999999999999999999"}) {
    EXPECT_NE(bad(std::string("pqmint:dsql?expires_in=") + value).find("604800"), std::string::npos) << value;
  }
  EXPECT_NE(bad("pqmint:rds?expires_in=900").find("no use"), std::string::npos);
}

TEST(TokenSpec, UnknownWordsNameTheNearestKnownOne) {
  EXPECT_NE(bad("pqmint:rsd").find("\"rds\""), std::string::npos);
  EXPECT_NE(bad("pqmint:dslq").find("\"dsql\""), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?regoin=x").find("\"region\""), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?end_point=x").find("\"endpoint\""), std::string::npos);
}

TEST(TokenSpec, RefusesWhatCannotBeMeant) {
  EXPECT_NE(bad("pqmint:rds?region=eu-west-1&region=eu-west-2").find("twice"), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?region=").find("no value"), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?region").find("no value"), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?region=eu west").find("not the name of a region"), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?client_id=x").find("no use"), std::string::npos);
  EXPECT_NE(bad("pqmint:off?region=eu-west-1").find("no use"), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?&").find("key"), std::string::npos);
}

TEST(TokenSpec, Command) {
  const auto spec = good("pqmint:command?command=vault%20read%20'a%20b'%20x=1&lifetime=900&timeout=5&endpoint=db:6432");
  EXPECT_EQ(spec.provider, Provider::kCommand);
  EXPECT_EQ(spec.command.command, "vault read 'a b' x=1");
  EXPECT_EQ(spec.command.program, "vault");
  EXPECT_EQ(spec.command.lifetime, 900);
  EXPECT_EQ(spec.command.timeout, 5);
  EXPECT_EQ(spec.endpoint_host, "db");
  // Where a place allows blanks, they may stand as they are.
  EXPECT_EQ(good("pqmint:command?command=my token").command.command, "my token");
  EXPECT_EQ(good("pqmint:command?command=t").command.lifetime, 0);
  for (const char* text : {"pqmint:command", "pqmint:command?", "pqmint:command?lifetime=5"}) {
    EXPECT_NE(bad(text).find("pqmint:command?command="), std::string::npos) << text;
  }
  for (const char* value : {"0", "-1", "86401", "1h", ""}) {
    bad(std::string("pqmint:command?command=x&lifetime=") + value);
  }
  EXPECT_NE(bad("pqmint:command?command=x&lifetime=86401").find("from 1 to 86400"), std::string::npos);
  EXPECT_NE(bad("pqmint:command?command=x&timeout=61").find("from 1 to 60"), std::string::npos);
  EXPECT_NE(bad("pqmint:command?command=a%20|%20b").find("sh -c '...'"), std::string::npos);
  EXPECT_NE(bad("pqmint:command?command=%20").find("the command is empty"), std::string::npos);
  EXPECT_NE(bad("pqmint:command?command=").find("no value"), std::string::npos);
  for (const char* key : {"region=eu-west-1", "profile=p", "role_arn=arn:aws:iam::123456789012:role/R", "expires_in=5",
                          "client_id=c", "tenant_id=t", "scope=https://x/.default"}) {
    EXPECT_NE(bad(std::string("pqmint:command?command=x&") + key).find("no use to the provider \"command\""),
              std::string::npos)
        << key;
  }
  for (const char* text : {"pqmint:rds?command=x", "pqmint:entra?lifetime=5", "pqmint:dsql?timeout=5"}) {
    EXPECT_NE(bad(text).find("no use"), std::string::npos) << text;
  }
  EXPECT_NE(bad("pqmint:?command=x").find("no use to the provider \"auto\""), std::string::npos);
}

// Arguments may hold secrets, and so may what was cut off from them.
TEST(TokenSpec, DoesNotShowAPieceOfACommand) {
  const std::string said = bad("pqmint:command?command=curl%20-d%20a&s3cret=x");
  EXPECT_EQ(said.find("s3cret"), std::string::npos) << said;
  EXPECT_NE(said.find("%26"), std::string::npos) << said;
  EXPECT_EQ(bad("pqmint:command?command=curl%20s3cret;").find("s3cret"), std::string::npos);
  EXPECT_NE(bad("pqmint:command?command=x&liftime=5").find("\"lifetime\""), std::string::npos);
}

TEST(TokenSpec, Entra) {
  const auto spec = good("pqmint:entra?client_id=c&tenant_id=t&scope=https%3A%2F%2Fx%2F.default");
  EXPECT_EQ(spec.entra.client_id, "c");
  EXPECT_EQ(spec.entra.tenant_id, "t");
  EXPECT_EQ(spec.entra.scope, "https://x/.default");
  EXPECT_NE(bad("pqmint:entra?scope=https%3A%2F%2Fx").find("must end in /.default"), std::string::npos);
  EXPECT_NE(bad("pqmint:entra?region=x").find("no use"), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?client_id=x").find("no use"), std::string::npos);
}

TEST(TokenSpec, Roles) {
  const auto spec = good("pqmint:rds?role_arn=arn:aws:iam::123456789012:role/R&external_id=e&role_session_name=s");
  EXPECT_EQ(spec.credentials.role_arn, "arn:aws:iam::123456789012:role/R");
  EXPECT_EQ(spec.credentials.external_id, "e");
  EXPECT_EQ(spec.credentials.role_session_name, "s");
  EXPECT_NE(bad("pqmint:rds?role_arn=R").find("not the ARN of a role"), std::string::npos);
  EXPECT_NE(bad("pqmint:rds?external_id=e").find("add role_arn="), std::string::npos);
}

TEST(TokenSpec, DoesNotRepeatALongMistake) {
  const std::string pasted(4000, 'k');
  EXPECT_LT(bad("pqmint:" + pasted).size(), 200u);
  EXPECT_LT(bad("pqmint:rds?" + pasted + "=1").size(), 200u);
}

}  // namespace
}  // namespace pqmint
