// SPDX-License-Identifier: PostgreSQL
// JSON by jsoncpp, strictly: bytes come in; a document that is safe to look into goes out.

#include "net/json.h"

#include <json/reader.h>
#include <json/writer.h>

#include <algorithm>
#include <memory>

namespace pqmint {
namespace {

/// No credential document has objects within objects within objects; a thousand brackets are an attack on the stack.
constexpr int kMaxDepth = 32;

const Json::Value& nothing() {
  return Json::Value::nullSingleton();
}

const Json::Value& member(const Json::Value& object, const char* key) {
  return object.isObject() && object.isMember(key) ? object[key] : nothing();
}

}  // namespace

std::optional<Json::Value> parse_json_object(std::string_view text) try {
  Json::CharReaderBuilder builder;
  Json::CharReaderBuilder::strictMode(&builder.settings_);  // no comments, no second document, no key twice
  builder["stackLimit"] = kMaxDepth;
  const std::unique_ptr<Json::CharReader> reader(builder.newCharReader());
  Json::Value value;
  if (!reader->parse(text.data(), text.data() + text.size(), &value, nullptr) || !value.isObject()) return std::nullopt;
  return value;
} catch (const Json::Exception&) {  // jsoncpp throws at the depth limit
  return std::nullopt;
}

std::string_view text_in(const Json::Value& object, const char* key) {
  const Json::Value& value = member(object, key);
  const char* begin = nullptr;
  const char* end = nullptr;
  if (!value.isString() || !value.getString(&begin, &end)) return {};
  return {begin, static_cast<size_t>(end - begin)};
}

std::string_view key_in(const Json::Value& object, const char* key) {
  const std::string_view text = text_in(object, key);
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; }) ? text : std::string_view();
}

const Json::Value& object_in(const Json::Value& object, const char* key) {
  const Json::Value& value = member(object, key);
  return value.isObject() ? value : nothing();
}

std::optional<int64_t> number_in(const Json::Value& object, const char* key) {
  const Json::Value& value = member(object, key);
  if (!value.isInt64()) return std::nullopt;
  return value.asInt64();
}

std::string to_json(const Json::Value& value, bool indented) {
  Json::StreamWriterBuilder builder;
  builder["indentation"] = indented ? "  " : "";
  builder["emitUTF8"] = true;
  return Json::writeString(builder, value);
}

}  // namespace pqmint
