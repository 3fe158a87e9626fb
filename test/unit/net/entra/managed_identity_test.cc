// SPDX-License-Identifier: PostgreSQL
// The six platforms that give a machine an identity: which one it is, what is asked, and what may go wrong.

#include <sys/fsuid.h>

#include "net/digest.h"
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

constexpr char kResource[] = "resource=https%3A%2F%2Fossrdbms-aad.database.windows.net";

Reply granting(const std::string& more = R"("expires_on":"4072163696")") {
  return {200, R"({"access_token":"a.b.c","token_type":"Bearer",)" + more + "}"};
}

class ManagedIdentity : public test::SourceTest {
 protected:
  ManagedIdentity() {
    setting("scope", "https://ossrdbms-aad.database.windows.net/.default");
    setting("arc_agent", "/nowhere");
    setting("imds_host", "http://127.0.0.1:" + std::to_string(closed_port()));
  }
  std::string ask_of(HttpServer& server, const std::vector<std::string>& endpoint_settings,
                     milliseconds time = milliseconds(5000)) {
    for (const std::string& name : endpoint_settings) setting(name, server.url() + "/e");
    return told(fetch_managed_identity, time);
  }
};

TEST_F(ManagedIdentity, AppService) {
  HttpServer server([](const Heard&) { return granting(); });
  setting("identity_header", "s3cret-header");
  EXPECT_EQ(ask_of(server, {"identity_endpoint"}), "OK ");
  EXPECT_EQ(server.heard()[0].target, std::string("/e?api-version=2019-08-01&") + kResource);
  EXPECT_EQ(server.heard()[0].headers.at("x-identity-header"), "s3cret-header");
  setting("client_id", "c-1");
  ask_of(server, {"identity_endpoint", "msi_endpoint"});
  EXPECT_TRUE(server.heard()[1].target.ends_with("&client_id=c-1")) << "App Service comes before the older variables";
  setting("identity_endpoint", server.url() + "/e?own=1");
  told(fetch_managed_identity);
  EXPECT_TRUE(server.heard()[2].target.starts_with("/e?own=1&api-version="));
}

/// The official SDK's recorded requests, but for identities that are selected by what no token spec has.
TEST_F(ManagedIdentity, AsksAsTheSdkDoes) {
  constexpr const char* kCompared[] = {"metadata", "secret", "x-identity-header", "authorization", "content-type"};
  std::filesystem::create_directory(home + "/tokens");
  for (const char* key : {"oracle.txt", "oracle-ok.key"}) write(std::string("tokens/") + key, "ARCSECRET");
  const auto all_of = [](std::string text, const std::string& what, const std::string& by) {
    for (size_t at; (at = text.find(what)) != text.npos;) text.replace(at, what.size(), by);
    return text;
  };
  int compared = 0;
  const Json::Value all = test::vectors("azure_requests.json")["cases"];
  for (const std::string& name : all.getMemberNames()) {
    const Json::Value& requests = all[name]["requests"];
    const bool is_ours = name.starts_with("imds/") || name.starts_with("mi/");
    if (!is_ours || requests.empty() || !requests[0].isMember("raw_target")) continue;
    SCOPED_TRACE(name);
    std::string client, selected_otherwise;
    for (const Json::Value& pair : requests[0]["query"]) {
      const std::string key = pair[0].asString();
      if (key == "client_id" || key == "clientid") client = pair[1].asString();
      if (key == "object_id" || key == "principal_id" || key.ends_with("res_id")) selected_otherwise = key;
    }
    if (!selected_otherwise.empty()) continue;

    // What was answered matters here for Arc alone: whether a key is asked for, and which.
    size_t answered = 0;
    HttpServer server([&](const Heard&) {
      const Json::Value& answer = requests[static_cast<Json::ArrayIndex>(answered++)]["answer"];
      if (!answer.isObject() || answer["status"].asInt() != 401) return granting();
      const std::string challenge = answer["headers"].get("WWW-Authenticate", "").asString();
      return Reply{401, "", {{"WWW-Authenticate", all_of(challenge, "/var/opt/azcmagent/", home + "/")}}};
    });
    const std::string here = "127.0.0.1:" + std::to_string(server.port());
    values_.clear();
    setting("scope", "https://ossrdbms-aad.database.windows.net" +
                         std::string(name == "imds/double-slash-scope" ? "/" : "") + "/.default");
    setting("arc_agent", "/nowhere");
    setting("arc_key_directory", home + "/tokens/");
    setting("imds_host", server.url());
    const Json::Value& environment = all[name]["env"];
    for (const std::string& variable : environment.getMemberNames()) {
      std::string setting_name = variable.starts_with("AZURE_") ? variable.substr(6) : variable;
      for (char& c : setting_name) c = static_cast<char>(tolower(c));
      setting(setting_name,
              all_of(all_of(environment[variable].asString(), "127.0.0.1:43071", here), "localhost:43071", here));
    }
    if (client != environment.get("DEFAULT_IDENTITY_CLIENT_ID", "").asString()) setting("client_id", client);
    told(fetch_managed_identity);

    // The pauses between tries have their own test.
    const bool is_arc = name.starts_with("mi/arc");
    ASSERT_EQ(server.count(), is_arc ? requests.size() : 1u);
    for (size_t i = 0; i < server.count(); ++i) {
      const Json::Value& expected = requests[static_cast<Json::ArrayIndex>(i)];
      const Heard heard = server.heard()[i];
      EXPECT_EQ(heard.method, expected["method"].asString());
      // With an override the SDK adds slashes that nobody asked for (spec/azure.md 7).
      std::string target = expected["raw_target"].asString();
      target = all_of(all_of(target, "http://169.254.169.254", ""), "//metadata", "/metadata");
      EXPECT_EQ(heard.target, all_of(target, "token/?", "token?"));
      EXPECT_EQ(heard.body, expected.get("raw_body", "").asString());
      for (const char* header : kCompared) {
        const auto found = heard.headers.find(header);
        EXPECT_EQ(found == heard.headers.end() ? "" : found->second, expected["headers"].get(header, "").asString())
            << header;
      }
    }
    ++compared;
  }
  EXPECT_GE(compared, 20);
}

TEST_F(ManagedIdentity, MachineLearning) {
  HttpServer server([](const Heard&) { return granting(); });
  setting("msi_secret", "s3cret-header");
  setting("default_identity_client_id", "d-1");
  EXPECT_EQ(ask_of(server, {"msi_endpoint"}), "OK ");
  EXPECT_EQ(server.heard()[0].target, std::string("/e?api-version=2017-09-01&") + kResource + "&clientid=d-1");
  EXPECT_EQ(server.heard()[0].headers.at("secret"), "s3cret-header");
}

TEST_F(ManagedIdentity, CloudShell) {
  HttpServer server([](const Heard&) { return granting(); });
  EXPECT_EQ(ask_of(server, {"msi_endpoint"}), "OK ");
  EXPECT_EQ(server.heard()[0].method, "POST");
  EXPECT_EQ(server.heard()[0].body, kResource);
  EXPECT_EQ(server.heard()[0].headers.at("metadata"), "true");
  setting("client_id", "c-1");
  EXPECT_TRUE(contains(told(fetch_managed_identity), "Cloud Shell has one identity only"));
}

TEST_F(ManagedIdentity, ServiceFabricIsPinned) {
  ASSERT_EQ(
      std::system(
          ("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=fabric -keyout " +
           home + "/k.pem -out " + home + "/c.pem 2>/dev/null; openssl x509 -in " + home + "/c.pem -outform DER -out " +
           home + "/c.der")
              .c_str()),
      0);
  std::ifstream der(home + "/c.der", std::ios::binary);
  const std::string thumbprint = hex(digest("SHA1", std::string(std::istreambuf_iterator<char>(der), {})));
  HttpServer server([](const Heard&) { return granting(); }, "127.0.0.1", 0, home + "/c.pem", home + "/k.pem");
  setting("identity_header", "s3cret-header");
  setting("identity_server_thumbprint", thumbprint.substr(0, 2) + ":" + thumbprint.substr(2));
  EXPECT_EQ(ask_of(server, {"identity_endpoint"}), "OK ");
  EXPECT_EQ(server.heard()[0].target, std::string("/e?api-version=2019-07-01-preview&") + kResource);
  setting("identity_server_thumbprint", std::string(40, '0'));
  EXPECT_TRUE(contains(told(fetch_managed_identity), "Service Fabric cannot be asked"));
  EXPECT_EQ(server.count(), 1u) << "no secret goes to a stranger";
  for (const char* none :
       {":", "BF1A", "no thumbprint of forty characters at all", "::::::::::::::::::::::::::::::::::::::::"}) {
    setting("identity_server_thumbprint", none);
    EXPECT_TRUE(contains(told(fetch_managed_identity), "IDENTITY_SERVER_THUMBPRINT is no SHA-1 thumbprint")) << none;
  }
  setting("identity_server_thumbprint", thumbprint);
  setting("client_id", "c-1");
  EXPECT_TRUE(contains(told(fetch_managed_identity), "a Service Fabric application has one identity only"));
  setting("client_id", "");
  setting("identity_endpoint", "http://127.0.0.1/");
  EXPECT_TRUE(contains(told(fetch_managed_identity), "must be an https URL"));
  EXPECT_EQ(server.count(), 1u);
}

// --- Arc

class Arc : public ManagedIdentity {
 protected:
  Arc() : server_([this](const Heard& heard) { return answer(heard); }) {
    setting("identity_endpoint", server_.url() + "/e");
    setting("imds_endpoint", "http://127.0.0.1:1");
    setting("arc_key_directory", home + "/tokens/");
    std::filesystem::create_directory(home + "/tokens");
    write("tokens/1.key", "s3cret-key\n");
  }
  Reply answer(const Heard& heard) {
    if (heard.headers.contains("authorization")) {
      return heard.headers.at("authorization") == "Basic s3cret-key"
                 ? granting(R"("expires_in":"3600","client_id":"C-1")")
                 : Reply{401, ""};
    }
    return challenge_.empty() ? Reply{200, granting().body} : Reply{401, "", {{"WWW-Authenticate", challenge_}}};
  }
  std::string challenged(const std::string& challenge) {
    challenge_ = challenge;
    return told(fetch_managed_identity);
  }
  std::string challenge_ = "Basic realm=" + home + "/tokens/1.key";
  HttpServer server_;
};

TEST_F(Arc, ProvesThatItMayReadTheKey) {
  EXPECT_EQ(challenged(challenge_), "OK ");
  EXPECT_EQ(server_.heard()[0].target, std::string("/e?api-version=2020-06-01&") + kResource);
  EXPECT_EQ(server_.heard()[1].headers.at("authorization"), "Basic s3cret-key");
  EXPECT_EQ(server_.heard()[1].headers.at("metadata"), "true");
}

TEST_F(Arc, TheIdentityMustBeConfirmed) {
  setting("client_id", "c-1");
  EXPECT_EQ(challenged(challenge_), "OK ");
  setting("client_id", "c-2");
  EXPECT_TRUE(contains(challenged(challenge_), "did not confirm"));
}

TEST_F(Arc, OnlyItsOwnKeysAreRead) {
  write("elsewhere.key", "s3cret");
  std::filesystem::create_directory(home + "/tokens/deeper");
  write("tokens/deeper/1.key", "s3cret");
  write("tokens/1.txt", "s3cret");
  for (const std::string& path :
       {home + "/elsewhere.key", home + "/tokens/../elsewhere.key", home + "/tokens/deeper/1.key",
        home + "/tokens/1.txt", std::string("/etc/passwd"), std::string()}) {
    EXPECT_TRUE(contains(challenged("Basic realm=" + path), "which is not read")) << path;
  }
  std::filesystem::create_symlink(home + "/elsewhere.key", home + "/tokens/link.key");
  EXPECT_TRUE(contains(challenged("Basic realm=" + home + "/tokens/link.key"), "it is a link"));
  std::filesystem::create_directory(home + "/tokens/folder.key");
  EXPECT_TRUE(contains(challenged("Basic realm=" + home + "/tokens/folder.key"), "no regular file"));
  for (const char* nothing : {"", "\n", "a\nX-Injected: 1"}) {
    write("tokens/bad.key", nothing);
    EXPECT_TRUE(contains(challenged("Basic realm=" + home + "/tokens/bad.key"), "it holds no key"));
  }
  write("tokens/long.key", std::string(4097, 'x'));
  EXPECT_TRUE(contains(challenged("Basic realm=" + home + "/tokens/long.key"), "larger than 4096 bytes"));
  EXPECT_TRUE(contains(challenged("Basic realm=" + home + "/tokens/2.key"), "No such file"));
  EXPECT_TRUE(contains(challenged("Bearer realm=" + home + "/tokens/1.key"), "gave no challenge"));
  EXPECT_TRUE(contains(challenged(""), "gave no challenge")) << "a token without a challenge is nobody's we know";
  for (const Heard& heard : server_.heard()) EXPECT_FALSE(heard.headers.contains("authorization"));
}

TEST_F(Arc, WhoMayNotReadTheKeyIsToldWhichGroup) {
  std::filesystem::permissions(home + "/tokens/1.key", std::filesystem::perms::none);
  // Of this thread alone, for files alone: root reads everything.
  const int before = setfsuid(65534);
  const std::string said = challenged(challenge_);
  setfsuid(static_cast<uid_t>(before));
  EXPECT_TRUE(contains(said, "permission denied; add the user of this program to the group himds")) << said;
}

TEST_F(Arc, ItsOwnErrorsAreTold) {
  HttpServer agent([](const Heard&) { return Reply{400, R"({"error":"invalid_request","error_description":"x y"})"}; });
  setting("identity_endpoint", agent.url());
  EXPECT_TRUE(contains(told(fetch_managed_identity), "Azure Arc gives no token: invalid_request: x y (status 400)"));
  write("tokens/1.key", "another key");
  setting("identity_endpoint", server_.url() + "/e");
  EXPECT_TRUE(contains(challenged(challenge_), "Azure Arc gives no token: status 401"));
  setting("identity_endpoint", "http://127.0.0.1:" + std::to_string(closed_port()) + "/e");
  EXPECT_TRUE(contains(told(fetch_managed_identity), "Azure Arc cannot be asked for a token"));
}

TEST_F(Arc, AnInstalledAgentIsEnough) {
  setting("identity_endpoint", "");
  setting("imds_endpoint", "");
  setting("arc_agent", write("himds", ""));
  // Its usual port is nobody's in a test; that it was tried says enough.
  EXPECT_TRUE(contains(told(fetch_managed_identity, milliseconds(500)), "Azure Arc "));
}

// --- IMDS

class AzureImds : public ManagedIdentity {
 protected:
  std::string from(Reply reply, bool probe = false, milliseconds time = milliseconds(3000)) {
    HttpServer server([&](const Heard& heard) {
      return heard.headers.contains("metadata") ? reply : Reply{400, R"({"error":"bad_request_102"})"};
    });
    setting("imds_host", server.url());
    setting("probe", probe ? "true" : "");
    const std::string said = told(fetch_managed_identity, time);
    heard_ = server.heard();
    return said;
  }
  std::vector<Heard> heard_;
};

TEST_F(AzureImds, ProbeAndRequest) {
  EXPECT_EQ(from(granting(), true), "OK ");
  ASSERT_EQ(heard_.size(), 2u);
  EXPECT_EQ(heard_[0].target, "/metadata/identity/oauth2/token");
  EXPECT_FALSE(heard_[0].headers.contains("metadata"));
  EXPECT_EQ(heard_[1].target, std::string("/metadata/identity/oauth2/token?api-version=2018-02-01&") + kResource);
  setting("client_id", "c-1");
  from(granting());
  ASSERT_EQ(heard_.size(), 1u);
  EXPECT_TRUE(heard_[0].target.ends_with("&client_id=c-1"));
  Reply pieces = granting();
  pieces.manner = Manner::kInPieces;
  EXPECT_EQ(from(pieces), "OK ");
}

TEST_F(AzureImds, NobodyThere) {
  setting("probe", "true");
  EXPECT_TRUE(contains(told(fetch_managed_identity), "ABSENT no metadata service"));
  HttpServer silent([](const Heard&) { return Reply{200, "", {}, Manner::kSilent}; });
  setting("imds_host", silent.url());
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(contains(told(fetch_managed_identity), "ABSENT no metadata service"));
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(2000));
  HttpServer docker([](const Heard&) { return Reply{403, "connecting to 169.254.169.254: network unreachable"}; });
  setting("imds_host", docker.url());
  EXPECT_TRUE(contains(told(fetch_managed_identity), "ABSENT no metadata service"));
}

TEST_F(AzureImds, Refusals) {
  const Reply no_identity = {400, R"({"error":"invalid_request","error_description":"Identity not found"})"};
  EXPECT_TRUE(contains(from(no_identity), "ABSENT this machine has no system-assigned identity"));
  setting("client_id", "c-1");
  EXPECT_TRUE(contains(from(no_identity), "no managed identity with the client id c-1"));
  EXPECT_TRUE(
      contains(from({400, R"({"error":"invalid_resource","error_description":"AADSTS500011: x"})"}), "AADSTS500011"));
  EXPECT_TRUE(contains(from({200, "<html>captive", {{"Content-Type", "text/html"}}}),
                       "ABSENT no metadata service, but something"));
  EXPECT_TRUE(contains(from({200, R"({"access_token":"a.b.c"})"}), "holds no token"));
  EXPECT_TRUE(contains(from({200, "{}"}), "holds no token"));
}

TEST_F(AzureImds, WhatMayPassIsTriedAgain) {
  for (const int status : {404, 410, 429, 500}) {
    int count = 0;
    HttpServer server([&](const Heard&) { return ++count == 1 ? Reply{status, ""} : granting(); });
    setting("imds_host", server.url());
    EXPECT_EQ(told(fetch_managed_identity), "OK ") << status;
  }
  EXPECT_TRUE(contains(from({410, ""}, false, milliseconds(500)), "status 410")) << "no connection waits for 70 s";
  EXPECT_TRUE(contains(from({410, ""}, false, milliseconds(500)), "it is busy or being updated"));
  EXPECT_TRUE(contains(from({429, "", {{"Retry-After", "6"}}}, false, milliseconds(20000)), "status 429"));
  EXPECT_EQ(heard_.size(), 1u) << "6 s are more than a connection waits";
  int count = 0;
  HttpServer busy([&](const Heard&) { return ++count == 1 ? Reply{429, "", {{"Retry-After", "0"}}} : granting(); });
  setting("imds_host", busy.url());
  EXPECT_EQ(told(fetch_managed_identity, milliseconds(300)), "OK ") << "as soon as it allows";
  EXPECT_TRUE(
      contains(from({200, "x", {}, Manner::kTruncated}, false, milliseconds(500)), "ABSENT no metadata service"));
}

TEST_F(AzureImds, OneThatAnsweredTheProbeIsThere) {
  for (const Manner manner : {Manner::kDropped, Manner::kTruncated, Manner::kSilent, Manner::kNotHttp}) {
    const std::string said = from({200, "0123456789", {}, manner}, true, milliseconds(500));
    EXPECT_TRUE(said.starts_with("the metadata service cannot be asked for a token")) << said;
  }
}

TEST_F(AzureImds, WhatItSaysIsTold) {
  const std::string body =
      R"({"error":"invalid_request","error_description":"x\ny","correlation_id":"c0ffee","trace":"s3cret"})";
  const std::string said = from({403, body});
  EXPECT_TRUE(contains(said, "invalid_request: x?y (status 403, correlation id c0ffee)")) << said;
  EXPECT_TRUE(
      contains(from({400, R"({"error":"x","error_description":"AADSTS50001: y"})"}), "does not know the resource"));
  EXPECT_TRUE(contains(from({302, "", {{"Location", "http://127.0.0.1:1/"}}}), "status 302")) << "none is followed";
  EXPECT_EQ(heard_.size(), 1u);
  EXPECT_TRUE(contains(from({403, "dial tcp: unreachable network"}), "ABSENT no metadata service"));
}

TEST_F(AzureImds, RenewalAndExpiry) {
  HttpServer server([](const Heard&) { return granting(R"("expires_in":"86400")"); });
  setting("imds_host", server.url());
  const auto found = ask(fetch_managed_identity);
  ASSERT_TRUE(found);
  EXPECT_NEAR(static_cast<double>(found->expires - time(nullptr)), 86400, 2);
  EXPECT_NEAR(static_cast<double>(found->refresh_at - time(nullptr)), 43200, 2);
  for (const char* spelling :
       {R"("expires_on":"4072163696")", R"("expires_on":4072163696)", R"("expires_on":"2099-01-15T12:34:56Z")",
        R"("expires_on":"2099-01-15 12:34:56")", R"("expires_on":"01/15/2099 12:34:56 +00:00")"}) {
    HttpServer other([&](const Heard&) { return granting(spelling); });
    setting("imds_host", other.url());
    const auto spelt = ask(fetch_managed_identity);
    ASSERT_TRUE(spelt) << spelling;
    EXPECT_EQ(spelt->expires, 4072163696) << spelling;
  }
}

TEST_F(AzureImds, AnOverrideIsNotProbed) {
  HttpServer server([](const Heard&) { return granting(); });
  setting("probe", "true");
  setting("pod_identity_authority_host", server.url() + "//");
  EXPECT_EQ(told(fetch_managed_identity), "OK ");
  ASSERT_EQ(server.count(), 1u);
  EXPECT_TRUE(server.heard()[0].target.starts_with("/metadata/identity/oauth2/token?"));
  setting("pod_identity_authority_host", "http://192.0.2.1");
  EXPECT_TRUE(contains(told(fetch_managed_identity, milliseconds(500)), "correct AZURE_POD_IDENTITY_AUTHORITY_HOST"));
}

TEST_F(AzureImds, OnlyNearAddressesAreAskedInClear) {
  setting("identity_header", "s3cret-header");
  for (const char* endpoint : {"http://192.0.2.1/e", "http://[2001:db8::1]/e"}) {
    setting("identity_endpoint", endpoint);
    EXPECT_TRUE(contains(told(fetch_managed_identity, milliseconds(500)), "an address that is not allowed"))
        << endpoint;
  }
  setting("identity_endpoint", "nonsense");
  EXPECT_TRUE(contains(told(fetch_managed_identity), "no http or https URL"));
}

TEST_F(ManagedIdentity, PlatformsThatFailStopTheChain) {
  setting("identity_header", "h");
  for (const Reply& reply :
       {Reply{400, R"({"statusCode":400,"message":"No User Assigned identity"})"}, Reply{403, "x"}, Reply{200, "x"},
        Reply{200, "0123456789", {}, Manner::kTruncated}, Reply{200, "", {}, Manner::kDropped}}) {
    HttpServer server([&](const Heard&) { return reply; });
    const std::string said = ask_of(server, {"identity_endpoint"}, milliseconds(500));
    EXPECT_TRUE(contains(said, "App Service")) << said;
    EXPECT_FALSE(said.starts_with("ABSENT")) << said;
  }
  setting("identity_endpoint", "http://127.0.0.1:" + std::to_string(closed_port()) + "/e");
  EXPECT_TRUE(contains(told(fetch_managed_identity), "App Service cannot be asked for a token: "));
}

}  // namespace
}  // namespace pqmint
