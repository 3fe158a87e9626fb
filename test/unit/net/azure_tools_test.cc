// SPDX-License-Identifier: PostgreSQL
// az, azd and pwsh, played by scripts in a folder of PATH's: how they are called and what they may answer.

#include "net/digest.h"
#include "source_fixture.h"

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
  EXPECT_TRUE(contains(told(fetch_azure_cli, milliseconds(300)), "ABSENT az was not done in time"));
}

TEST_F(AzureTools, NothingStrangeBecomesPartOfACommand) {
  tool("az", "{}");
  for (const char* tenant : {"t;reboot", "t'x", "t x", "$(x)"}) {
    setting("tenant_id", tenant);
    EXPECT_TRUE(contains(told(fetch_azure_cli), "has a character that none has")) << tenant;
  }
  EXPECT_EQ(asked(), "");
}

}  // namespace
}  // namespace pqmint
