// SPDX-License-Identifier: PostgreSQL
// What the tests of credential sources share: settings, a query, and what came of it as one text.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "http_server.h"
#include "net/source.h"
#include "support.h"

namespace pqmint::test {

inline constexpr char kNever[] = "2099-01-15T12:34:56Z";

class SourceTest : public CleanEnvironment {
 protected:
  using Source = Result<Fetched> (*)(const Query&);

  void setting(const std::string& name, const std::string& value) {
    for (auto& [known, old] : values_) {
      if (known == name) return static_cast<void>(old = value);
    }
    values_.emplace_back(name, value);
  }

  Result<Fetched> ask(Source source, std::chrono::milliseconds time = std::chrono::milliseconds(5000)) {
    settings_.clear();
    for (const auto& [name, value] : values_) settings_.push_back({name.c_str(), value.c_str()});
    const Query query = {Settings(settings_), nullptr, Deadline::in(time), clock_};
    return source(query);
  }

  /// "OK ID" or "OK user" of a token, "ABSENT why", or the error. No answer holds a secret or a line end.
  std::string told(Source source, std::chrono::milliseconds time = std::chrono::milliseconds(5000)) {
    const auto found = ask(source, time);
    const std::string text = !found             ? found.error().text
                             : found->is_absent ? "ABSENT " + found->text
                             : found->token.empty()
                                 ? "OK " + (found->access_key_id.empty() ? found->text : found->access_key_id)
                                 : "OK " + found->text;
    EXPECT_FALSE(contains(text, "\n")) << text;
    EXPECT_FALSE(contains(text, "s3cret")) << text;
    return text;
  }

  Clock clock_;
  std::vector<std::pair<std::string, std::string>> values_;
  std::vector<pqmint_setting> settings_;
};

/// The document that agents, metadata services and processes answer with.
inline std::string keys_document(const std::string& token_key, const std::string& expiration = kNever) {
  return R"({"Version":1,"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s3cret","AccountId":"1",")" +
         token_key + R"(":"s3cret-token","Expiration":")" + expiration + R"("})";
}

}  // namespace pqmint::test
