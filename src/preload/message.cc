// SPDX-License-Identifier: PostgreSQL
// Finds, moves and replaces text in the live error buffer of a PGconn.

#include "preload/message.h"

#include <string.h>

namespace pqmint {
namespace {

constexpr const char kSlotFolder[] = "/proc/self/fd/";

// When a password is refused (SQLSTATE 28P01), libpq adds a line that names the password file. Ours is nobody's
// business. A server's own words may name one too, before that line: all of them go.
void cut_lines_with(char* text, const char* word) {
  for (char* at = text; (at = strstr(at, word)) != nullptr;) {
    while (at > text && at[-1] != '\n') --at;
    char* rest = strchr(at, '\n');
    if (rest) {
      memmove(at, rest + 1, strlen(rest + 1) + 1);
    } else {
      *at = '\0';
    }
  }
}

// A login may fail after its token was accepted: no such database, too many connections. Only these words are about the
// token; in doubt, nothing is said and nothing is tried again.
bool speaks_of_authentication(const char* said) {
  static constexpr const char* kWords[] = {"authentication failed", "access denied", "access token", "AAD_AUTH",
                                           "pg_hba.conf",           kSlotFolder};
  for (const char* word : kWords) {
    if (strstr(said, word)) return true;
  }
  const char* role = strstr(said, "role \"");
  return role && strstr(role, "\" does not exist");
}

// Whether libpq or the server's certificate failed where a weaker sslmode would have gone on.
bool speaks_of_tls(const char* said) {
  static constexpr const char* kWords[] = {"does not support SSL", "certificate verify failed",
                                           "does not match host name"};
  for (const char* word : kWords) {
    if (strstr(said, word)) return true;
  }
  return false;
}

// libpq's words are about the mode that it was given, which the user never named: policy makes it of a weaker one.
void explain_raised_mode(const Connection& known, PGconn* conn, const pqmint_answer* answer) {
  const char* wanted = known.target.option("sslmode");
  Text said = copy_text(known.libpq->error_message(conn));
  if (!said || !answer->sslmode || !wanted || same_text(answer->sslmode, wanted) || !speaks_of_tls(said.get())) return;
  cut_last_newlines(said.get());
  const Text text =
      joined(said.get(), "\npqmint: a token travels inside verified TLS only: sslmode=", wanted,
             " was taken for verify-full; switch TLS on at the server, name its roots with sslrootcert=, or do without "
             "verification by sslmode=require");
  if (text) replace_message(*known.libpq, conn, text.get());
}

}  // namespace

const char* say_error(const char* text, Text& room) {
  LogLine(LogLevel::kError, "error").with("text", text);
  room = joined("pqmint: ", text);
  return room ? room.get() : "pqmint: out of memory";
}

void show_only(const Libpq& libpq, PGconn* conn, const char* text) {
  // PQerrorMessage shows libpq's live buffer. Behind our text stand at least a quotation mark and a newline of
  // libpq's own sentence: room for ours.
  char* shown = libpq.error_message(conn);
  char* ours = strstr(shown, text);
  if (ours == nullptr) return;
  const size_t length = strlen(text);
  memmove(shown, ours, length);
  strcpy(shown + length, "\n");
}

void replace_message(const Libpq& libpq, PGconn* conn, const char* text) {
  // Quotes an algorithm that it does not know in the PGconn's error buffer, without a word to the server.
  libpq.encrypt_password_conn(conn, "", "", text);
  show_only(libpq, conn, text);
}

const Route* refused_route(const Connection& known, PGconn* conn, const pqmint_answer* answer) {
  const Libpq& libpq = *known.libpq;
  if (libpq.status(conn) != CONNECTION_BAD || !libpq.connection_used_password(conn)) return nullptr;
  if (!speaks_of_authentication(libpq.error_message(conn))) return nullptr;
  const Route* route = known.route_at(conn);
  return route && answer->grants[route->grant].managed ? route : nullptr;
}

void explain_refusal(const Connection& known, PGconn* conn, const pqmint_answer* answer) {
  const Libpq& libpq = *known.libpq;
  const char* said = libpq.error_message(conn);
  const Route* route = refused_route(known, conn, answer);
  if (route == nullptr) {
    if (libpq.status(conn) != CONNECTION_BAD) return;
    // A host of the user's own, whose password stood in the slot too.
    cut_lines_with(libpq.error_message(conn), kSlotFolder);
    return explain_raised_mode(known, conn, answer);
  }
  const char* why = known.core->explain(answer, route->grant, said);
  constexpr char kName[] = "pqmint: ";
  Text text(static_cast<char*>(malloc(strlen(said) + sizeof kName + strlen(why ? why : ""))));
  if (!text) return;
  stpcpy(text.get(), said);
  cut_lines_with(text.get(), kSlotFolder);
  if (why) {
    stpcpy(stpcpy(text.get() + strlen(text.get()), kName), why);
  } else {
    cut_last_newlines(text.get());
  }
  replace_message(libpq, conn, text.get());
}

void tell_of_refusal(const Connection& known, PGconn* conn, const pqmint_answer* answer) {
  const Route* refused = refused_route(known, conn, answer);
  if (refused) known.core->forget(answer, refused->grant);
  explain_refusal(known, conn, answer);
}

void log_result(const Libpq& libpq, PGconn* conn, LogLevel level, const char* event, const char* result) {
  LogLine(level, event).with("host", libpq.host(conn)).with("port", libpq.port(conn)).with("result", result);
}

void log_end(const Libpq& libpq, PGconn* conn, const char* event, const char* failure) {
  const bool is_up = libpq.status(conn) == CONNECTION_OK;
  log_result(libpq, conn, is_up ? LogLevel::kInfo : LogLevel::kError, event, is_up ? "connected" : failure);
}

}  // namespace pqmint
