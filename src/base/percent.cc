// SPDX-License-Identifier: PostgreSQL
// Percent-encoding (RFC 3986): bytes come in, text fit for a query goes out; and the way back.

#include "base/percent.h"

#include <algorithm>
#include <array>

#include "base/secret.h"

namespace pqmint {
namespace {

// A table, because a session token is 1,000 bytes that are encoded for every connection.
constexpr std::array<bool, 256> kUnreserved = [] {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}();

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

template <typename Text>
void append_percent_encoded(Text& out, std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const auto unreserved = [](char c) { return kUnreserved[static_cast<unsigned char>(c)]; };
  while (!text.empty()) {
    const auto run = std::find_if_not(text.begin(), text.end(), unreserved);
    const auto size = static_cast<size_t>(run - text.begin());
    out.append(text.substr(0, size));
    text.remove_prefix(size);
    if (text.empty()) break;
    const auto byte = static_cast<unsigned char>(text.front());
    const char escaped[] = {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    out.append(std::string_view(escaped, sizeof escaped));
    text.remove_prefix(1);
  }
}

template void append_percent_encoded(std::string& out, std::string_view text);
template void append_percent_encoded(Secret& out, std::string_view text);

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace pqmint
