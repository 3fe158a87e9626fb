// SPDX-License-Identifier: PostgreSQL
// IAM Identity Center: the CLI's cached token, its refresh, which must not cost anybody a login, and the role's keys.
// Facts: spec/aws.md 4.7 and 5, botocore's tokens.py.

#include <gtest/gtest.h>

#include "net/aws/cache_file.h"
#include "net/aws/cached_session.h"
#include "net/aws/session_fixture.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::ahead;
using test::closed_port;
using test::contains;
using test::Heard;
using test::HttpServer;
using test::Reply;
using test::Unprivileged;
using Manner = Reply::Manner;

constexpr int kHour = 3600;
constexpr int kInWindow = 14 * 60;
constexpr const char* kDeadText = "Error when retrieving token from sso: Token has expired and refresh failed: ";
constexpr const char* kRemedy = "aws sso login --profile dev";

class Sso : public test::SessionFixture {
 protected:
  // sha1 of "corp"
  Sso() : SessionFixture("sso/cache", "ee0bfd2552fbd840c02cc48b6e823320543c450f") {
    setting("region", "eu-west-1");
    setting("sso_session", "corp");
    setting("sso_start_url", "https://x.awsapps.com/start");
    setting("sso_account_id", "012345678901");
    setting("sso_role_name", "Admin");
    save(token(kHour));
    keys_.body = role_credentials(kHour);
    refreshed_.body =
        R"({"accessToken":"s3cret-new","expiresIn":3600,"refreshToken":"s3cret-rotated","tokenType":"Bearer"})";
  }

  static Json::Value token(int life) {
    Json::Value token;
    token["startUrl"] = "https://x.awsapps.com/start";
    token["region"] = "eu-west-1";
    token["accessToken"] = "s3cret-old";
    token["expiresAt"] = ahead(life);
    token["clientId"] = "client";
    token["clientSecret"] = "s3cret-client";
    token["registrationExpiresAt"] = ahead(30 * 86400);
    token["refreshToken"] = "s3cret-refresh";
    return token;
  }

  static std::string role_credentials(int life) {
    return R"({"roleCredentials":{"accessKeyId":"ASIAROLE","secretAccessKey":"s3cret-key",)"
           R"("sessionToken":"s3cret-session","expiration":)" +
           std::to_string((time(nullptr) + life) * 1000) + "}}";
  }

  Reply answer(const Heard& heard) {
    if (heard.target == "/token") {
      if (on_refresh_) on_refresh_();
      return refreshed_;
    }
    if (on_keys_) on_keys_();
    return keys_;
  }

  std::string fetch_from(const std::string& url, milliseconds time = milliseconds(5000)) {
    setting("endpoint_url_sso", url);
    setting("endpoint_url_sso_oidc", url);
    return told(fetch_sso(query(time)));
  }

  std::string fetch(milliseconds time = milliseconds(5000)) {
    HttpServer server([this](const Heard& heard) { return answer(heard); });
    const std::string said = fetch_from(server.url(), time);
    heard_ = server.heard();
    return said;
  }

  size_t refreshes() const {
    return static_cast<size_t>(
        std::count_if(heard_.begin(), heard_.end(), [](const Heard& heard) { return heard.target == "/token"; }));
  }
  /// The token that the role was asked for with.
  std::string bearer() const { return heard_.empty() ? "" : heard_.back().headers.at("x-amz-sso_bearer_token"); }

  static Reply refusal(int status, const std::string& code, const std::string& body) {
    return {status, body, {{"Content-Type", "application/json"}, {"x-amzn-ErrorType", code}}};
  }

  Reply keys_;
  Reply refreshed_;
  std::function<void()> on_refresh_;
  std::function<void()> on_keys_;
  std::vector<Heard> heard_;
};

TEST_F(Sso, AUrlOfOnesOwnThatIsNoneIsSaidAtOnce) {
  save(token(kHour));
  for (const char* bad : {"no url", "ftp://127.0.0.1/", "https://s3cret:s3cret@127.0.0.1/"}) {
    const auto begin = std::chrono::steady_clock::now();
    const std::string said = fetch_from(bad);
    EXPECT_TRUE(contains(said, "AWS_ENDPOINT_URL_SSO (or endpoint_url) is \"")) << said;
    EXPECT_TRUE(contains(said, "which is no http or https URL; correct it")) << said;
    EXPECT_FALSE(contains(said, "s3cret")) << said;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(500)) << "it was tried again";
  }
}

// ------------------------------------------------------------------------------------------------------ the cache file

TEST_F(Sso, TheFileIsNamedAsTheCliNamesIt) {
  int count = 0;
  for (const Json::Value& row : test::vectors("aws_cache_names.json")) {
    if (row["kind"] != "sso token") continue;
    ++count;
    const bool has_session = row["input"]["sso_session"].isString();
    setting("sso_session", has_session ? row["input"]["sso_session"].asString() : "");
    setting("sso_start_url", row["input"]["start_url"].asString());
    const std::string name = std::filesystem::path(row["file"].asString()).filename();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    EXPECT_TRUE(contains(fetch(), name)) << "the error says which file was looked for";
    std::ofstream(folder_ + "/" + name) << to_json(token(kHour)).reveal();
    EXPECT_EQ(fetch(), "ASIAROLE") << name;
  }
  EXPECT_EQ(count, 2);
}

TEST_F(Sso, TheTimesOfTheFileInEverySpelling) {
  for (const char* zone : {"Z", "UTC", "+00:00", ".123Z"}) {
    Json::Value object = token(kHour);
    object["expiresAt"] = ahead(kHour, zone);
    save(object);
    EXPECT_EQ(fetch(), "ASIAROLE") << zone;
    EXPECT_EQ(refreshes(), 0u);
    object = token(-60);
    object["registrationExpiresAt"] = ahead(kHour, zone);
    save(object);
    EXPECT_EQ(fetch(), "ASIAROLE") << zone;
    EXPECT_EQ(refreshes(), 1u);
  }
}

TEST_F(Sso, NoFileIsNoLogin) {
  std::filesystem::remove(path_);
  const std::string said = fetch();
  EXPECT_TRUE(contains(said, "Error loading SSO Token: Token for corp does not exist")) << said;
  EXPECT_TRUE(said.ends_with("; run: aws sso login --profile dev")) << said;
  EXPECT_TRUE(heard_.empty());
}

TEST_F(Sso, NoFolderIsMade) {
  std::filesystem::remove_all(home + "/.aws");
  EXPECT_TRUE(contains(fetch(), "does not exist"));
  EXPECT_FALSE(std::filesystem::exists(home + "/.aws"));
}

TEST_F(Sso, AFileOfNoUseIsNoLogin) {
  for (const char* text : {"", "{", "[]", "null", "\"x\"", "{\"accessToken\":\"s3cret\"} x", "\x7f\x45LF"}) {
    std::ofstream(path_) << text;
    EXPECT_TRUE(contains(fetch(), "Token for corp does not exist")) << text;
  }
  std::ofstream(path_) << "{\"accessToken\":\"" << std::string(1 << 20, 'x') << "\"}";
  EXPECT_TRUE(contains(fetch(), "does not exist")) << "too large";
  EXPECT_TRUE(heard_.empty());
}

TEST_F(Sso, AFileWithoutATokenIsInvalid) {
  const auto with = [](const char* field, const Json::Value& value) {
    Json::Value object = token(kHour);
    value.isNull() ? static_cast<void>(object.removeMember(field)) : static_cast<void>(object[field] = value);
    return object;
  };
  for (const Json::Value& object :
       {with("accessToken", Json::Value()), with("expiresAt", Json::Value()), with("accessToken", 7),
        with("accessToken", ""), with("accessToken", "s3cret\r\nX-Injected: yes"), with("expiresAt", "tomorrow"),
        with("expiresAt", 1768500000)}) {
    save(object);
    const std::string said = fetch();
    EXPECT_TRUE(contains(said, "Error loading SSO Token: Token for https://x.awsapps.com/start is invalid")) << said;
    EXPECT_TRUE(contains(said, kRemedy));
    EXPECT_TRUE(heard_.empty());
  }
}

TEST_F(Sso, HalfAFileIsReadOnceMore) {
  std::ofstream(path_) << R"({"accessToken":"s3cr)";
  std::thread cli([&] {
    std::this_thread::sleep_for(milliseconds(15));
    save(token(kHour));
  });
  EXPECT_EQ(fetch(), "ASIAROLE");
  cli.join();
}

TEST_F(Sso, ARewriteIsAtomicAndPrivate) {
  chmod(path_.c_str(), 0644);
  const int reader = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  Json::Value object = token(kHour);
  object["accessToken"] = "s3cret-other";
  ASSERT_TRUE(write_cache_file(path_, object));
  EXPECT_EQ(saved(), object);
  EXPECT_EQ(mode(), 0600u);
  EXPECT_EQ(files(), 1) << "no temporary file stays behind";
  char text[4096] = "";
  EXPECT_GT(read(reader, text, sizeof text - 1), 0);
  EXPECT_TRUE(contains(text, "s3cret-old")) << "who had it open reads the whole old one";
  close(reader);
}

TEST_F(Sso, ALinkStaysALink) {
  const std::string target = home + "/shared.json";
  std::filesystem::rename(path_, target);
  std::filesystem::create_symlink("../../../shared.json", path_);
  save(token(kInWindow));
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(bearer(), "s3cret-new");
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
  EXPECT_TRUE(contains(text_of(target), "s3cret-new"));
  EXPECT_EQ(files(), 1);
}

TEST_F(Sso, AFileThatIsGoneIsNotMadeAnew) {
  std::filesystem::remove(path_);
  const auto written = write_cache_file(path_, token(kHour));
  ASSERT_FALSE(written) << "`aws sso logout` has deleted it";
  EXPECT_TRUE(contains(written.error().text, "No such file")) << written.error().text;
  EXPECT_EQ(files(), 0);
  EXPECT_FALSE(write_cache_file(home + "/nowhere/x.json", token(kHour)));
  EXPECT_FALSE(std::filesystem::exists(home + "/nowhere"));
}

TEST_F(Sso, AFailedRewriteLeavesTheOldFile) {
  const std::string before = text_of(path_);
  forbid_writing();
  {
    const Unprivileged nobody;
    const auto written = write_cache_file(path_, Json::Value(Json::objectValue));
    ASSERT_FALSE(written);
    EXPECT_TRUE(contains(written.error().text, "Permission denied")) << written.error().text;
  }
  EXPECT_EQ(text_of(path_), before);
  EXPECT_EQ(files(), 1);
}

TEST_F(Sso, RootLeavesTheFileToItsOwner) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(chown(path_.c_str(), 1234, 1235), 0);
  ASSERT_TRUE(write_cache_file(path_, token(kHour)));
  struct stat info = {};
  stat(path_.c_str(), &info);
  EXPECT_EQ(info.st_uid, 1234u);
  EXPECT_EQ(info.st_gid, 1235u);
  EXPECT_EQ(mode(), 0600u);
}

// ----------------------------------------------------------------------------------------------------------- refresh

TEST_F(Sso, ATokenWithTimeLeftIsUsedAsItIs) {
  save(token(16 * 60));
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(refreshes(), 0u);
  EXPECT_EQ(bearer(), "s3cret-old");
}

TEST_F(Sso, InItsLastQuarterOfAnHourItIsRefreshed) {
  save(token(kInWindow));
  EXPECT_EQ(fetch(), "ASIAROLE");
  ASSERT_EQ(heard_.size(), 2u);
  Json::Value body;
  body["grantType"] = "refresh_token";
  body["clientId"] = "client";
  body["clientSecret"] = "s3cret-client";
  body["refreshToken"] = "s3cret-refresh";
  expect_posted(heard_[0], "/token", body);
  EXPECT_EQ(bearer(), "s3cret-new");
}

TEST_F(Sso, TheRotatedTokenIsSavedBeforeItIsUsed) {
  save(token(kInWindow));
  std::string at_use;
  on_keys_ = [&] { at_use = saved()["refreshToken"].asString(); };
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(at_use, "s3cret-rotated");
}

TEST_F(Sso, ARewriteKeepsWhatItDoesNotKnow) {
  Json::Value old = token(kInWindow);
  old["scopes"].append("sso:account:access");
  old["x"]["größe"] = Json::Int64(1768500000000);
  old["never"] = Json::Value();
  save(old);
  chmod(path_.c_str(), 0644);
  EXPECT_EQ(fetch(), "ASIAROLE");
  Json::Value now = saved();
  EXPECT_EQ(now["accessToken"], "s3cret-new");
  EXPECT_EQ(now["refreshToken"], "s3cret-rotated");
  EXPECT_FALSE(now.isMember("expiresIn"));
  const auto expires = parse_instant(now["expiresAt"].asString());
  ASSERT_TRUE(expires);
  EXPECT_NEAR(static_cast<double>(*expires), static_cast<double>(time(nullptr) + kHour), 5);
  EXPECT_TRUE(now["expiresAt"].asString().ends_with("Z"));
  for (const char* field : {"accessToken", "refreshToken", "expiresAt"}) now[field] = old[field];
  EXPECT_EQ(now, old);
  EXPECT_EQ(mode(), 0600u);
  EXPECT_EQ(files(), 1);
}

TEST_F(Sso, WithoutANewRefreshTokenTheOldOneCounts) {
  save(token(kInWindow));
  refreshed_.body = R"({"accessToken":"s3cret-new","expiresIn":3600})";
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(saved()["refreshToken"], "s3cret-refresh");
  EXPECT_EQ(saved()["accessToken"], "s3cret-new");
}

TEST_F(Sso, ADeadTokenIsRefreshedToo) {
  save(token(-86400));
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(bearer(), "s3cret-new");
}

TEST_F(Sso, AFailedRefreshCostsNothingWhileTheOldTokenLives) {
  const auto survives = [&](Reply reply, milliseconds time = milliseconds(5000)) {
    save(token(kInWindow));
    const Json::Value before = saved();
    refreshed_ = std::move(reply);
    EXPECT_EQ(fetch(time), "ASIAROLE");
    EXPECT_EQ(refreshes(), 1u);
    EXPECT_EQ(bearer(), "s3cret-old");
    EXPECT_EQ(saved(), before);
  };
  survives(refusal(400, "InvalidGrantException", R"({"error":"invalid_grant"})"));
  survives({500, "", {}});
  survives({200, "<html>", {{"Content-Type", "text/html"}}});
  survives({200, "{}"});
  survives({200, R"({"accessToken":"s3cret-new"})"});
  survives({200, R"({"accessToken":"s3cret-new","expiresIn":0})"});
  survives({200, R"({"accessToken":"s3cret-new","expiresIn":"3600"})"});
  survives({200, R"({"accessToken":{"a":1},"expiresIn":3600})"});
  survives({200, R"({"accessToken":"s3cret\r\nX-Injected: yes","expiresIn":3600})"});
  survives({200, refreshed_.body, {}, Manner::kTruncated});
  survives({200, "", {}, Manner::kDropped});
  survives({200, "", {}, Manner::kSilent}, milliseconds(600));
}

TEST_F(Sso, ADeadTokenThatCannotBeRefreshedNeedsALogin) {
  const auto dies = [&](Reply reply, const std::string& why, milliseconds time = milliseconds(5000)) {
    save(token(-1));
    const Json::Value before = saved();
    refreshed_ = std::move(reply);
    const std::string said = fetch(time);
    EXPECT_TRUE(contains(said, kDeadText + why)) << said;
    EXPECT_TRUE(said.ends_with("; run: aws sso login --profile dev")) << said;
    EXPECT_EQ(heard_.size(), 1u) << "nobody asks for a role with a dead token";
    EXPECT_EQ(saved(), before);
  };
  dies(refusal(400, "InvalidGrantException:http://internal.amazon.com/coral/",
               R"({"error":"invalid_grant","error_description":"Invalid refresh\ntoken provided"})"),
       "An error occurred (InvalidGrantException) when calling the CreateToken operation: Invalid refresh?token "
       "provided");
  dies({400, R"({"error":"expired_token"})"},
       "An error occurred (expired_token) when calling the CreateToken operation");
  dies({502, "<html>s3cret</html>", {{"Content-Type", "text/html"}}},
       "CreateToken: the service answered with status 502, text/html, 19 bytes");
  dies({200, R"({"token":"s3cret"})"}, "CreateToken: the answer holds no token (status 200, application/json");
  dies({200, "", {}, Manner::kSilent}, "cannot reach http://127.0.0.1", milliseconds(300));
}

TEST_F(Sso, WithoutItsRegistrationATokenIsNotRefreshed) {
  const auto incomplete = [](const char* field, int life) {
    Json::Value object = token(life);
    object.removeMember(field);
    return object;
  };
  const auto expired = [](int life) {
    Json::Value object = token(life);
    object["registrationExpiresAt"] = ahead(-1);
    return object;
  };
  for (const char* field : {"refreshToken", "clientId", "clientSecret", "registrationExpiresAt"}) {
    save(incomplete(field, kInWindow));
    EXPECT_EQ(fetch(), "ASIAROLE") << field;
    EXPECT_EQ(bearer(), "s3cret-old");
    EXPECT_EQ(refreshes(), 0u) << field;
    save(incomplete(field, -1));
    const std::string said = fetch();
    EXPECT_TRUE(contains(said, std::string(kDeadText) + "the cached token has no " + field)) << said;
    EXPECT_TRUE(contains(said, kRemedy));
    EXPECT_TRUE(heard_.empty());
  }
  save(expired(kInWindow));
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(refreshes(), 0u);
  save(expired(-1));
  const std::string said = fetch();
  EXPECT_TRUE(contains(said, "the registration of the client that logged in has expired")) << said;
  EXPECT_TRUE(contains(said, kRemedy));
  EXPECT_TRUE(heard_.empty());
}

TEST_F(Sso, ALegacyTokenIsNeverRefreshed) {
  setting("sso_session", "");
  const std::string legacy = folder_ + "/3947de8b16688092197fa616c34e01335f21d256.json";
  std::ofstream(legacy) << to_json(token(60)).reveal();
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(bearer(), "s3cret-old");
  EXPECT_EQ(refreshes(), 0u);
  std::ofstream(legacy) << to_json(token(-1)).reveal();
  const std::string said = fetch();
  EXPECT_TRUE(contains(said,
                       "The SSO session associated with this profile has expired or is otherwise invalid. To refresh "
                       "this SSO session run aws sso login with the corresponding profile"))
      << said;
  EXPECT_TRUE(said.ends_with(": aws sso login --profile dev")) << said;
  EXPECT_TRUE(heard_.empty());
}

// ----------------------------------------------------------------------------------- other processes, other file modes

TEST_F(Sso, OneProcessRefreshesForAll) {
  save(token(-1));
  refreshed_.delay = milliseconds(150);
  on_refresh_ = [&] { refreshed_.status = saved()["refreshToken"] == "s3cret-refresh" ? 200 : 400; };
  const int good = processes(
      5, "ASIAROLE", [&](const std::string& url) { return fetch_from(url); },
      [this](const Heard& heard) { return answer(heard); }, [&](const HttpServer& server) { heard_ = server.heard(); });
  EXPECT_EQ(good, 5);
  EXPECT_EQ(refreshes(), 1u);
  for (const Heard& heard : heard_) {
    if (heard.target == "/token") continue;
    EXPECT_EQ(heard.headers.at("x-amz-sso_bearer_token"), "s3cret-new");
  }
  EXPECT_EQ(files(), 1);
}

TEST_F(Sso, WhatTheCliHasRefreshedMeanwhileIsTaken) {
  // The CLI takes no lock: it spends the refresh token while our request is on its way.
  for (const int life : {kInWindow, -1}) {
    save(token(life));
    refreshed_ = refusal(400, "InvalidGrantException", R"({"error":"invalid_grant"})");
    on_refresh_ = [&] {
      Json::Value theirs = token(kHour);
      theirs["accessToken"] = "s3cret-theirs";
      save(theirs);
    };
    EXPECT_EQ(fetch(), "ASIAROLE");
    EXPECT_EQ(refreshes(), 1u);
    EXPECT_EQ(bearer(), "s3cret-theirs");
  }
}

TEST_F(Sso, TheFileIsReadAgainJustBeforeARefresh) {
  save(token(-1));
  const int other = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(flock(other, LOCK_EX), 0);
  std::thread cli([&] {
    std::this_thread::sleep_for(milliseconds(200));
    Json::Value theirs = token(kHour);
    theirs["accessToken"] = "s3cret-theirs";
    save(theirs);
    flock(other, LOCK_UN);
  });
  EXPECT_EQ(fetch(), "ASIAROLE");
  cli.join();
  close(other);
  EXPECT_EQ(refreshes(), 0u);
  EXPECT_EQ(bearer(), "s3cret-theirs");
}

TEST_F(Sso, ALockThatNobodyGivesBackHoldsNobodyUp) {
  const int other = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(flock(other, LOCK_EX), 0);
  for (const int life : {kInWindow, -1}) {
    save(token(life));
    EXPECT_EQ(fetch(milliseconds(1000)), "ASIAROLE");
    EXPECT_EQ(bearer(), "s3cret-new");
  }
  close(other);
}

TEST_F(Sso, WhatCannotBeSavedIsNotSpentWithoutNeed) {
  save(token(kInWindow));
  forbid_writing();
  const Unprivileged nobody;
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(refreshes(), 0u);
  EXPECT_EQ(bearer(), "s3cret-old");
}

TEST_F(Sso, ALoginGoesOnThoughItsRefreshCannotBeSaved) {
  save(token(-1));
  const Json::Value before = saved();
  forbid_writing();
  const Unprivileged nobody;
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(bearer(), "s3cret-new");
  EXPECT_EQ(saved(), before);
  // The next one comes with a spent refresh token, and must say what went wrong.
  refreshed_ = refusal(400, "InvalidGrantException", R"({"error":"invalid_grant"})");
  const std::string said = fetch();
  EXPECT_TRUE(contains(said, "(InvalidGrantException)")) << said;
  EXPECT_TRUE(contains(said, "cannot be written, so a session that was refreshed cannot be kept there")) << said;
  EXPECT_TRUE(contains(said, kRemedy));
}

// ----------------------------------------------------------------------------------------------- GetRoleCredentials

TEST_F(Sso, AsksForTheRolesKeys) {
  setting("sso_role_name", "My Role+1");
  EXPECT_EQ(fetch(), "ASIAROLE");
  ASSERT_EQ(heard_.size(), 1u);
  const Heard& heard = heard_[0];
  EXPECT_EQ(heard.method, "GET");
  EXPECT_EQ(heard.target, "/federation/credentials?role_name=My%20Role%2B1&account_id=012345678901");
  EXPECT_EQ(bearer(), "s3cret-old");
  EXPECT_FALSE(heard.headers.contains("authorization"));
  EXPECT_NEAR(static_cast<double>(expires_), static_cast<double>(time(nullptr) + kHour), 5) << "not milliseconds";
  EXPECT_TRUE(clock_.learned);
}

TEST_F(Sso, ARefusedTokenNeedsALogin) {
  keys_ = refusal(401, "UnauthorizedException", R"({"message":"Session token not found or invalid"})");
  const std::string said = fetch();
  EXPECT_TRUE(contains(said,
                       "The SSO session associated with this profile has expired or is otherwise invalid. To refresh "
                       "this SSO session run aws sso login with the corresponding profile"))
      << said;
  EXPECT_TRUE(contains(said, kRemedy));
}

TEST_F(Sso, ARoleThatIsNotAssigned) {
  keys_ = refusal(403, "ForbiddenException:", R"({"message":"No access"})");
  std::string said = fetch();
  EXPECT_TRUE(contains(said,
                       "An error occurred (ForbiddenException) when calling the GetRoleCredentials operation: No "
                       "access; the user who logged in has no role Admin in account 012345678901"))
      << said;
  EXPECT_TRUE(contains(said, kRemedy));
  keys_ = {404, R"({"__type":"com.amazonaws.sso#ResourceNotFoundException","message":"gone"})"};
  said = fetch();
  EXPECT_TRUE(contains(said, "(ResourceNotFoundException) when calling the GetRoleCredentials operation: gone"))
      << said;
  EXPECT_TRUE(contains(said, "sso_account_id"));
}

TEST_F(Sso, TooManyRequestsAreTriedAgain) {
  keys_ = refusal(429, "TooManyRequestsException", R"({"message":"Slow down"})");
  const std::string said = fetch();
  EXPECT_TRUE(contains(said, "(TooManyRequestsException)")) << said;
  EXPECT_TRUE(contains(said, "try again"));
  EXPECT_EQ(heard_.size(), 1u);
  setting("max_attempts", "2");
  const std::string good = role_credentials(kHour);
  int asked = 0;
  on_keys_ = [&] {
    if (++asked == 2) keys_ = {200, good};
  };
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(heard_.size(), 2u);
}

TEST_F(Sso, AnAnswerThatIsNone) {
  const auto says = [&](Reply reply) {
    keys_ = std::move(reply);
    const std::string said = fetch(milliseconds(400));
    EXPECT_TRUE(contains(said, "GetRoleCredentials: ")) << said;
    return said;
  };
  EXPECT_TRUE(
      contains(says({502, "<html>s3cret", {{"Content-Type", "text/html"}}}), "status 502, text/html, 12 bytes"));
  EXPECT_TRUE(contains(says({400, "[]"}), "status 400"));
  EXPECT_TRUE(contains(says({302, "", {{"Location", "http://127.0.0.1:1/"}}}), "status 302"));
  for (const char* body :
       {"", "s3cret", "{}", R"({"roleCredentials":null})", R"({"roleCredentials":["s3cret"]})",
        R"({"roleCredentials":{"accessKeyId":"A","secretAccessKey":"s3cret","sessionToken":"s3cret"}})",
        R"({"roleCredentials":{"accessKeyId":"A","secretAccessKey":"s3cret","expiration":99999999999999}})",
        R"({"roleCredentials":{"accessKeyId":1,"secretAccessKey":2,"sessionToken":3,"expiration":"x"}})"}) {
    EXPECT_TRUE(contains(says({200, body}), "holds no credentials (status 200, application/json")) << body;
  }
  EXPECT_TRUE(contains(says({200, role_credentials(-1)}),
                       "credentials were refreshed, but the refreshed credentials are still expired"));
  for (const Manner manner : {Manner::kTruncated, Manner::kDropped, Manner::kNotHttp, Manner::kSilent}) {
    EXPECT_TRUE(contains(says({200, role_credentials(kHour), {}, manner}), "cannot reach http://127.0.0.1"));
  }
}

TEST_F(Sso, AnAnswerInPiecesIsWhole) {
  save(token(kInWindow));
  keys_.manner = Manner::kInPieces;
  refreshed_.manner = Manner::kInPieces;
  EXPECT_EQ(fetch(), "ASIAROLE");
  EXPECT_EQ(bearer(), "s3cret-new");
}

TEST_F(Sso, NobodyListens) {
  const std::string said = fetch_from("http://127.0.0.1:" + std::to_string(closed_port()));
  EXPECT_TRUE(contains(said, "GetRoleCredentials: cannot reach http://127.0.0.1:")) << said;
  EXPECT_TRUE(contains(said, "/federation/credentials: "));
  EXPECT_TRUE(contains(said, "check the network and HTTPS_PROXY"));
}

TEST_F(Sso, TheDeadlineHolds) {
  save(token(-1));
  refreshed_.manner = Manner::kSilent;
  const auto begin = std::chrono::steady_clock::now();
  fetch(milliseconds(300));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(1500));
}

TEST_F(Sso, TheCommandCanBePasted) {
  std::filesystem::remove(path_);
  const auto remedy = [&](const std::string& profile, const std::string& session) {
    setting("profile", profile);
    setting("sso_session", session);
    const auto found = fetch_sso(query(milliseconds(1000)));
    return found ? "" : found.error().text.substr(found.error().text.rfind("; run: ") + 7);
  };
  EXPECT_EQ(remedy("my prof", "corp"), "aws sso login --profile 'my prof'");
  EXPECT_EQ(remedy("", "corp"), "aws sso login --sso-session corp");
  EXPECT_EQ(remedy("", ""), "aws sso login");
}

TEST_F(Sso, TheSessionsRegionIsNeeded) {
  setting("region", "");
  const auto found = fetch_sso(query(milliseconds(1000)));
  ASSERT_FALSE(found);
  EXPECT_TRUE(contains(found.error().text, "sso_region")) << found.error().text;
}

}  // namespace
}  // namespace pqmint
