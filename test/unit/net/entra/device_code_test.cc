// SPDX-License-Identifier: PostgreSQL
// A login by device code: what is shown, how it is waited for, and how it may end.

#include "net/digest.h"
#include "net/source_fixture.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::contains;
using test::Heard;
using test::HttpServer;
using test::Reply;

class DeviceCode : public test::SourceTest {
 protected:
  DeviceCode() : server_([this](const Heard& heard) { return answer(heard); }) {
    setting("authority", server_.url());
    setting("tenant_id", "organizations");
    setting("client_id", "c-1");
    setting("scope", "https://x/.default");
    setting("terminal", write("terminal", ""));
  }
  Reply answer(const Heard& heard) {
    if (heard.target == "/organizations/oauth2/v2.0/devicecode") return offer_;
    if (answers_.empty()) return {500, ""};
    Reply next = answers_.front();
    if (answers_.size() > 1) answers_.erase(answers_.begin());
    return next;
  }
  static Reply error(const std::string& code) {
    return {400, R"({"error":")" + code + R"(","error_description":"AADSTS70016: x\r\nTrace"})"};
  }
  std::string shown() {
    std::ifstream file(home + "/terminal");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  Reply offer_ = {
      200, R"({"user_code":"U","device_code":"s3cret-code","expires_in":900,"interval":1,"message":"go to\n page"})"};
  std::vector<Reply> answers_;
  HttpServer server_;
};

const Reply kGranted = {200, R"({"access_token":")" + base64url("{}") + "." + base64url(R"({"upn":"me@x"})") +
                                 R"(.s","expires_in":3600,"refresh_token":"s3cret-refresh"})"};

TEST_F(DeviceCode, WaitsForThePerson) {
  answers_ = {error("authorization_pending"), kGranted};
  EXPECT_EQ(told(fetch_device_code), "OK me@x");
  EXPECT_EQ(shown(), "go to? page\n");
  const auto heard = server_.heard();
  ASSERT_EQ(heard.size(), 3u);
  EXPECT_EQ(heard[0].body, "client_id=c-1&scope=https%3A%2F%2Fx%2F.default%20openid%20profile%20offline_access");
  EXPECT_EQ(heard[1].body,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=c-1&device_code=s3cret-code");
}

TEST_F(DeviceCode, EndsWhenItMust) {
  answers_ = {error("authorization_declined")};
  EXPECT_TRUE(contains(told(fetch_device_code), "the login was declined (authorization_declined: AADSTS70016: x)"));
  answers_ = {error("expired_token")};
  EXPECT_TRUE(contains(told(fetch_device_code), "nobody logged in before the code expired"));
  answers_ = {error("authorization_pending")};
  EXPECT_TRUE(contains(told(fetch_device_code, milliseconds(1500)), "nobody logged in before the code expired"));
  answers_ = {{200, "s3cret"}};
  EXPECT_TRUE(contains(told(fetch_device_code), "status 200"));
}

TEST_F(DeviceCode, AServiceThatFailsForAWhileEndsNothing) {
  answers_ = {{503, "busy"}, kGranted};
  EXPECT_EQ(told(fetch_device_code), "OK me@x");
  EXPECT_EQ(server_.count(), 3u);
}

TEST_F(DeviceCode, SlowDownMeansFiveSecondsMore) {
  answers_ = {error("slow_down"), kGranted};
  EXPECT_TRUE(contains(told(fetch_device_code, milliseconds(3000)), "nobody logged in")) << "1 s, then 6 s";
  EXPECT_EQ(server_.count(), 2u);
}

TEST_F(DeviceCode, NumbersBeyondReasonAreNone) {
  offer_ = {200,
            R"({"device_code":"c","message":"m","expires_in":9223372036854775807,"interval":-9223372036854775808})"};
  answers_ = {kGranted};
  EXPECT_EQ(told(fetch_device_code), "OK me@x");
  offer_ = {200, R"({"device_code":"c","message":"m","interval":9223372036854775807})"};
  EXPECT_TRUE(contains(told(fetch_device_code, milliseconds(100)), "nobody logged in"));
}

TEST_F(DeviceCode, WhatCannotBegin) {
  offer_ = error("invalid_client");
  EXPECT_TRUE(contains(told(fetch_device_code), "invalid_client"));
  offer_ = {200, "{}"};
  EXPECT_TRUE(contains(told(fetch_device_code), "status 200"));
  offer_ = {200, R"({"device_code":"c","message":"m"})"};
  setting("terminal", home + "/no/terminal");
  EXPECT_TRUE(contains(told(fetch_device_code), "needs a terminal"));
  setting("authority", "http://127.0.0.1:" + std::to_string(test::closed_port()));
  EXPECT_TRUE(contains(told(fetch_device_code), "cannot reach Microsoft Entra"));
}

}  // namespace
}  // namespace pqmint
