// SPDX-License-Identifier: PostgreSQL
// Commands as people write them: their words, and what only a shell could mean.

#include "base/words.h"

#include <gtest/gtest.h>

#include "../support.h"

namespace pqmint {
namespace {

using test::contains;

TEST(SplitCommand, AsAPosixShellWould) {
  const auto split = [](const char* text) {
    const auto words = split_command(text);
    if (!words) return "! " + words.error().text;
    std::string out;
    for (const std::string& word : *words) out += "[" + word + "]";
    return out;
  };
  EXPECT_EQ(split("a b\tc"), "[a][b][c]");
  EXPECT_EQ(split("a\nb\r\n c 'd\ne'"), "[a][b][c][d\ne]") << "as botocore: a setting may have several lines";
  EXPECT_EQ(split("  /opt/x --for='a b' \"c \\\"d\\\" $e\" f\\ g ''"), "[/opt/x][--for=a b][c \"d\" $e][f g][]");
  EXPECT_EQ(split("a~b a#b {x} a=1 !"), "[a~b][a#b][{x}][a=1][!]");
  EXPECT_EQ(split("a *.b?c=[1] x?y=1"), "[a][*.b?c=[1]][x?y=1]")
      << "as botocore: there is nothing that would expand it";
  for (const char* text : {"a | b", "a & b", "a; b", "a > b", "a < b", "a $b", "a `b`", "(a)", "~/a", "a # b"}) {
    EXPECT_TRUE(contains(split(text), "sh -c '...'")) << text << ": " << split(text);
  }
  for (const char* text : {"TOKEN=s3cret /opt/x", "_t1= x"}) {
    EXPECT_TRUE(contains(split(text), "sh -c '...'")) << text << ": " << split(text);
    EXPECT_FALSE(contains(split(text), "s3cret"));
  }
  EXPECT_EQ(split("/opt/a=b c"), "[/opt/a=b][c]");
  for (const char* text : {"a 'b", "a \"b", "a \\", "", "  ", "'' a"}) EXPECT_EQ(split(text)[0], '!') << text;
}

}  // namespace
}  // namespace pqmint
