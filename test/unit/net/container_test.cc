// SPDX-License-Identifier: PostgreSQL
// The agent beside a container: which hosts may be asked, with what token, and what its answers may be.

#include <arpa/inet.h>

#include "source_fixture.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::closed_port;
using test::contains;
using test::Heard;
using test::HttpServer;
using test::Reply;
using Manner = Reply::Manner;

class Container : public test::SourceTest {
 protected:
  std::string from(Reply reply, milliseconds time = milliseconds(5000)) {
    HttpServer agent([&](const Heard&) { return reply; });
    setting("full_uri", agent.url() + "/creds?x=1");
    const std::string said = told(fetch_container, time);
    heard_ = agent.heard();
    return said;
  }
  std::vector<Heard> heard_;
};

const Reply kGood = {200, test::keys_document("Token")};

TEST_F(Container, Keys) {
  EXPECT_EQ(from(kGood), "OK ASIA1");
  ASSERT_EQ(heard_.size(), 1u);
  EXPECT_EQ(heard_[0].target, "/creds?x=1");
  EXPECT_EQ(heard_[0].headers.at("accept"), "application/json");
  EXPECT_FALSE(heard_[0].headers.contains("authorization"));
  Reply pieces = kGood;
  pieces.manner = Manner::kInPieces;
  EXPECT_EQ(from(pieces), "OK ASIA1");
}

TEST_F(Container, TheTokenIsSentAsItIsAndTheFileWins) {
  setting("authorization_token", "Bearer direct");
  from(kGood);
  EXPECT_EQ(heard_[0].headers.at("authorization"), "Bearer direct");
  setting("authorization_token_file", write("token", "from-file"));
  from(kGood);
  EXPECT_EQ(heard_[0].headers.at("authorization"), "from-file");
  write("token", "rotated");
  from(kGood);
  EXPECT_EQ(heard_[0].headers.at("authorization"), "rotated");
  write("token", "s3cret\n");
  EXPECT_TRUE(contains(from(kGood), "auth token value is not a legal header value"));
  EXPECT_TRUE(heard_.empty());
  write("token", std::string("s3cret\0x", 8));
  EXPECT_TRUE(contains(from(kGood), "auth token value is not a legal header value"));
  setting("authorization_token_file", home + "/missing");
  EXPECT_TRUE(contains(from(kGood), "No such file"));
}

TEST_F(Container, OnlyAgentsAreAsked) {
  for (const char* uri :
       {"http://192.0.2.1/", "http://evil.example/", "http://169.254.169.254/", "http://127.0.0.1.evil.example/",
        "http://[2001:db8::1]/", "http://169.254.170.2.evil.example/"}) {
    setting("full_uri", uri);
    EXPECT_TRUE(contains(told(fetch_container), "unsupported host")) << uri;
  }
  for (const char* uri : {"", "/path", "ftp://127.0.0.1/", "http://user@127.0.0.1/"}) {
    setting("full_uri", uri);
    EXPECT_TRUE(contains(told(fetch_container), "no usable URL")) << uri;
  }
  setting("relative_uri", "@127.0.0.1/");
  EXPECT_TRUE(contains(told(fetch_container), "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"))
      << "only the agent's own address";
  setting("relative_uri", ".evil.example/");
  EXPECT_TRUE(contains(told(fetch_container), "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
}

TEST_F(Container, LocalhostIsAsked) {
  HttpServer agent([](const Heard&) { return kGood; });
  setting("full_uri", "http://localhost:" + std::to_string(agent.port()) + "/");
  EXPECT_EQ(told(fetch_container), "OK ASIA1");
  setting("full_uri", "http://LocalHost:" + std::to_string(agent.port()) + "/");
  EXPECT_EQ(told(fetch_container), "OK ASIA1");
}

TEST_F(Container, Refusals) {
  EXPECT_TRUE(contains(from({404, R"({"code":"NoTaskRole","message":"no role"})"}),
                       "received non 200 response 404 from container metadata"));
  EXPECT_TRUE(contains(from({404, R"({"code":"NoTaskRole","message":"no role"})"}), "NoTaskRole no role"));
  EXPECT_EQ(heard_.size(), 1u);
  EXPECT_TRUE(contains(from({200, "s3cret"}), "unable to parse JSON"));
  EXPECT_TRUE(contains(from({302, "", {{"Location", "http://127.0.0.1/"}}}), "non 200 response 302"));
  for (const char* key : {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}) {
    std::string document = test::keys_document("Token");
    document.replace(document.find("\"" + std::string(key)), 3, "\"XX");
    EXPECT_TRUE(contains(from({200, document}), "has no " + std::string(key))) << key;
  }
  EXPECT_TRUE(contains(from({200, test::keys_document("Token", "soon")}), "no ISO 8601 time"));
  EXPECT_TRUE(contains(from({200, test::keys_document("Token", "2020-01-15T12:34:56Z")}), "still expired"));
}

TEST_F(Container, FaultsOfTheNetwork) {
  setting("full_uri", "http://127.0.0.1:" + std::to_string(closed_port()));
  EXPECT_TRUE(contains(told(fetch_container, milliseconds(1000)), "is the agent running"))
      << told(fetch_container, milliseconds(500));
  for (const Manner manner : {Manner::kTruncated, Manner::kDropped, Manner::kNotHttp, Manner::kSilent}) {
    EXPECT_TRUE(contains(from({200, test::keys_document("Token"), {}, manner}, milliseconds(500)),
                         "cannot ask http://127.0.0.1"));
  }
}

TEST_F(Container, TriesAgain) {
  int count = 0;
  HttpServer agent([&](const Heard&) { return ++count == 1 ? Reply{500, ""} : kGood; });
  setting("full_uri", agent.url());
  EXPECT_EQ(told(fetch_container), "OK ASIA1");
}

TEST_F(Container, AnAttemptLastsTwoSeconds) {
  int count = 0;
  Reply silent = kGood;
  silent.manner = Manner::kSilent;
  HttpServer agent([&](const Heard&) { return ++count == 1 ? silent : kGood; });
  setting("full_uri", agent.url());
  EXPECT_EQ(told(fetch_container, milliseconds(10'000)), "OK ASIA1");
  EXPECT_EQ(agent.count(), 2u);
}

TEST_F(Container, ATokenFileMayGoWhileWeAsk) {
  setting("authorization_token_file", write("token", "t"));
  HttpServer agent([&](const Heard&) {
    std::filesystem::remove(home + "/token");
    return Reply{500, ""};
  });
  setting("full_uri", agent.url());
  EXPECT_TRUE(contains(told(fetch_container, milliseconds(1500)), "non 200 response 500"));
}

// On ECS whoever knows the path gets the task's keys.
TEST_F(Container, NoErrorHoldsThePath) {
  HttpServer agent([&](const Heard&) { return Reply{404, ""}; });
  setting("full_uri", agent.url() + "/v2/s3cret");
  EXPECT_TRUE(contains(told(fetch_container), "non 200 response 404"));
  setting("full_uri", "http://127.0.0.1:" + std::to_string(closed_port()) + "/v2/s3cret");
  EXPECT_TRUE(contains(told(fetch_container, milliseconds(500)), "is the agent running"));
  setting("full_uri", "htp://127.0.0.1/v2/s3cret");
  EXPECT_TRUE(contains(told(fetch_container), "AWS_CONTAINER_CREDENTIALS_FULL_URI"));
  setting("relative_uri", "v2/s3cret");
  EXPECT_TRUE(contains(told(fetch_container), "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
}

}  // namespace
}  // namespace pqmint
