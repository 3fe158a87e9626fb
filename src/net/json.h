// SPDX-License-Identifier: PostgreSQL
// JSON by jsoncpp, strictly: bytes come in; a document that is safe to look into goes out.
#pragma once

#include <json/value.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace pqmint {

/// Overwrites all texts in `value`, however deep: jsoncpp frees them as they are.
void wipe(Json::Value& value);

/// Puts `value` in the place of another one, whose texts are wiped.
void put(Json::Value& object, const char* key, const Json::Value& value);

/// A document that may hold secrets, so its texts are wiped when it goes. What jsoncpp itself copies while it parses
/// cannot be reached: one text for each, freed at once (doc/threat-model.md, P8).
class Document : public Json::Value {
 public:
  Document() = default;
  Document(const Json::Value& copied) : Json::Value(copied) {}
  Document(Document&& other) noexcept { swap(other); }
  Document& operator=(Document&& other) noexcept {
    swap(other);
    return *this;
  }
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;
  ~Document() { wipe(*this); }
};

/// A JSON object. Nothing if the text is none, holds anything more, has a key twice, or is nested deeper than 32.
std::optional<Document> parse_json_object(std::string_view text);

/// The text under `key`; empty if it is not there or is no text. Borrows from `object`, which must be an object (or
/// null).
std::string_view text_in(const Json::Value& object, const char* key);

/// The same of a text that a key or a token can be: printable ASCII without a blank, so that nothing cuts it off (it
/// becomes a C string) and no line or header ends in it. Any other is not there.
std::string_view key_in(const Json::Value& object, const char* key);

/// The object under `key`, or null.
const Json::Value& object_in(const Json::Value& object, const char* key);

/// The whole number under `key`. Nothing if it is not there or is none.
std::optional<int64_t> number_in(const Json::Value& object, const char* key);

/// As one line without blanks outside of texts; with `indented` for people.
Secret to_json(const Json::Value& value, bool indented = false);

}  // namespace pqmint
