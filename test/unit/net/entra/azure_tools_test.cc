// SPDX-License-Identifier: PostgreSQL
// az, azd and pwsh, played by scripts in a folder of PATH's: how they are called and what they may answer.

#include "net/digest.h"
#include "net/source_fixture.h"

namespace pqmint {
namespace {

using std::chrono::milliseconds;
using test::contains;

class AzureTools : public test::SourceTest {
 protected:
  AzureTools() : path_(getenv("PATH")) {
    std::filesystem::create_directory(home + "/bin");
    set("PATH", home + "/bin:/usr/bin:/bin");
    setting("scope", "https://ossrdbms-aad.database.windows.net/.default");
  }
  ~AzureTools() override { set("PATH", path_); }

  /// A tool that notes its arguments and prints this.
  void tool(const std::string& name, const std::string& prints, int status = 0) {
    const std::string file =
        write("bin/" + name, "#!/bin/sh\nfor a; do printf '[%s]' \"$a\"; done >" + home + "/asked\ncat " + home +
                                 "/prints\necho 's3cret warning' >&2\nexit " + std::to_string(status) + "\n");
    write("prints", prints);
    chmod(file.c_str(), 0700);
  }
  std::string asked() {
    std::ifstream file(home + "/asked");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string path_;
};

TEST_F(AzureTools, TheAzureCli) {
  tool(
      "az",
      R"({"accessToken":"a.b.c","expires_on":4072163696,"expiresOn":"2020-01-01 00:00:00.000000","tokenType":"Bearer"})");
  EXPECT_EQ(told(fetch_azure_cli), "OK ");
  EXPECT_EQ(asked(),
            "[account][get-access-token][--output][json][--resource][https://ossrdbms-aad.database.windows.net]");
  EXPECT_EQ(ask(fetch_azure_cli)->expires, 4072163696);
  setting("tenant_id", "t-1");
  told(fetch_azure_cli);
  EXPECT_TRUE(asked().ends_with("[--tenant][t-1]"));
}

/// The recorded calls of the official SDK that can be made by a token spec.
TEST_F(AzureTools, CalledAsTheSdkCallsThem) {
  int compared = 0;
  const Json::Value all = test::vectors("azure_requests.json")["cases"];
  for (const std::string& name : all.getMemberNames()) {
    const Json::Value& argv = all[name]["tool_invocations"][0]["argv"];
    const bool is_ours = name.starts_with("tool/") && argv.isArray() && !argv.empty();
    if (!is_ours) continue;
    const std::string program = argv[0].asString().substr(argv[0].asString().rfind('/') + 1);
    std::string expected, scope, tenant;
    for (Json::ArrayIndex i = 1; i < argv.size(); ++i) {
      const std::string before = argv[i - 1].asString(), word = argv[i].asString();
      expected += "[" + word + "]";
      if (before == "--resource") scope = word + "/.default";
      if (before == "--scope") scope = word;
      if (before.starts_with("--tenant")) tenant = word;
    }
    // No token spec names a subscription, and PowerShell gets its script in another encoding.
    if (contains(expected, "--subscription") || program == "pwsh") continue;
    SCOPED_TRACE(name);
    setting("scope", scope);
    setting("tenant_id", tenant);
    tool(program,
         R"({"accessToken":"a.b.c","token":"a.b.c","expires_on":4072163696,"expiresOn":"2099-01-15T12:34:56Z"})");
    EXPECT_EQ(told(program == "az" ? fetch_azure_cli : fetch_azure_developer_cli), "OK ");
    EXPECT_EQ(asked(), expected);
    ++compared;
  }
  EXPECT_GE(compared, 5);
}

TEST_F(AzureTools, TheChildHasNothingOfOurs) {
  tool("az", R"({"accessToken":"a.b.c","expires_on":4072163696})");
  write("bin/az", "#!/bin/sh\n{ pwd; echo \"$LD_PRELOAD\"; cat; } >" + home + "/asked\ncat " + home + "/prints\n");
  set("LD_PRELOAD", "/nowhere/libpqmint.so");
  EXPECT_EQ(told(fetch_azure_cli), "OK ");
  unsetenv("LD_PRELOAD");
  EXPECT_EQ(asked(), "/\n\n") << "the folder, no preload, nothing on stdin";
}

TEST_F(AzureTools, TheChildHasNoSecretOfOtherSources) {
  constexpr const char* kOthers[] = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
                                     "AWS_CONTAINER_AUTHORIZATION_TOKEN", "PGPASSWORD"};
  for (const char* name : kOthers) set(name, "s3cret");
  set("MSI_SECRET", "of-azure");
  for (const auto& [name, fetch] : {std::pair{"az", Source(fetch_azure_cli)},
                                    {"azd", Source(fetch_azure_developer_cli)},
                                    {"pwsh", Source(fetch_azure_powershell)}}) {
    const std::string file = write(std::string("bin/") + name, "#!/bin/sh\nenv >" + home + "/asked\nexit 1\n");
    chmod(file.c_str(), 0700);
    told(fetch);
    EXPECT_FALSE(contains(asked(), "s3cret")) << name << asked();
    EXPECT_TRUE(contains(asked(), "MSI_SECRET=of-azure")) << "Cloud Shell's az needs it";
  }
  for (const char* name : kOthers) unsetenv(name);
  unsetenv("MSI_SECRET");
}

TEST_F(AzureTools, AnOldAzureCliTellsItsOwnClocksTime) {
  set("TZ", "EST5EDT");
  tzset();
  tool("az", R"({"accessToken":"a.b.c","expiresOn":"2099-01-15 07:34:56.000000"})");
  EXPECT_EQ(ask(fetch_azure_cli)->expires, 4072163696);
  unsetenv("TZ");
  tzset();
}

TEST_F(AzureTools, TheDeveloperCli) {
  tool("azd", R"({"token":"a.b.c","expiresOn":"2099-01-15T12:34:56Z"})");
  setting("tenant_id", "t-1");
  EXPECT_EQ(told(fetch_azure_developer_cli), "OK ");
  EXPECT_EQ(asked(),
            "[auth][token][--output][json][--no-prompt][--scope][https://ossrdbms-aad.database.windows.net/.default]"
            "[--tenant-id][t-1]");
}

TEST_F(AzureTools, PowerShell) {
  tool("pwsh", R"({"Token":"a.b.c","ExpiresOn":4072163696000})");
  setting("tenant_id", "t-1");
  EXPECT_EQ(told(fetch_azure_powershell), "OK ");
  EXPECT_EQ(ask(fetch_azure_powershell)->expires, 4072163696);
  const std::string argv = asked();
  EXPECT_TRUE(argv.starts_with("[-NoProfile][-NonInteractive][-EncodedCommand]["));
  std::string base64 = argv.substr(argv.rfind('[') + 1);
  base64.pop_back();
  for (char& c : base64) c = c == '+' ? '-' : c == '/' ? '_' : c;
  std::string script;
  for (const char c : base64url_decode(base64)) {
    if (c != '\0') script += c;
  }
  EXPECT_TRUE(contains(script, "Get-AzAccessToken @a"));
  EXPECT_TRUE(contains(script, "ResourceUrl = 'https://ossrdbms-aad.database.windows.net'"));
  EXPECT_TRUE(contains(script, "TenantId = 't-1'"));
}

TEST_F(AzureTools, WhatIsNotThereOrNotLoggedInIsAbsent) {
  set("PATH", home + "/bin");
  EXPECT_TRUE(contains(told(fetch_azure_cli), "ABSENT az is not installed (https://aka.ms/azure-cli)"));
  EXPECT_TRUE(contains(told(fetch_azure_developer_cli), "ABSENT azd is not installed"));
  EXPECT_TRUE(contains(told(fetch_azure_powershell), "ABSENT pwsh is not installed"));
  set("PATH", home + "/bin:/usr/bin:/bin");
  tool("az", "s3cret", 1);
  EXPECT_TRUE(
      contains(told(fetch_azure_cli), "ABSENT az ended with exit status 1; is somebody logged in? Run az login"));
  tool("az", "s3cret");
  EXPECT_TRUE(contains(told(fetch_azure_cli), "ABSENT az did not print JSON"));
  tool("az", "{}");
  EXPECT_TRUE(contains(told(fetch_azure_cli), "ABSENT az printed no token"));
  tool("az", R"({"accessToken":"a.b.c","expires_on":1})");
  EXPECT_TRUE(contains(told(fetch_azure_cli), "has expired"));
  const std::string slow = write("bin/az", "#!/bin/sh\nsleep 30\n");
  chmod(slow.c_str(), 0700);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(contains(told(fetch_azure_cli, milliseconds(300)), "ABSENT az was not done in time; run it by hand"));
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(2000));
}

/// az says on stderr what is wrong and what to run; anything may stand beside it.
TEST_F(AzureTools, WhatAzAdvisesIsPassedOn) {
  const auto said = [&](const std::string& complaint) {
    const std::string az = write("bin/az", "#!/bin/sh\ncat >&2 <<'END'\n" + complaint + "\nEND\nexit 1\n");
    chmod(az.c_str(), 0700);
    return told(fetch_azure_cli);
  };
  EXPECT_EQ(
      said("ERROR: AADSTS700082: The refresh token has expired. s3cret\nTo re-authenticate, please run:\naz login "
           "--scope https://ossrdbms-aad.database.windows.net/.default\n"),
      "ABSENT az ended with exit status 1 and says AADSTS700082; run az login --scope "
      "https://ossrdbms-aad.database.windows.net/.default");
  EXPECT_EQ(said("Please run 'az login' to setup account."),
            "ABSENT az ended with exit status 1; is somebody logged in? Run az login");
  EXPECT_EQ(said("az login --scope eyJhbGciOi.eyJz.x"),
            "ABSENT az ended with exit status 1; is somebody logged in? Run az login");
  EXPECT_EQ(said("az login --tenant t; curl evil"),
            "ABSENT az ended with exit status 1; is somebody logged in? Run az login");
  EXPECT_EQ(said("az login --scope s3cret-that-is-no-scope"),
            "ABSENT az ended with exit status 1; is somebody logged in? Run az login");
  EXPECT_EQ(said("Run: az login --tenant \"11111111-2222-3333-4444-555555555555\" --allow-no-subscriptions."),
            "ABSENT az ended with exit status 1; is somebody logged in? Run az login --tenant "
            "11111111-2222-3333-4444-555555555555 --allow-no-subscriptions");
}

/// A tool that complains without end is not made to wait for a reader, and costs no memory.
TEST_F(AzureTools, AnEndlessComplaintHoldsNobodyUp) {
  const std::string az = write("bin/az", "#!/bin/sh\nhead -c 5000000 /dev/zero >&2\nexit 3\n");
  chmod(az.c_str(), 0700);
  EXPECT_TRUE(contains(told(fetch_azure_cli), "ABSENT az ended with exit status 3"));
}

TEST_F(AzureTools, WhatAToolSaysOfEntraIsSearchable) {
  tool("azd", R"({"type":"consoleMessage","data":{"message":"AADSTS70043: s3cret eyJhbGciOi.eyJz.x"}})", 1);
  EXPECT_EQ(told(fetch_azure_developer_cli),
            "ABSENT azd ended with exit status 1 and says AADSTS70043; run azd auth login");
  tool("azd", R"({"token":"not a password","expiresOn":"2099-01-15T12:34:56Z"})");
  EXPECT_TRUE(contains(told(fetch_azure_developer_cli), "ABSENT azd: Microsoft Entra's access token has characters"));
  tool("azd", R"({"token":{"a":1},"expiresOn":["2099"]})");
  EXPECT_TRUE(contains(told(fetch_azure_developer_cli), "ABSENT azd printed no token that can be read"));
  tool("azd", R"({"token":"a.b.c","expiresOn":)");
  EXPECT_TRUE(contains(told(fetch_azure_developer_cli), "ABSENT azd did not print JSON"));
  tool("pwsh", std::string((1 << 20) + 1, 'x'));
  EXPECT_EQ(told(fetch_azure_powershell), "ABSENT pwsh wrote more than 1 MiB");
}

TEST_F(AzureTools, AnAnswerMayComeInPieces) {
  tool("az", "");
  write("bin/az", "#!/bin/sh\nprintf '{\"accessToken\":\"a.b'\nsleep 0.1\nprintf '.c\",\"expires_on\":4072163696}'\n");
  EXPECT_EQ(ask(fetch_azure_cli)->token.reveal(), "a.b.c");
}

TEST_F(AzureTools, NothingStrangeBecomesPartOfACommand) {
  tool("az", "{}");
  for (const char* tenant :
       {"t;reboot", "t'x", "t\"x", "t x", "t\nx", "$(x)", "`x`", "t|x", "t&x", "t>x", "-u", "a/b"}) {
    setting("tenant_id", tenant);
    EXPECT_TRUE(contains(told(fetch_azure_cli), "has a character that none has")) << tenant;
  }
  setting("tenant_id", "");
  for (const char* scope : {"https://x/.default'; reboot", "--debug", "a b"}) {
    setting("scope", scope);
    EXPECT_TRUE(contains(told(fetch_azure_cli), "scope= in the token spec has a character that none has")) << scope;
    EXPECT_TRUE(contains(told(fetch_azure_powershell), "has a character that none has")) << scope;
  }
  EXPECT_EQ(asked(), "");
}

}  // namespace
}  // namespace pqmint
