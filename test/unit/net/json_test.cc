// SPDX-License-Identifier: PostgreSQL
// What counts as a document, and what is found in one.

#include "net/json.h"

#include <gtest/gtest.h>

namespace pqmint {
namespace {

TEST(JsonDocument, OnlyOneWholeObject) {
  EXPECT_TRUE(parse_json_object(R"({"a":1,"b":{"c":"d"}})"));
  EXPECT_FALSE(parse_json_object(R"({"a":1,"a":2})"));
  for (const char* bad : {"", "1", "[]", "{", R"({"a":1} x)", R"({"a":1}{"b":2})", "{'a':1}", R"(// c
{})"}) {
    EXPECT_FALSE(parse_json_object(bad)) << bad;
  }
  EXPECT_FALSE(parse_json_object(std::string(100'000, '[')));
  EXPECT_FALSE(parse_json_object("{\"a\":" + std::string(1000, '[') + std::string(1000, ']') + "}"));
}

TEST(JsonDocument, AKeyIsOneWordOfPrintableCharacters) {
  const auto object = parse_json_object(
      R"({"good":"AKIA/+=~!","nul":"a\u0000b","line":"a\nb","blank":"a b","letter":"\u00e9","number":7,"empty":"",)"
      "\"bytes\":\"\xFF\"}");
  ASSERT_TRUE(object);
  EXPECT_EQ(key_in(*object, "good"), "AKIA/+=~!");
  for (const char* none : {"nul", "line", "blank", "letter", "number", "empty", "bytes", "missing"}) {
    EXPECT_EQ(key_in(*object, none), "") << none;
  }
}

TEST(JsonDocument, WrongTypesAreMissing) {
  const auto object = parse_json_object(R"({"text":"t","number":7,"big":1768500496000,"half":1.5,"o":{"x":"y"}})");
  ASSERT_TRUE(object);
  EXPECT_EQ(text_in(*object, "text"), "t");
  EXPECT_EQ(text_in(*object, "number"), "");
  EXPECT_EQ(text_in(*object, "none"), "");
  EXPECT_EQ(number_in(*object, "number"), 7);
  EXPECT_EQ(number_in(*object, "big"), 1768500496000);
  EXPECT_EQ(number_in(*object, "half"), std::nullopt);
  EXPECT_EQ(number_in(*object, "text"), std::nullopt);
  EXPECT_EQ(text_in(object_in(*object, "o"), "x"), "y");
  EXPECT_TRUE(object_in(*object, "text").isNull());
  EXPECT_EQ(text_in(object_in(object_in(*object, "none"), "deeper"), "x"), "");
  EXPECT_EQ(to_json(object_in(*object, "o")).reveal(), R"({"x":"y"})");
}

}  // namespace
}  // namespace pqmint
