// SPDX-License-Identifier: PostgreSQL
// EC2's metadata service: its steps, its faults, which are absences, and keys past their time.

#include "net/source_fixture.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::closed_port;
using test::contains;
using test::Heard;
using test::HttpServer;
using test::Reply;
using Manner = Reply::Manner;

class Imds : public test::SourceTest {
 protected:
  Imds() : server_([this](const Heard& heard) { return answer(heard); }) { setting("endpoint", server_.url() + "/"); }

  Reply answer(const Heard& heard) {
    if (heard.method == "PUT") return token_;
    if (refusals_ > 0 && refusals_--) return {401, ""};
    if (heard.target == "/latest/meta-data/iam/security-credentials/") return roles_;
    if (heard.target == "/latest/meta-data/iam/security-credentials/my-role") return keys_;
    if (heard.target == "/latest/meta-data/placement/region") return region_;
    return {404, ""};
  }

  Reply token_ = {200, "token-1"};
  Reply roles_ = {200, "my-role\nanother"};
  Reply keys_ = {200, test::keys_document("Token")};
  Reply region_ = {200, "eu-west-1\n"};
  int refusals_ = 0;
  HttpServer server_;
};

TEST_F(Imds, KeysInThreeSteps) {
  EXPECT_EQ(told(fetch_imds), "OK ASIA1");
  const auto heard = server_.heard();
  ASSERT_EQ(heard.size(), 3u);
  EXPECT_EQ(heard[0].method + " " + heard[0].target, "PUT /latest/api/token");
  EXPECT_EQ(heard[0].headers.at("x-aws-ec2-metadata-token-ttl-seconds"), "21600");
  EXPECT_EQ(heard[0].headers.at("content-length"), "0");
  EXPECT_EQ(heard[1].headers.at("x-aws-ec2-metadata-token"), "token-1");
  EXPECT_EQ(heard[2].target, "/latest/meta-data/iam/security-credentials/my-role");
  keys_.manner = Manner::kInPieces;
  EXPECT_EQ(told(fetch_imds), "OK ASIA1");
}

TEST_F(Imds, Region) {
  EXPECT_EQ(told(fetch_imds_region), "OK eu-west-1");
  region_ = {404, ""};
  EXPECT_TRUE(contains(told(fetch_imds_region), "ABSENT the metadata service names no region (status 404"));
  // It becomes part of host names.
  for (const char* none : {"", "\n", "evil.example/", "<html>", "eu-west-1 ."}) {
    region_ = {200, none};
    EXPECT_TRUE(contains(told(fetch_imds_region), "ABSENT the metadata service names no region")) << none;
  }
}

TEST_F(Imds, ATokenThatDiesIsFetchedAnewOnce) {
  refusals_ = 1;
  EXPECT_EQ(told(fetch_imds), "OK ASIA1");
  EXPECT_EQ(server_.count(), 5u);
  refusals_ = 2;
  EXPECT_TRUE(contains(told(fetch_imds), "ABSENT"));
}

TEST_F(Imds, KeysPastTheirTimeAreStillGood) {
  keys_.body = test::keys_document("Token", "2020-01-15T12:34:56Z");
  const auto found = ask(fetch_imds);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->access_key_id, "ASIA1");
  EXPECT_NEAR(static_cast<double>(found->expires), static_cast<double>(time(nullptr) + 900), 5);
}

TEST_F(Imds, ATokenThatIsNoHeader) {
  for (const std::string& bad : {std::string("a\r\nX-Evil: 1"), std::string("a\n"), std::string(5000, 'a')}) {
    token_ = {200, bad};
    EXPECT_TRUE(contains(told(fetch_imds), "ABSENT unable to retrieve token for use in IMDSv2 call"));
  }
  EXPECT_EQ(server_.count(), 3u) << "and nobody is sent it";
}

TEST_F(Imds, VersionOneOnlyForThoseWhoAskForIt) {
  for (const int status : {403, 404, 405}) {
    token_ = {status, ""};
    EXPECT_TRUE(contains(told(fetch_imds), "ABSENT unable to retrieve token for use in IMDSv2 call")) << status;
  }
  EXPECT_EQ(server_.count(), 3u) << "nothing is asked without a token";
  setting("v1_allowed", "true");
  EXPECT_EQ(told(fetch_imds), "OK ASIA1");
  EXPECT_FALSE(server_.heard().back().headers.contains("x-aws-ec2-metadata-token"));
  token_ = {400, ""};
  EXPECT_TRUE(contains(told(fetch_imds), "ABSENT"));
}

TEST_F(Imds, AbsencesSayHowTheyWereSeen) {
  roles_ = {404, ""};
  EXPECT_TRUE(contains(told(fetch_imds), "ABSENT the instance has no role"));
  roles_ = {200, ""};
  EXPECT_TRUE(contains(told(fetch_imds), "ABSENT the instance has no role"));
  roles_ = {200, "../../secret"};
  EXPECT_TRUE(contains(told(fetch_imds), "ABSENT the list of roles is none"));
  roles_ = {200, "my-role"};
  keys_ = {200, R"({"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role"})"};
  EXPECT_TRUE(contains(told(fetch_imds), "ABSENT no keys for role my-role: AssumeRoleUnauthorizedAccess EC2 cannot"));
  keys_ = {200, "s3cret<html>"};
  EXPECT_TRUE(contains(told(fetch_imds), "ABSENT no keys for role my-role (status 200"));
  keys_ = {500, ""};
  EXPECT_TRUE(contains(told(fetch_imds), "ABSENT no keys for role my-role (status 500"));
  keys_ = {200, R"({"Code":"Success","AccessKeyId":"A"})"};
  EXPECT_TRUE(contains(told(fetch_imds), "ABSENT the keys for role my-role are incomplete"));
}

TEST_F(Imds, NobodyThere) {
  setting("endpoint", "http://127.0.0.1:" + std::to_string(closed_port()));
  EXPECT_TRUE(contains(told(fetch_imds), "ABSENT no metadata service: "));
  for (const Manner manner : {Manner::kTruncated, Manner::kDropped, Manner::kNotHttp}) {
    HttpServer bad([&](const Heard&) { return Reply{200, "0123456789", {}, manner}; });
    setting("endpoint", bad.url());
    EXPECT_TRUE(contains(told(fetch_imds), "ABSENT no metadata service: "));
  }
}

TEST_F(Imds, ASilentOneCostsASecond) {
  token_.manner = Manner::kSilent;
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(contains(told(fetch_imds), "did not answer in time"));
  const auto took = std::chrono::steady_clock::now() - before;
  EXPECT_GE(took, milliseconds(900));
  EXPECT_LE(took, milliseconds(2500));
  EXPECT_EQ(server_.count(), 1u);
}

TEST_F(Imds, Settings) {
  setting("endpoint", "");
  setting("endpoint_mode", "ipv5");
  EXPECT_TRUE(contains(told(fetch_imds), "invalid EC2 instance metadata endpoint mode: ipv5"));
  setting("endpoint", "metadata");
  EXPECT_TRUE(contains(told(fetch_imds), "no http URL"));
  int count = 0;
  HttpServer busy([&](const Heard& heard) { return ++count < 3 ? Reply{503, ""} : answer(heard); });
  setting("endpoint", busy.url());
  setting("attempts", "3");
  EXPECT_EQ(told(fetch_imds), "OK ASIA1");
}

}  // namespace
}  // namespace pqmint
