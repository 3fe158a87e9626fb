// SPDX-License-Identifier: PostgreSQL
// JSON by jsoncpp, strictly: bytes come in; a document that is safe to look into goes out.

#include "net/json.h"

#include <json/reader.h>
#include <json/writer.h>
#include <string.h>

#include <memory>
#include <new>

#include "base/text.h"

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

std::string_view text_of(const Json::Value& value) {
  const char* begin = nullptr;
  const char* end = nullptr;
  return value.getString(&begin, &end) ? std::string_view(begin, static_cast<size_t>(end - begin)) : std::string_view();
}

/// jsoncpp's own writer goes through streams, whose buffers nobody can wipe.
class Writer {
 public:
  explicit Writer(bool is_indented) : is_indented_(is_indented) {}

  Secret finish() && { return std::move(out_); }

  void write(const Json::Value& value) {
    if (value.isString()) return quote(text_of(value));
    // What stands in it may be secret, but no number and no word of JSON's own is.
    if (!value.isArray() && !value.isObject()) return put(plain(value));
    const bool is_object = value.isObject();
    put(is_object ? "{" : "[");
    ++depth_;
    for (auto each = value.begin(); each != value.end(); ++each) {
      if (each != value.begin()) put(",");
      new_line();
      if (is_object) {
        const char* end = nullptr;
        const char* begin = each.memberName(&end);
        quote({begin, static_cast<size_t>(end - begin)});
        put(is_indented_ ? ": " : ":");
      }
      write(*each);
    }
    --depth_;
    if (!value.empty()) new_line();
    put(is_object ? "}" : "]");
  }

 private:
  static std::string plain(const Json::Value& value) {
    switch (value.type()) {
      case Json::booleanValue:
        return value.asBool() ? "true" : "false";
      case Json::intValue:
        return Json::valueToString(value.asLargestInt());
      case Json::uintValue:
        return Json::valueToString(value.asLargestUInt());
      case Json::realValue:
        return Json::valueToString(value.asDouble());
      default:
        return "null";
    }
  }

  void put(std::string_view text) { out_.append(text); }

  void new_line() {
    if (!is_indented_) return;
    put("\n");
    for (int i = 0; i < depth_; ++i) put("  ");
  }

  void quote(std::string_view text) {
    put("\"");
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < ' ') {
        constexpr char kDigits[] = "0123456789abcdef";
        const char escaped[] = {'\\', 'u', '0', '0', kDigits[byte >> 4], kDigits[byte & 15]};
        put({escaped, sizeof escaped});
      } else {
        if (c == '"' || c == '\\') put("\\");
        put({&c, 1});
      }
    }
    put("\"");
  }

  const bool is_indented_;
  Secret out_;
  int depth_ = 0;
};

}  // namespace

void wipe(Json::Value& value) {
  if (value.isString()) {
    const std::string_view text = text_of(value);
    // It is the value's own; jsoncpp only has no word for writing to it.
    explicit_bzero(const_cast<char*>(text.data()), text.size());
  } else if (value.isArray() || value.isObject()) {
    for (Json::Value& each : value) wipe(each);
  }
}

void put(Json::Value& object, const char* key, const Json::Value& value) {
  Json::Value& place = object[key];
  wipe(place);
  place = value;
}

std::optional<Document> parse_json_object(std::string_view text) try {
  Json::CharReaderBuilder builder;
  Json::CharReaderBuilder::strictMode(&builder.settings_);  // no comments, no second document, no key twice
  builder["stackLimit"] = kMaxDepth;
  const std::unique_ptr<Json::CharReader> reader(builder.newCharReader());
  Document value;
  if (!reader->parse(text.data(), text.data() + text.size(), &value, nullptr) || !value.isObject()) return std::nullopt;
  return std::optional<Document>(std::move(value));
} catch (const Json::Exception& fault) {  // jsoncpp throws at the depth limit
  // And where it has no memory for a string: a document that cannot be kept is not one that is broken.
  if (strstr(fault.what(), "allocate") != nullptr) throw std::bad_alloc();
  return std::nullopt;
}

std::string_view text_in(const Json::Value& object, const char* key) {
  const Json::Value& value = member(object, key);
  return value.isString() ? text_of(value) : std::string_view();
}

std::string_view key_in(const Json::Value& object, const char* key) {
  const std::string_view text = text_in(object, key);
  return is_graphic(text) ? text : std::string_view();
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

Secret to_json(const Json::Value& value, bool indented) {
  Writer writer(indented);
  writer.write(value);
  return std::move(writer).finish();
}

}  // namespace pqmint
