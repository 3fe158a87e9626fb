// SPDX-License-Identifier: PostgreSQL
// The transport floor, for every sslmode and both kinds of authority.
#include "core/policy.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace pqmint {
namespace {

class Floor : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (std::filesystem::temp_directory_path() / "pqmint-policy-XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    home_ = folder;
    setenv("HOME", home_.c_str(), 1);
  }
  void TearDown() override { std::filesystem::remove_all(home_); }

  void put(const std::string& name) {
    std::filesystem::create_directories(home_ + "/.postgresql");
    std::ofstream(home_ + "/.postgresql/" + name) << "a certificate";
  }

  TlsWish rds(std::string_view sslmode) { return {sslmode, "", 150000, TlsWish::Authority::kRds, "eu-west-1", ""}; }

  std::string home_;
};

TEST_F(Floor, DisableIsRefused) {
  const auto plan = plan_tls(rds("disable"));
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().text.find("sslmode"), std::string::npos);
}

TEST_F(Floor, KerberosIsRefusedWhereItIsDemanded) {
  put("root.crt");
  for (const char* sslmode : {"prefer", "require", "verify-full"}) {
    TlsWish wish = rds(sslmode);
    for (const char* harmless : {"", "disable", "prefer"}) {
      wish.gssencmode = harmless;
      EXPECT_TRUE(plan_tls(wish)) << sslmode << harmless;
    }
    wish.gssencmode = "require";
    const auto plan = plan_tls(wish);
    ASSERT_FALSE(plan) << sslmode;
    EXPECT_NE(plan.error().text.find("gssencmode"), std::string::npos);
  }
}

TEST_F(Floor, AllowAndPreferBecomeVerifyFull) {
  put("root.crt");
  for (const char* mode : {"allow", "prefer", ""}) {
    const auto plan = plan_tls(rds(mode));
    ASSERT_TRUE(plan) << mode;
    EXPECT_EQ(plan->sslmode, "verify-full");
    EXPECT_EQ(plan->sslrootcert, home_ + "/.postgresql/root.crt");
  }
}

TEST_F(Floor, AStricterChoiceIsKept) {
  put("root.crt");
  for (const char* mode : {"verify-ca", "verify-full"}) {
    const auto plan = plan_tls(rds(mode));
    ASSERT_TRUE(plan);
    EXPECT_FALSE(plan->sslmode);
    EXPECT_EQ(plan->sslrootcert, home_ + "/.postgresql/root.crt");
  }
}

TEST_F(Floor, RequireNeedsNoRoots) {
  const auto plan = plan_tls(rds("require"));
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->sslmode);
  EXPECT_FALSE(plan->sslrootcert);
}

TEST_F(Floor, RootsThatTheUserNamesStand) {
  TlsWish wish = rds("prefer");
  wish.sslrootcert = "/somewhere/ca.pem";
  const auto plan = plan_tls(wish);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->sslmode, "verify-full");
  EXPECT_FALSE(plan->sslrootcert);
}

TEST_F(Floor, TheRdsBundleIsFoundInTheUsersFolder) {
  put("global-bundle.pem");
  EXPECT_EQ(plan_tls(rds("prefer"))->sslrootcert, home_ + "/.postgresql/global-bundle.pem");
}

TEST_F(Floor, NoRootsNamesThePlacesTheCommandAndTheWayWithout) {
  const auto plan = plan_tls(rds("verify-full"));
  if (plan) GTEST_SKIP() << "this machine has an RDS bundle at " << *plan->sslrootcert;
  const std::string& text = plan.error().text;
  EXPECT_NE(text.find(home_ + "/.postgresql/root.crt"), std::string::npos) << text;
  EXPECT_NE(text.find("/etc/ssl/certs/rds-global-bundle.pem"), std::string::npos) << text;
  EXPECT_NE(text.find("curl"), std::string::npos) << text;
  EXPECT_NE(text.find("https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"), std::string::npos) << text;
  EXPECT_NE(text.find("sslmode=require"), std::string::npos) << text;
}

TEST_F(Floor, EachPartitionHasItsOwnBundle) {
  for (const auto& [region, place] :
       {std::pair{"cn-north-1", "amazonaws.com.cn"}, {"us-gov-west-1", "us-gov-west-1"}}) {
    TlsWish wish = rds("verify-full");
    wish.region = region;
    const auto plan = plan_tls(wish);
    if (plan) GTEST_SKIP() << "this machine has an RDS bundle";
    EXPECT_NE(plan.error().text.find(place), std::string::npos);
  }
}

TEST_F(Floor, PublicAuthoritiesAreTheSystems) {
  TlsWish wish = rds("prefer");
  wish.authority = TlsWish::Authority::kPublic;
  wish.libpq_version = 160000;
  EXPECT_EQ(plan_tls(wish)->sslrootcert, "system");
  // libpq 16 takes system roots with verify-full only.
  wish.sslmode = "verify-ca";
  const auto weaker = plan_tls(wish);
  EXPECT_TRUE(!weaker || weaker->sslrootcert != "system");
  // What the user has put there for libpq comes first.
  put("root.crt");
  wish.sslmode = "prefer";
  EXPECT_EQ(plan_tls(wish)->sslrootcert, home_ + "/.postgresql/root.crt");
}

TEST_F(Floor, AProxyHasPublicCertificates) {
  EXPECT_EQ(authority_of(Service::kRds, HostKind::kClusterWriter), TlsWish::Authority::kRds);
  EXPECT_EQ(authority_of(Service::kRds, HostKind::kProxy), TlsWish::Authority::kPublic);
  EXPECT_EQ(authority_of(Service::kRds, HostKind::kProxyEndpoint), TlsWish::Authority::kPublic);
  EXPECT_EQ(authority_of(Service::kDsql, HostKind::kDsql), TlsWish::Authority::kPublic);
  // A command may print a token for any server: its name tells which authority it has.
  EXPECT_EQ(authority_of(Service::kCommand, HostKind::kNone), TlsWish::Authority::kPublic);
  EXPECT_EQ(authority_of(Service::kCommand, HostKind::kGlobalWriter), TlsWish::Authority::kRds);
  EXPECT_EQ(authority_of(Service::kCommand, HostKind::kProxy), TlsWish::Authority::kPublic);
  EXPECT_EQ(authority_of(Service::kCommand, HostKind::kDsql), TlsWish::Authority::kPublic);
}

}  // namespace
}  // namespace pqmint
