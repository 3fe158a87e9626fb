// SPDX-License-Identifier: PostgreSQL
// The password file in memory, read by the real libpq: each host finds its own token, whole, and a host that has none
// finds nothing.
//
// Input: lines in groups of three: host, port, password. The first group's host is then asked for; "stranger.example"
// too.

#include "preload/slot.h"

#include <dlfcn.h>

#include "preload/libpq.h"
#include "promise.h"

namespace pqmint::fuzz {
namespace {

std::string password_for(const Libpq& libpq, const std::string& host, const std::string& port, const char* passfile) {
  const char* keywords[] = {"host", "port", "user", "dbname", "passfile", "target_session_attrs", nullptr};
  const char* values[] = {host.c_str(), port.c_str(), "u", "d", passfile, "none of these", nullptr};
  PGconn* conn = libpq.connect_start_params(keywords, values, 0);
  PROMISE(conn != nullptr && libpq.status(conn) == CONNECTION_BAD, host);
  const char* found = libpq.pass(conn);
  const std::string password = found ? found : "";
  libpq.finish(conn);
  return password;
}

/// What libpq takes for one host of a list, and what a password file can hold.
bool is_usable(std::string_view text) {
  return !text.empty() && text.find_first_of(std::string_view(",\0\r", 3)) == text.npos;
}

}  // namespace

void slot(std::string_view input) {
  static const Libpq* const libpq = libpq_at(dlopen("libpq.so.5", RTLD_NOW | RTLD_GLOBAL));
  PROMISE(libpq != nullptr, "libpq");
  const auto words = split(input, "\n");
  std::vector<std::string> texts;
  for (const std::string_view word : words) {
    if (!is_usable(word)) return;
    texts.emplace_back(word);
  }
  std::vector<SlotLine> lines;
  for (size_t i = 0; i + 2 < texts.size() && lines.size() < 4; i += 3) {
    lines.push_back({texts[i].c_str(), texts[i + 1].c_str(), texts[i + 2].c_str()});
  }
  if (lines.empty()) return;
  Slot slot;
  PROMISE(slot.fill(lines.data(), lines.size()), "a slot");
  for (const SlotLine& line : lines) {
    if (line.host[0] == '/' || line.host[0] == '@') continue;  // libpq asks for "localhost" then, or for the path
    // The first line of a host and port counts.
    const auto first = std::ranges::find_if(lines, [&](const SlotLine& other) {
      return std::string_view(other.host) == line.host && std::string_view(other.port) == line.port;
    });
    const std::string password = password_for(*libpq, line.host, line.port, slot.path());
    PROMISE(password == first->password, password);
  }
  const bool is_there = std::ranges::any_of(
      lines, [](const SlotLine& line) { return std::string_view(line.host) == "stranger.example"; });
  if (!is_there) PROMISE(password_for(*libpq, "stranger.example", lines[0].port, slot.path()).empty(), input);
}

}  // namespace pqmint::fuzz
