// SPDX-License-Identifier: PostgreSQL
// What a service says when it refuses, fit for an error text.

#include "net/said.h"

#include "base/shown.h"

namespace pqmint {
namespace {

constexpr size_t kShortestSecret = 16;

}  // namespace

std::string said(std::string_view text, size_t most, std::initializer_list<std::string_view> secrets) {
  std::string out;
  // No more of it than what shown() cuts.
  while (!text.empty() && out.size() <= most) {
    size_t at = text.size(), size = 0;
    for (const std::string_view secret : secrets) {
      const size_t found = secret.size() < kShortestSecret ? text.npos : text.find(secret);
      if (found < at) at = found, size = secret.size();
    }
    out.append(text.substr(0, at)).append(size == 0 ? "" : "*");
    text.remove_prefix(at + size);
  }
  return shown(out, most);
}

}  // namespace pqmint
