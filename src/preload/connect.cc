// SPDX-License-Identifier: PostgreSQL
// target -> claim -> core -> the real call: the stages in their order, and what stands in when one of them fails.

#include "preload/connect.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>

#include <utility>

#include "base/log.h"
#include "preload/connection.h"
#include "preload/core_module.h"
#include "preload/message.h"
#include "preload/prepare.h"
#include "preload/server.h"
#include "preload/slot.h"

namespace pqmint {
namespace {

// PQMINT=off, or a program that runs with more rights than its caller: there the environment is not to be trusted.
bool is_switched_off() {
  const char* value = getenv("PQMINT");
  return (value && strcasecmp(value, "off") == 0) || getauxval(AT_SECURE) != 0;
}

PGconn* call_with(const Libpq& libpq, const char* conninfo, bool blocking) {
  const char* const keywords[] = {"dbname", nullptr};
  const char* const values[] = {conninfo, nullptr};
  return call_out(blocking ? libpq.connectdb_params : libpq.connect_start_params, keywords, values, 1);
}

// The program's own call. What was known of an earlier PGconn at this address, which the program finished where we
// could not see it, is not this one's.
PGconn* call_plain(const Libpq& libpq, const Call& call) {
  PGconn* conn = call_out([&] { return call.plain(libpq); });
  connections::remove(conn);
  return conn;
}

// A genuine PGconn that says our sentence: libpq quotes a bad value in its error text, so the sentence is made the bad
// value, and the quotation then moved to the front. Nothing was sent, and no program will prompt for a password.
PGconn* fail(Connection* connection, const char* text) {
  const Libpq& libpq = *connection->libpq;
  Text room;
  const char* said = say_error(text, room);
  const Setting overrides[] = {{"password", ""}, {"passfile", kNoPasswordFile}, {"target_session_attrs", said}};
  Text conninfo = conninfo_of(connection->target.options(), overrides, 3);
  PGconn* conn = conninfo ? call_with(libpq, conninfo.get(), false) : nullptr;
  if (conn == nullptr) return Connection::destroy(connection), nullptr;
  show_only(libpq, conn, said);
  connection->conn = conn;
  connection->stillborn = true;
  connections::add(connection);
  return conn;
}

// One of the three lists that libpq reads side by side.
Text join(const Connection& connection, Text Route::*part) {
  size_t most = 1;
  for (size_t i = 0; i < connection.route_count; ++i) {
    const char* text = (connection.routes[i].*part).get();
    most += (text ? strlen(text) : 0) + 1;
  }
  Text out(static_cast<char*>(calloc(1, most)));
  if (!out) return out;
  char* at = out.get();
  for (size_t i = 0; i < connection.route_count; ++i) {
    const char* text = (connection.routes[i].*part).get();
    if (i > 0) *at++ = ',';
    if (text) at = stpcpy(at, text);
  }
  return out;
}

bool any_address(const Connection& connection) {
  for (size_t i = 0; i < connection.route_count; ++i) {
    if (given(connection.routes[i].hostaddr.get())) return true;
  }
  return false;
}

// The password for each route: the token that was made for its host, or what the user has for a host of his own.
const char* password_of(const Connection& connection, const Route& route, const pqmint_answer* answer) {
  const pqmint_grant& grant = answer->grants[route.grant];
  return grant.managed ? grant.token : connection.claims[route.grant].password.get();
}

bool fill_slot(Slot& slot, const Connection& connection, const pqmint_answer* answer) {
  Array<SlotLine> lines = zeroed_array<SlotLine>(connection.route_count);
  if (!lines) return false;
  size_t count = 0;
  for (size_t i = 0; i < connection.route_count; ++i) {
    const Route& route = connection.routes[i];
    const char* password = password_of(connection, route, answer);
    if (given(password)) lines[count++] = {route.slot_key(), route.port.get(), password};
  }
  return slot.fill(lines.get(), count);
}

// Without a slot there is only one password for all: possible when no host would get another one's.
const char* common_password(const Connection& connection, const pqmint_answer* answer) {
  const char* common = password_of(connection, connection.routes[0], answer);
  for (size_t i = 1; i < connection.route_count; ++i) {
    if (!same_text(common, password_of(connection, connection.routes[i], answer))) return nullptr;
  }
  return common;
}

// The real call, or null with what is in its way (or without, when libpq has no memory): everything as the user has it,
// but for the hosts' passwords and what keeps them inside TLS.
PGconn* open(Connection& connection, const pqmint_answer* answer, bool blocking, const char*& obstacle) {
  const Libpq& libpq = *connection.libpq;
  obstacle = "out of memory";
  if (!connection.plan_routes(answer)) return nullptr;
  Slot slot;
  const char* password = "";
  if (!fill_slot(slot, connection, answer)) {
    password = common_password(connection, answer);
    if (password == nullptr) {
      obstacle =
          "this process cannot open /proc/self/fd, through which libpq is given a token for each of several hosts; "
          "name one host only";
      return nullptr;
    }
  }
  Text hosts = join(connection, &Route::host);
  Text addresses = join(connection, &Route::hostaddr);
  Text ports = join(connection, &Route::port);
  if (!hosts || !addresses || !ports) return nullptr;
  const Target& target = connection.target;
  if (answer->user) connection.user = copy_text(answer->user);
  const char* user = connection.user ? connection.user.get() : target.option("user");
  const Setting overrides[] = {
      {"user", user},
      {"dbname", connection.dbname()},
      {"host", hosts.get()},
      {"hostaddr", any_address(connection) ? addresses.get() : nullptr},
      {"port", ports.get()},
      {"password", password},
      {"passfile", given(slot.path()) ? slot.path() : kNoPasswordFile},
      {"sslmode", answer->sslmode ? answer->sslmode : target.option("sslmode")},
      {"sslrootcert", answer->sslrootcert ? answer->sslrootcert : target.option("sslrootcert")},
      // Encryption by Kerberos would go first, and then there is no TLS.
      {"gssencmode", "disable"},
  };
  Text conninfo = conninfo_of(target.options(), overrides, sizeof overrides / sizeof *overrides);
  if (!conninfo) return nullptr;
  connection.remember(answer);
  obstacle = nullptr;
  PGconn* conn = call_with(libpq, conninfo.get(), blocking);
  if (given(password)) explicit_bzero(conninfo.get(), strlen(conninfo.get()));
  return conn;
}

// Connects with fresh tokens. A blocking call whose token was refused, and rested on something that core remembered,
// gets a second chance with what core then fetches anew: once, for the server may well be right.
PGconn* connect_with_tokens(Connection* connection, bool blocking) {
  const Libpq& libpq = *connection->libpq;
  const pqmint_core_module& core = *connection->core;
  for (bool second = false;; second = true) {
    const pqmint_answer* answer = connection->mint();
    if (answer == nullptr) return fail(connection, "out of memory");
    const char* obstacle = answer->error;
    PGconn* conn = obstacle ? nullptr : open(*connection, answer, blocking, obstacle);
    const Route* refused = blocking && conn ? refused_route(*connection, conn, answer) : nullptr;
    if (refused && !second && core.forget(answer, refused->grant)) {
      LogLine(LogLevel::kInfo, "retry").with("reason", "the server refused a token that was kept in memory");
      libpq.finish(conn);
      core.release(answer);
      continue;
    }
    if (blocking && conn) explain_refusal(*connection, conn, answer);
    if (obstacle) {
      conn = fail(connection, obstacle);
    } else if (conn) {
      connection->conn = conn;
      if (blocking) {
        log_end(libpq, conn, "connect", refused ? "refused" : "failed");
      } else {
        log_result(libpq, conn, LogLevel::kInfo, "connect", "started");
        std::swap(connection->pending, answer);  // connect_poll() ends it
      }
      connections::add(connection);
    } else {
      Connection::destroy(connection);
    }
    if (answer) core.release(answer);
    return conn;
  }
}

// `pqmint:off` in place of a password: everything else as it stands, and what libpq finds without it. The spec itself
// is never sent, but remembered: who reconnects with what PQconninfo says keeps it.
PGconn* connect_without_spec(Connection* connection, bool blocking) {
  const Setting overrides[] = {{"password", ""}, {"passfile", kNoPasswordFile}};
  const size_t count = connection->claims.password_file_must_go() ? 2 : 1;
  Text conninfo = conninfo_of(connection->target.options(), overrides, count);
  connection->conn = conninfo ? call_with(*connection->libpq, conninfo.get(), blocking) : nullptr;
  if (connection->conn == nullptr) return Connection::destroy(connection), nullptr;
  connections::add(connection);
  return connection->conn;
}

}  // namespace

PostgresPollingStatusType connect_poll(const Libpq& libpq, PGconn* conn) {
  Inside inside(libpq);
  Connection* known = connections::find(conn);
  const PostgresPollingStatusType status = call_out(libpq.connect_poll, conn);
  if (known == nullptr || known->pending == nullptr) return status;
  if (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) return status;
  const LogScope scope(known->number);
  const Route* refused = status == PGRES_POLLING_FAILED ? refused_route(*known, conn, known->pending) : nullptr;
  log_end(libpq, conn, "connect", refused ? "refused" : "failed");
  if (status == PGRES_POLLING_FAILED) tell_of_refusal(*known, conn, known->pending);
  known->forget_pending();
  return status;
}

PGconn* connect(const Libpq& libpq, const Call& call) {
  Inside inside(libpq);
  if (!call.can_be_asked() || is_switched_off()) return call_plain(libpq, call);

  Target target;
  Claims claims;
  switch (prepare(libpq, call, Errand::kConnect, target, claims)) {
    case Outlook::kStopped:
      return target.refusal() ? call_plain(libpq, call) : nullptr;
    case Outlook::kLeftAlone:
      LogLine(LogLevel::kDebug, "left-alone")
          .with("host", target.option("host"))
          .with("hostaddr", target.option("hostaddr"));
      return call_plain(libpq, call);
    case Outlook::kOurs:
      break;
  }
  Connection* connection = Connection::make(libpq, std::move(target), std::move(claims));
  if (connection == nullptr) return nullptr;
  const LogScope scope(connection->number);
  if (connection->claims.strays()) {
    return fail(connection,
                "the password is a token that was made for another host, and is not sent to this one; "
                "leave the password out, or ask for a token by name with password=pqmint:");
  }

  if (!connection->claims.any()) return connect_without_spec(connection, call.blocking);

  if (inside_a_server() && !may_mint_inside_a_server()) {
    return fail(connection,
                "inside a PostgreSQL server a token is minted for superusers only, for it is the server's own cloud "
                "identity; let a superuser own the function, the foreign table's session or the subscription that "
                "connects, or give a password");
  }

  ModuleFault fault;
  const pqmint_core_module* core = core_module(fault);
  if (core == nullptr) return fail(connection, fault.text);
  connection->core = core;
  return connect_with_tokens(connection, call.blocking);
}

}  // namespace pqmint
