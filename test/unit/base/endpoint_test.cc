// SPDX-License-Identifier: PostgreSQL
// Host names: the published ones with known answers, every partition's in both orders, and names
// made to deceive.

#include "base/endpoint.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "../support.h"

namespace pqmint {
namespace {

TEST(Endpoint, AgreesWithTheVectors) {
  int rows = 0;
  const Json::Value all = test::vectors("hosts.json");
  for (const Json::Value& row : all["rows"]) {
    const std::string host = row["host"].asString();
    SCOPED_TRACE(host);
    const Endpoint found = classify(host);
    ++rows;
    if (row["service"].isNull()) {
      EXPECT_EQ(found.service, Service::kNone);
      EXPECT_EQ(found.kind, HostKind::kNone);
      EXPECT_EQ(found.name(), "");
      continue;
    }
    EXPECT_EQ(found.service, row["service"].asString() == "dsql" ? Service::kDsql : Service::kRds);
    EXPECT_EQ(name_of(found.kind), row["kind"].asString());
    EXPECT_EQ(found.region(), row["region"].isNull() ? "" : row["region"].asString());
  }
  EXPECT_GE(rows, 50);
}

TEST(Endpoint, KnowsAzureByItsSuffixes) {
  for (const char* host : {"orders.postgres.database.azure.com", "ORDERS.Postgres.Database.Azure.com.",
                           "orders.privatelink.postgres.database.azure.com",
                           "orders.reader.postgres.database.azure.com", "orders.x.private.postgres.database.azure.com",
                           "orders.postgres.database.usgovcloudapi.net", "orders.postgres.database.chinacloudapi.cn"}) {
    EXPECT_EQ(classify(host).service, Service::kEntra) << host;
    EXPECT_EQ(classify(host).kind, HostKind::kAzure) << host;
    EXPECT_EQ(classify(host).region(), "");
  }
  EXPECT_EQ(classify("c-orders.abc123.postgres.cosmos.azure.com").kind, HostKind::kCosmos);
  EXPECT_EQ(classify("c-orders.privatelink.postgres.cosmos.azure.com").kind, HostKind::kCosmos);
  EXPECT_STREQ(name_of(HostKind::kAzure), "azure");
  EXPECT_STREQ(name_of(HostKind::kCosmos), "cosmos");
  EXPECT_STREQ(name_of(Service::kEntra), "entra");
  for (const char* host : {"postgres.database.azure.com", ".postgres.database.azure.com",
                           "orderspostgres.database.azure.com", "orders.postgres.database.azure.com.evil.example",
                           "orders.mysql.database.azure.com", "orders.postgres.database.azure.co"}) {
    EXPECT_EQ(classify(host).service, Service::kNone) << host;
  }
}

TEST(Endpoint, KnowsEveryPartitionInBothOrders) {
  struct Place {
    const char* region;
    const char* suffix;
  };
  struct Shape {
    const char* name;
    HostKind kind;
  };
  constexpr Place kPlaces[] = {
      {"eu-west-1", "amazonaws.com"},      {"mx-central-1", "amazonaws.com"},    {"ap-southeast-19", "amazonaws.com"},
      {"us-gov-east-1", "amazonaws.com"},  {"cn-north-1", "amazonaws.com.cn"},   {"eusc-de-east-1", "amazonaws.eu"},
      {"ap-southeast-2", "amazonaws.au"},  {"eu-west-2", "amazonaws.uk"},        {"us-iso-east-1", "c2s.ic.gov"},
      {"us-isob-west-1", "sc2s.sgov.gov"}, {"eu-isoe-west-1", "cloud.adc-e.uk"}, {"us-isof-east-1", "csp.hci.ic.gov"}};
  constexpr Shape kShapes[] = {{"db.cluster-c0ffee", HostKind::kClusterWriter},
                               {"db.cluster-ro-c0ffee", HostKind::kClusterReader},
                               {"db.cluster-custom-c0ffee", HostKind::kClusterCustom},
                               {"db.c0ffee", HostKind::kInstance},
                               {"db.proxy-c0ffee", HostKind::kProxy},
                               {"ep.endpoint.proxy-c0ffee", HostKind::kProxyEndpoint},
                               {"endpoint.proxy-c0ffee", HostKind::kProxy},
                               {"db.shardgrp-c0ffee", HostKind::kLimitless}};
  for (const Place& place : kPlaces) {
    for (const Shape& shape : kShapes) {
      for (const std::string rds : {"rds", "rds-fips"}) {
        const std::string name = shape.name, region = place.region, suffix = place.suffix;
        for (const std::string& host :
             {name + "." + region + "." + rds + "." + suffix, name + "." + rds + "." + region + "." + suffix}) {
          SCOPED_TRACE(host);
          const Endpoint found = classify(host);
          EXPECT_EQ(found.service, Service::kRds);
          EXPECT_EQ(found.kind, shape.kind);
          EXPECT_EQ(found.region(), region);
          EXPECT_EQ(found.name(), host);
        }
      }
    }
  }
}

TEST(Endpoint, NormalisesCaseAndTrailingDot) {
  const Endpoint found = classify("MyDB.Cluster-C0FFEE123456.US-EAST-1.RDS.AmazonAWS.com.");
  EXPECT_EQ(found.name(), "mydb.cluster-c0ffee123456.us-east-1.rds.amazonaws.com");
  EXPECT_EQ(found.region(), "us-east-1");
  EXPECT_EQ(found.kind, HostKind::kClusterWriter);
  const Endpoint copy = found;  // the views must follow the copy
  EXPECT_NE(copy.region().data(), found.region().data());
  EXPECT_EQ(copy.region(), "us-east-1");
}

TEST(Endpoint, KnowsDsql) {
  struct Row {
    const char* host;
    HostKind kind;
    const char* region;
    const char* id;
  };
  constexpr const char* kId = "4yabutd7fnzkcqmqfdhogf3k6u";
  const Row rows[] = {
      {"4yabutd7fnzkcqmqfdhogf3k6u.dsql.eu-west-1.on.aws", HostKind::kDsql, "eu-west-1", kId},
      {"4YABUTD7FNZKCQMQFDHOGF3K6U.DSQL.EU-WEST-1.ON.AWS.", HostKind::kDsql, "eu-west-1", kId},
      {"4yabutd7fnzkcqmqfdhogf3k6u.dsqlx.us-east-1.on.aws", HostKind::kDsql, "us-east-1", kId},
      {"4yabutd7fnzkcqmqfdhogf3k6u.dsql-gamma.us-east-1.on.aws", HostKind::kDsql, "us-east-1", kId},
      {"4yabutd7fnzkcqmqfdhogf3k6u.dsql-fnh4.us-east-1.on.aws", HostKind::kDsqlPrivateLink, "us-east-1", kId},
      {"4yabutd7fnzkcqmqfdhogf3k6u", HostKind::kDsqlClusterId, "", kId},
      {"vpce-0abc12-x.dsql-fnh4.us-east-1.vpce.amazonaws.com", HostKind::kDsqlVpce, "us-east-1", ""},
      {"vpce-0abc12-x-us-east-1a.dsql-fnh4.us-east-1.vpce.amazonaws.com", HostKind::kDsqlVpce, "us-east-1", ""},
      {"vpce-0abc12-x.dsql-fnh4.cn-north-1.vpce.amazonaws.com.cn", HostKind::kDsqlVpce, "cn-north-1", ""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.host);
    const Endpoint found = classify(row.host);
    EXPECT_EQ(found.service, Service::kDsql);
    EXPECT_EQ(found.kind, row.kind) << name_of(found.kind);
    EXPECT_EQ(found.region(), row.region);
    EXPECT_EQ(found.cluster_id(), row.id);
  }
}

TEST(Endpoint, LeavesEverythingElseAlone) {
  using namespace std::string_view_literals;
  const std::string long_label(64, 'a');
  const std::string tail = ".cluster-c0ffee.us-east-1.rds.amazonaws.com";
  std::string too_long;
  while (too_long.size() < 250) too_long += "abcdefgh.";
  const std::string made[] = {long_label + tail, too_long + "db" + tail,
                              "db." + long_label + ".us-east-1.rds.amazonaws.com"};
  for (const std::string& host : made) EXPECT_EQ(classify(host).service, Service::kNone) << host;

  constexpr std::string_view kNames[] = {
      "",
      ".",
      "..",
      "localhost",
      "10.0.0.5",
      "fd00::1",
      "[fd00::1]",
      "/var/run/postgresql",
      "@abstract",
      "amazonaws.com",
      "rds.amazonaws.com",
      "us-east-1.rds.amazonaws.com",
      "c0ffee.us-east-1.rds.amazonaws.com",
      "cluster-c0ffee.us-east-1.rds.amazonaws.com",
      ".c0ffee.us-east-1.rds.amazonaws.com",
      "a..c0ffee.us-east-1.rds.amazonaws.com",
      "a..rds.amazonaws.com",
      "db.c0ffee.us-east-1.rds.amazonaws.com..",
      "db.c0ffee.us-east-1.xrds.amazonaws.com",
      "db.c0ffee.us-east-1.rds.xamazonaws.com",
      "db.c0ffee.us-east-1.rdsamazonaws.com",
      "db.c0ffee.us-east-1.rds.amazonaws.com.evil.example",
      "db.rds.amazonaws.com.evil.example",
      "db.c0ffee.us-east-1.rds.amazonaws.org",
      "db.c0ffee.us-east-1.rds.amazonaws.com@evil.example",
      "db.c0ffee.us-east-1.rds.amazonaws.com/evil",
      "db.c0ffee.us-east-1.rds.amazonaws.com:5432",
      "https://db.c0ffee.us-east-1.rds.amazonaws.com",
      " db.c0ffee.us-east-1.rds.amazonaws.com",
      "db.c0ffee.us-east-1.rds.amazonaws.com ",
      "db.c0ffee.us-east-1.rds.amazonaws.com\n",
      "d\nb.c0ffee.us-east-1.rds.amazonaws.com",
      "evil.example\0.c0ffee.us-east-1.rds.amazonaws.com"sv,
      "db.c0ffee.us-east-1.rds.amazonaws.com\0"sv,
      "d\xC3\xA4.c0ffee.us-east-1.rds.amazonaws.com",
      "db.c0ffee.us-east-1.amazonaws.com",
      "db.c0ffee.rds.us-east-1.rds.amazonaws.com",
      "db.rds.us-east-1.rds.amazonaws.com",
      "db.c0ffee.rds.rds.amazonaws.com",
      "db.c0ffee.us-east.rds.amazonaws.com",
      "db.c0ffee.us-east-.rds.amazonaws.com",
      "db.c0ffee.us--1.rds.amazonaws.com",
      "db.c0ffee.xx-east-1.rds.amazonaws.com",
      "db.c0ffee.cn-north-1.rds.amazonaws.com",
      "db.c0ffee.us-east-1.rds.amazonaws.com.cn",
      "db.c0ffee.us-east-1.rds.c2s.ic.gov",
      "db.c0ffee.us-iso-east-1.rds.amazonaws.com",
      "db.cluster-.us-east-1.rds.amazonaws.com",
      "db.cluster-ro-.us-east-1.rds.amazonaws.com",
      "db.cluster-a-b.us-east-1.rds.amazonaws.com",
      "db.reader-c0ffee.us-east-1.rds.amazonaws.com",
      "db.c0ffee.global.rds.amazonaws.com",
      "db.global-c0ffee.us-east-1.rds.amazonaws.com",
      "4yabutd7fnzkcqmqfdhogf3k6.dsql.us-east-1.on.aws",
      "4yabutd7fnzkcqmqfdhogf3k6ux.dsql.us-east-1.on.aws",
      "4yabutd7fnzkcqmqfdhogf3k-u.dsql.us-east-1.on.aws",
      "x.4yabutd7fnzkcqmqfdhogf3k6u.dsql.us-east-1.on.aws",
      "4yabutd7fnzkcqmqfdhogf3k6u.dsql-.us-east-1.on.aws",
      "4yabutd7fnzkcqmqfdhogf3k6u.xdsql.us-east-1.on.aws",
      "4yabutd7fnzkcqmqfdhogf3k6u.dsql.us-east.on.aws",
      "4yabutd7fnzkcqmqfdhogf3k6u.dsql.us-east-1.on.aws.evil.example",
      "dsql.us-east-1.api.aws",
      "vpce-0abc.dsql.us-east-1.vpce.amazonaws.com",
      "vpce-0abc.execute-api.us-east-1.vpce.amazonaws.com",
      "db.vpce-0abc.dsql-fnh4.us-east-1.vpce.amazonaws.com",
  };
  for (const std::string_view host : kNames) {
    const Endpoint found = classify(host);
    EXPECT_EQ(found.service, Service::kNone) << host;
    EXPECT_EQ(found.length, 0) << host;
  }
}

TEST(Endpoint, NeverReadsOutOfBounds) {  // worth something under the address sanitizer
  const std::string whole = "ep.endpoint.proxy-c0ffee123456.rds.us-isof-south-1.csp.hci.ic.gov";
  for (size_t begin = 0; begin <= whole.size(); ++begin) {
    for (size_t length = 0; begin + length <= whole.size(); ++length) {
      const std::string part = whole.substr(begin, length);
      const Endpoint found = classify(part);
      EXPECT_LE(found.region_at + found.region_length, found.length);
    }
  }
}

TEST(Endpoint, ChecksTheShapeOfRegions) {
  const std::string longest(63, 'a');
  for (const std::string& good : {std::string("eu-west-1"), std::string("local"), std::string("EU-1"), longest}) {
    EXPECT_TRUE(is_region_name(good)) << good;
  }
  const std::string bad[] = {"", "-eu", "eu-", "12", "eu west", "eu_west", "eu.west", "eu/west", longest + "a", "e\n"};
  for (const std::string& name : bad) EXPECT_FALSE(is_region_name(name)) << name;
}

}  // namespace
}  // namespace pqmint
