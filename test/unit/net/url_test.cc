// SPDX-License-Identifier: PostgreSQL
#include "net/url.h"

#include <gtest/gtest.h>

namespace pqmint {
namespace {

TEST(Url, Parts) {
  const auto parts = parse_url("http://[fd00:ec2::254]:8080/a?b");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->host, "fd00:ec2::254");
  EXPECT_EQ(parts->authority, "[fd00:ec2::254]:8080");
  EXPECT_EQ(parts->path, "/a?b");
  EXPECT_EQ(parse_url("https://h")->port, "443");
  EXPECT_EQ(parse_url("https://h:443")->authority, "h");
  EXPECT_EQ(parse_url("https://h:444")->authority, "h:444");
  EXPECT_EQ(parse_url("http://h")->path, "/");
}

TEST(Url, WhatCannotBeAskedIsNone) {
  for (const char* bad : {"", "h", "ftp://h/", "http://", "http://u@h/", "http://:p@h/", "http://h:x/",
                          "file:///etc/passwd", "http://a%7f.example/"}) {
    EXPECT_FALSE(parse_url(bad)) << bad;
  }
}

}  // namespace
}  // namespace pqmint
