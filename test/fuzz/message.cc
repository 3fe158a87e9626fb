// SPDX-License-Identifier: PostgreSQL
// What a PGconn says after a refused token: the server's words, without the line that names our password file, and our
// sentence behind them. libpq's buffer is a stand-in here that has not a byte more than libpq's own would need.
//
// Input: our sentence, a line end, and what libpq and the server said.

#include "preload/message.h"

#include <string.h>

#include <memory>

#include "promise.h"

namespace pqmint::fuzz {
namespace {

struct Buffer {
  std::unique_ptr<char[]> bytes;
  void set(const std::string& text) {
    bytes.reset(new char[text.size() + 1]);
    memcpy(bytes.get(), text.c_str(), text.size() + 1);
  }
};
Buffer g_buffer;
std::string g_why;

constexpr char kSlot[] = "/proc/self/fd/";

Libpq stand_in() {
  Libpq libpq = {};
  libpq.error_message = [](const PGconn*) { return g_buffer.bytes.get(); };
  libpq.status = [](const PGconn*) { return CONNECTION_BAD; };
  libpq.connection_used_password = [](const PGconn*) { return 1; };
  libpq.host = [](const PGconn*) -> char* { return const_cast<char*>("db.example"); };
  libpq.port = [](const PGconn*) -> char* { return const_cast<char*>("5432"); };
  libpq.pass = [](const PGconn*) -> char* { return nullptr; };
  libpq.encrypt_password_conn = [](PGconn*, const char*, const char*, const char* algorithm) -> char* {
    g_buffer.set("unrecognized password encryption algorithm \"" + std::string(algorithm) + "\"\n");
    return nullptr;
  };
  return libpq;
}

bool speaks_of_authentication(std::string_view said) {
  const bool no_role = has(said, "role \"") && has(said.substr(said.find("role \"")), "\" does not exist");
  return no_role || has(said, "authentication failed") || has(said, "access denied") || has(said, "access token") ||
         has(said, "AAD_AUTH") || has(said, "pg_hba.conf") || has(said, kSlot);
}

}  // namespace

void message(std::string_view input) {
  static const Libpq libpq = stand_in();
  static pqmint_core_module core = {};
  core.explain = [](const pqmint_answer*, size_t, const char* said) -> const char* {
    PROMISE(std::string_view(said) == g_buffer.bytes.get(), "the server's words, as they are");
    return g_why.c_str();
  };
  if (has(input, std::string_view("\0", 1))) return;
  const size_t end = std::min(input.find('\n'), input.size());
  g_why = input.substr(0, end);
  const std::string said(input.substr(std::min(end + 1, input.size())));
  if (g_why.empty() || has(g_why, kSlot)) return;
  g_buffer.set(said);

  pqmint_grant grant = {};
  grant.managed = 1;
  pqmint_answer answer = {};
  answer.grants = &grant;
  answer.grant_count = 1;
  Connection* known = Connection::make(libpq, Target(), Claims());
  known->core = &core;
  known->routes = zeroed_array<Route>(1);
  known->route_count = 1;
  known->routes[0].host = copy_text("db.example");
  known->routes[0].port = copy_text("5432");
  const bool is_refused = refused_route(*known, nullptr, &answer) != nullptr;
  PROMISE(is_refused == speaks_of_authentication(said), said);
  explain_refusal(*known, nullptr, &answer);
  Connection::destroy(known);

  const std::string shown = g_buffer.bytes.get();
  PROMISE(!has(shown, kSlot), shown);
  std::string expected;
  for (const std::string_view line : split(said, "\n")) {
    if (!has(line, kSlot)) expected.append(line).append("\n");
  }
  if (!expected.empty()) expected.pop_back();
  if (is_refused) {
    const std::string ours = "pqmint: " + g_why + "\n";
    PROMISE(shown.ends_with(ours), shown);
    const std::string_view theirs = std::string_view(shown).substr(0, shown.size() - ours.size());
    while (expected.ends_with('\n')) expected.pop_back();
    std::string_view kept = theirs;
    while (kept.ends_with('\n')) kept.remove_suffix(1);
    PROMISE(kept == expected, shown);
  } else {
    PROMISE(shown == said, shown);
  }

  g_buffer.set(said);
  replace_message(libpq, nullptr, g_why.c_str());
  PROMISE(g_buffer.bytes.get() == g_why + "\n", g_buffer.bytes.get());
}

}  // namespace pqmint::fuzz
