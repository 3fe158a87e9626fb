// SPDX-License-Identifier: PostgreSQL
// The agent beside a container: which hosts may be asked, with what token, and what its answers may be.

#include <arpa/inet.h>

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
  write("token", "");
  EXPECT_TRUE(contains(from(kGood), "/token is empty; is it just being renewed?"));
  write("token", std::string(1 << 20, 'x'));
  EXPECT_TRUE(contains(from(kGood), "larger than 65536 bytes"));
  EXPECT_TRUE(heard_.empty());
  setting("authorization_token_file", "");
  for (const char* evil : {"s3cret\r\nX-Evil: 1", "s3cret\n", "s3cret\r"}) {
    setting("authorization_token", evil);
    EXPECT_TRUE(contains(from(kGood), "auth token value is not a legal header value")) << evil;
  }
  EXPECT_TRUE(heard_.empty());
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

/// Spellings of loopback are what libcurl makes of them, and so is everything else.
TEST_F(Container, AnAddressIsJudgedHoweverItIsWritten) {
  HttpServer agent([](const Heard&) { return kGood; });
  HttpServer v6([](const Heard&) { return kGood; }, "::1");
  for (const char* host : {"127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.000.0.1",
                           "localhost", "LOCALHOST"}) {
    setting("full_uri", std::string("http://") + host + ":" + std::to_string(agent.port()) + "/");
    EXPECT_EQ(told(fetch_container), "OK ASIA1") << host;
  }
  for (const char* host : {"[::1]", "[0:0:0:0:0:0:0:1]"}) {
    setting("full_uri", std::string("http://") + host + ":" + std::to_string(v6.port()) + "/");
    EXPECT_EQ(told(fetch_container), "OK ASIA1") << host;
  }
  const size_t asked = agent.count() + v6.count();
  for (const char* host : {"10.0.0.1",
                           "192.168.0.1",
                           "0.0.0.0",
                           "126.255.255.255",
                           "128.0.0.1",
                           "169.254.169.254",
                           "0xa9fea9fe",
                           "2852039166",
                           "0251.0376.0251.0376",
                           "169.254.170.3",
                           "evil.example",
                           "127.0.0.1.evil.example",
                           "localhost.evil.example",
                           "localhost.",
                           "127.0.0.1.",
                           "[::ffff:127.0.0.1]",
                           "[::ffff:169.254.169.254]",
                           "[::]",
                           "[fe80::1]",
                           "[fd00:ec2::254]",
                           "[fd00:ec2::24]"}) {
    setting("full_uri", std::string("http://") + host + ":" + std::to_string(agent.port()) + "/");
    EXPECT_TRUE(contains(told(fetch_container), "unsupported host '")) << host << ": " << told(fetch_container);
  }
  for (const char* authority : {"user@127.0.0.1@evil.example", "127.0.0.1@evil.example", "127.0.0.1:80@evil.example",
                                "evil.example@127.0.0.1", "127.0.0.1 .evil.example", "evil.example\\@127.0.0.1"}) {
    setting("full_uri", std::string("http://") + authority + "/");
    const std::string said = told(fetch_container);
    EXPECT_TRUE(contains(said, "no usable URL") || contains(said, "unsupported host '")) << said;
  }
  EXPECT_EQ(agent.count() + v6.count(), asked);
}

/// The life of the keys, in every way that a service may write it; a token signed with them ends with them.
TEST_F(Container, TheEndOfTheKeysInEverySpelling) {
  const auto expires = [&](const std::string& text) {
    HttpServer agent([&](const Heard&) { return Reply{200, test::keys_document("Token", text)}; });
    setting("full_uri", agent.url());
    const auto found = ask(fetch_container);
    return found ? std::to_string(found->expires) : found.error().text;
  };
  EXPECT_EQ(expires("2099-01-15T12:34:56Z"), "4072163696");
  EXPECT_EQ(expires("2099-01-15T14:34:56+02:00"), "4072163696") << "no UTC";
  EXPECT_EQ(expires("2099-01-15T12:34:56.999Z"), "4072163696");
  EXPECT_EQ(expires("9999-12-31T23:59:59Z"), "253402300799");
  EXPECT_EQ(expires("2098-12-31T23:59:60Z"), "4070908800") << "a leap second";
  const int64_t soon = clock_.now() + 30;
  EXPECT_EQ(expires(instant_text(soon)), std::to_string(soon)) << "used while it lives";
  for (const char* none :
       {"", "soon", "4072163696", "2099-01-15", "2099-02-30T00:00:00Z", "2099-01-15T12:34:56+25:00"}) {
    const std::string said = expires(none);
    EXPECT_TRUE(contains(said, "no ISO 8601 time") || contains(said, "has no Expiration")) << said;
  }
  EXPECT_TRUE(contains(expires("1999-01-15T12:34:56Z"), "still expired"));
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
