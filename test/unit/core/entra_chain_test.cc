// SPDX-License-Identifier: PostgreSQL
// Which identity asks Entra for a token: DefaultAzureCredential's order, and where its secrets may go.

#include "core/entra_chain.h"

#include <gtest/gtest.h>

#include "../support.h"

namespace pqmint {
namespace {

using test::contains;

constexpr char kHost[] = "orders.postgres.database.azure.com";

class EntraChain : public test::CleanEnvironment {
 protected:
  /// "source setting=value ..., source ...", or the error.
  std::string plan(const EntraWish& wish = {}, const std::string& host = kHost, HostKind kind = HostKind::kAzure) {
    trail_.clear();
    const auto plans = plan_entra(wish, host, kind, trail_);
    if (!plans) return plans.error().text;
    std::string out;
    for (const CredentialPlan& each : *plans) {
      out += (out.empty() ? "" : ", ") + each.source;
      for (const auto& [name, value] : each.settings) {
        if (name != "scope" && name != "authority") out += " " + name + "=" + std::string(value.reveal());
      }
    }
    return out;
  }
  std::string setting(const char* wanted, const EntraWish& wish = {}, const std::string& host = kHost,
                      HostKind kind = HostKind::kAzure) {
    trail_.clear();
    const auto plans = plan_entra(wish, host, kind, trail_);
    if (!plans) return plans.error().text;
    for (const auto& [name, value] : plans->front().settings) {
      if (name == wanted) return std::string(value.reveal());
    }
    return "";
  }
  static void application() {
    set("AZURE_TENANT_ID", "t-1");
    set("AZURE_CLIENT_ID", "c-1");
    set("AZURE_CLIENT_SECRET", " s3cret ");
  }

  Trail trail_;
};

constexpr char kTools[] = "azure-cli, azure-powershell, azure-developer-cli";

TEST_F(EntraChain, WithNothingSetTheMachineAndItsToolsAreAsked) {
  EXPECT_EQ(plan(), "managed-identity probe=true, " + std::string(kTools));
  ASSERT_EQ(trail_.size(), 2u);
  EXPECT_EQ(trail_[0].second, "AZURE_TENANT_ID and AZURE_CLIENT_ID are not set");
  EXPECT_EQ(trail_[1].second, "AZURE_FEDERATED_TOKEN_FILE is not set");
}

TEST_F(EntraChain, AnApplicationEndsTheChain) {
  application();
  EXPECT_EQ(plan(), "client-secret tenant_id=t-1 client_id=c-1 client_secret= s3cret ") << "a secret is used as it is";
  unsetenv("AZURE_CLIENT_SECRET");
  set("AZURE_CLIENT_CERTIFICATE_PATH", "/c.pem");
  set("AZURE_CLIENT_CERTIFICATE_PASSWORD", "p");
  set("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "True");
  EXPECT_EQ(plan(),
            "client-certificate tenant_id=t-1 client_id=c-1 certificate_path=/c.pem certificate_password=p "
            "send_certificate_chain=true");
  unsetenv("AZURE_CLIENT_CERTIFICATE_PATH");
  set("AZURE_USERNAME", "u");
  set("AZURE_PASSWORD", "p");
  EXPECT_TRUE(contains(plan(), "does not log people in by password"));
  unsetenv("AZURE_PASSWORD");
  EXPECT_TRUE(plan().starts_with("managed-identity tenant_id=t-1 client_id=c-1 probe=true")) << plan();
}

TEST_F(EntraChain, WorkloadIdentityNeedsAllThree) {
  set("AZURE_FEDERATED_TOKEN_FILE", "/token");
  EXPECT_TRUE(plan().starts_with("managed-identity"));
  EXPECT_EQ(trail_[1].second, "AZURE_CLIENT_ID is not set");
  set("AZURE_CLIENT_ID", "c-1");
  plan();
  EXPECT_EQ(trail_[1].second, "AZURE_TENANT_ID is not set");
  set("AZURE_TENANT_ID", "t-1");
  EXPECT_EQ(plan(), "workload-identity tenant_id=t-1 client_id=c-1 federated_token_file=/token");
  set("AZURE_KUBERNETES_TOKEN_PROXY", "https://proxy");
  EXPECT_TRUE(contains(plan(), "kubernetes_token_proxy=https://proxy"));
}

TEST_F(EntraChain, ASpecsClientIsNotTheSecretsClient) {
  application();
  EXPECT_TRUE(plan({"c-2", "", ""}).starts_with("managed-identity tenant_id=t-1 client_id=c-2"))
      << plan({"c-2", "", ""});
  EXPECT_TRUE(plan({"c-1", "t-9", ""}).starts_with("client-secret tenant_id=t-9 client_id=c-1"));
  EXPECT_TRUE(contains(plan({"", "no/tenant", ""}), "neither a GUID nor a domain"));
}

TEST_F(EntraChain, AzureTokenCredentials) {
  const auto with = [&](const char* value) {
    set("AZURE_TOKEN_CREDENTIALS", value);
    return plan();
  };
  EXPECT_EQ(with(" DEV "), kTools);
  EXPECT_EQ(with("prod"), "managed-identity probe=true");
  EXPECT_EQ(with("AzureCliCredential"), "azure-cli");
  EXPECT_EQ(with("ManagedIdentityCredential"), "managed-identity") << "asked for alone, it is not probed for";
  EXPECT_EQ(with("WorkloadIdentityCredential"), "");
  EXPECT_TRUE(contains(with("VisualStudioCodeCredential"), "desktop program"));
  EXPECT_TRUE(contains(with("everything"), "valid values are dev, prod, EnvironmentCredential"));
  EXPECT_TRUE(with("").starts_with("managed-identity probe=true, azure-cli"));
}

TEST_F(EntraChain, TheHostsCloudDecides) {
  application();
  EXPECT_EQ(setting("scope"), "https://ossrdbms-aad.database.windows.net/.default");
  EXPECT_EQ(setting("authority"), "https://login.microsoftonline.com");
  const std::string gov = "orders.postgres.database.usgovcloudapi.net";
  EXPECT_EQ(setting("scope", {}, gov), "https://ossrdbms-aad.database.usgovcloudapi.net/.default");
  EXPECT_EQ(setting("authority", {}, gov), "https://login.microsoftonline.us");
  const std::string china = "orders.postgres.database.chinacloudapi.cn";
  EXPECT_EQ(setting("scope", {}, china), "https://ossrdbms-aad.database.chinacloudapi.cn/.default");
  EXPECT_EQ(setting("authority", {}, china), "https://login.partner.microsoftonline.cn");
  EXPECT_EQ(setting("scope", {}, "c-x.y.postgres.cosmos.azure.com", HostKind::kCosmos),
            "https://token.postgres.cosmos.azure.com/.default");
  EXPECT_TRUE(
      contains(setting("scope", {}, "c-x.y.postgres.cosmos.azure.us", HostKind::kCosmos), "say so with scope="));
  EXPECT_EQ(setting("authority", {"", "", "https://x/.default"}, "c-x.y.postgres.cosmos.azure.us", HostKind::kCosmos),
            "https://login.microsoftonline.us");
  EXPECT_EQ(setting("scope", {"", "", "https://x/.default"}), "https://x/.default");
  // A tunnel: the authority may tell.
  set("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/");
  EXPECT_EQ(setting("scope", {}, "localhost", HostKind::kNone),
            "https://ossrdbms-aad.database.usgovcloudapi.net/.default");
  EXPECT_EQ(setting("authority"), "https://login.microsoftonline.us");
}

TEST_F(EntraChain, SecretsGoToKnownAuthoritiesAlone) {
  application();
  const auto with = [&](const char* value) {
    set("AZURE_AUTHORITY_HOST", value);
    return setting("authority");
  };
  EXPECT_EQ(with("https://login.chinacloudapi.cn"), "https://login.partner.microsoftonline.cn");
  EXPECT_EQ(with("https://login.windows.net///"), "https://login.windows.net");
  EXPECT_FALSE(contains(with("http://user:s3cret@login.microsoftonline.com"), "s3cret"));
  EXPECT_TRUE(contains(with("http://login.microsoftonline.com"), "must use the 'https' protocol"));
  EXPECT_TRUE(contains(with("login.microsoftonline.com"), "must use the 'https' protocol"));
  for (const char* other : {"https://evil.example", "https://login.microsoftonline.com.evil.example",
                            "https://login.microsoftonline.com@evil.example", "https://login.microsoftonline.com/path",
                            "https://login.microsoftonline.com:8443", "https://LOGIN.microsoftonline.com",
                            "https://user:s3cret@login.microsoftonline.com", "https://user:s3cr#et@login.windows.net",
                            "https://", "https://login.microsoftonline.com?x", "https:// login.microsoftonline.com"}) {
    EXPECT_TRUE(contains(with(other), "AZURE_AUTHORITY_HOST")) << other;
    EXPECT_TRUE(contains(with(other), "none of Microsoft's authorities") || other == std::string("https://")) << other;
    EXPECT_FALSE(contains(with(other), "s3cr")) << with(other);
  }
  set("PQMINT_UNSAFE_AUTHORITY", "localhost:4433");
  EXPECT_EQ(with("https://localhost:4433"), "https://localhost:4433");
  EXPECT_TRUE(contains(with("https://localhost:4434"), "none of Microsoft's authorities"));
  unsetenv("PQMINT_UNSAFE_AUTHORITY");
}

}  // namespace
}  // namespace pqmint
