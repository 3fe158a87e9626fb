// SPDX-License-Identifier: PostgreSQL
// PQerrorMessage, rewritten in place: every program shows it, and nobody else has to be interposed for it.
#pragma once

#include "base/log.h"
#include "pqmint/abi.h"
#include "preload/connection.h"

namespace pqmint {

/// "pqmint: " and `text`, for a program to show; the log has it as an error. `room` holds it.
const char* say_error(const char* text, Text& room);

/// Makes `text` the whole of PQerrorMessage(conn), for a PGconn whose message holds it somewhere: libpq quotes what it
/// cannot use.
void show_only(const Libpq& libpq, PGconn* conn, const char* text);

/// Makes `text` (one or more lines, no newline at the end) the whole of PQerrorMessage(conn). Sends nothing.
void replace_message(const Libpq& libpq, PGconn* conn, const char* text);

/// After a connect or reset has ended: where `conn` was when the server refused a token of `answer`. Null if it did
/// not.
const Route* refused_route(const Connection& known, PGconn* conn, const pqmint_answer* answer);

/// After a connect or reset has ended: if the server refused a token of `answer`, the message of `conn` is cleared of
/// the slot's path, and followed by a sentence that says what was signed and the likely causes. If TLS failed in a mode
/// that is stricter than the user's own, a sentence names both.
void explain_refusal(const Connection& known, PGconn* conn, const pqmint_answer* answer);

/// The same where there is no second try within the call. If the refused token came from memory, core forgets it: the
/// program's own next try shall have fresh credentials.
void tell_of_refusal(const Connection& known, PGconn* conn, const pqmint_answer* answer);

/// How a connect or a reset stands, as a line of the log; never in the server's words, which may repeat what it was
/// sent.
void log_result(const Libpq& libpq, PGconn* conn, LogLevel level, const char* event, const char* result);

/// The same at its end: "connected", or `failure` as an error.
void log_end(const Libpq& libpq, PGconn* conn, const char* event, const char* failure);

}  // namespace pqmint
