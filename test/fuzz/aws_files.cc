// SPDX-License-Identifier: PostgreSQL
// AWS's shared files. Never fails; memory is in proportion to the file; what was read, written plainly, reads the same.

#include "core/aws_files.h"

#include "promise.h"

namespace pqmint::fuzz {
namespace {

size_t size_of(const AwsSections& sections) {
  size_t size = 0;
  for (const auto& [name, section] : sections) {
    size += name.size();
    for (const auto& [key, value] : section) size += key.size() + value.size();
  }
  return size;
}

bool is_trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  return text.empty() || (!has(kSpace, text.substr(0, 1)) && !has(kSpace, text.substr(text.size() - 1)));
}

bool same(const AwsSections& a, const AwsSections& b) {
  return std::ranges::equal(a, b, [](const auto& left, const auto& right) {
    return left.first == right.first && std::ranges::equal(left.second, right.second, [](const auto& l, const auto& r) {
             return l.first == r.first && l.second.reveal() == r.second.reveal();
           });
  });
}

/// Whether the plain way of writing says it: not a nested setting, whose name has more than one meaning, and no lines
/// that would be comments.
bool is_plain(const AwsSections& sections) {
  for (const auto& [name, section] : sections) {
    if (name.find_first_of("]\"'\n\r#; \t") != name.npos || !is_trimmed(name) || name.empty()) return false;
    for (const auto& [key, value] : section) {
      if (key.find_first_of(".=:[#;") != key.npos) return false;
      const std::string_view text = value.reveal();
      if (text.find_first_of("#;\n\r\v\f") != text.npos) return false;
    }
  }
  return true;
}

std::string written(const AwsSections& sections, const char* type) {
  std::string out;
  for (const auto& [name, section] : sections) {
    out.append("[").append(type).append(name).append("]\n");
    for (const auto& [key, value] : section) out.append(key).append(" = ").append(value.reveal()).append("\n");
  }
  return out;
}

}  // namespace

void aws_files(std::string_view input) {
  for (const AwsFileKind kind : {AwsFileKind::kConfig, AwsFileKind::kCredentials}) {
    const AwsFile file = parse_aws_file(input, kind);
    const bool is_config = kind == AwsFileKind::kConfig;
    // A nested setting carries the name of the one around it, which is bounded.
    PROMISE(size_of(file.profiles) + size_of(file.sso_sessions) + size_of(file.services) <= 16 + 64 * input.size(),
            std::to_string(input.size()));
    PROMISE(is_config || (file.sso_sessions.empty() && file.services.empty()), input);
    for (const AwsSections* sections : {&file.profiles, &file.sso_sessions, &file.services}) {
      for (const auto& [name, section] : *sections) {
        for (const auto& [key, value] : section) {
          PROMISE(!key.empty() && is_trimmed(key) && is_trimmed(value.reveal()), key);
          PROMISE(std::ranges::none_of(key, [](char c) { return c >= 'A' && c <= 'Z'; }), key);
        }
      }
    }
    if (!is_plain(file.profiles)) continue;
    const std::string text = written(file.profiles, is_config ? "profile " : "");
    PROMISE(same(parse_aws_file(text, kind).profiles, file.profiles), text);
    std::string with_crlf = "\xEF\xBB\xBF";
    for (const char c : text) with_crlf.append(c == '\n' ? "\r\n" : std::string(1, c));
    PROMISE(same(parse_aws_file(with_crlf, kind).profiles, file.profiles), with_crlf);
  }
}

}  // namespace pqmint::fuzz
