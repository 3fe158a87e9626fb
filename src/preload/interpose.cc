// SPDX-License-Identifier: PostgreSQL
// The functions of libpq that programs reach pqmint by. Each finds the libpq that its caller would have had, and hands
// on.
//
// Everything that libpqmint.so exports is in this file. The return address must be taken in the exported function
// itself: it is what tells whose libpq is meant.

#include <string.h>

#include "preload/call.h"
#include "preload/connect.h"
#include "preload/connection.h"
#include "preload/libpq.h"
#include "preload/reset.h"

#define PQMINT_EXPORT extern "C" __attribute__((visibility("default"), noinline))
#define PQMINT_CALLER __builtin_return_address(0)

namespace pqmint {
namespace {

/// Calls `ours` with the real libpq of the caller; `inner` instead when it is pqmint or libpq itself that calls. `none`
/// is what a program gets that has no libpq: what it would take for memory running out.
template <typename Ours, typename Inner, typename None>
auto hand_on(const void* caller, Ours ours, Inner inner, None none) {
  if (const Libpq* current = Inside::current(__builtin_frame_address(0), caller)) return inner(*current);
  const Libpq* libpq = libpq_of(caller);
  return libpq ? ours(*libpq) : none;
}

PGconn* connect_for(const void* caller, const Call& call) {
  return hand_on(
      caller, [&](const Libpq& libpq) { return connect(libpq, call); },
      [&](const Libpq& libpq) {
        PGconn* conn = call.plain(libpq);
        connections::remove(conn);
        return conn;
      },
      static_cast<PGconn*>(nullptr));
}

// The user's settings in place of those that libpq was given for the token's sake.
void restore(PQconninfoOption* shown, const PQconninfoOption* own) {
  for (PQconninfoOption* option = shown; option && option->keyword; ++option) {
    if (!is_replaced_setting(option->keyword)) continue;
    for (const PQconninfoOption* user = own; user->keyword; ++user) {
      if (strcmp(user->keyword, option->keyword) != 0) continue;
      free(option->val);  // libpq's PQconninfoFree frees what strdup made here
      option->val = user->val ? strdup(user->val) : nullptr;
    }
  }
}

}  // namespace
}  // namespace pqmint

using pqmint::Call;
using pqmint::Libpq;

PQMINT_EXPORT PGconn* PQconnectdb(const char* conninfo) {
  Call call = {};
  call.shape = Call::Shape::kConninfo;
  call.blocking = true;
  call.conninfo = conninfo;
  return pqmint::connect_for(PQMINT_CALLER, call);
}

PQMINT_EXPORT PGconn* PQconnectStart(const char* conninfo) {
  Call call = {};
  call.shape = Call::Shape::kConninfo;
  call.conninfo = conninfo;
  return pqmint::connect_for(PQMINT_CALLER, call);
}

PQMINT_EXPORT PGconn* PQconnectdbParams(const char* const* keywords, const char* const* values, int expand_dbname) {
  Call call = {};
  call.shape = Call::Shape::kParams;
  call.blocking = true;
  call.keywords = keywords;
  call.values = values;
  call.expand_dbname = expand_dbname;
  return pqmint::connect_for(PQMINT_CALLER, call);
}

PQMINT_EXPORT PGconn* PQconnectStartParams(const char* const* keywords, const char* const* values, int expand_dbname) {
  Call call = {};
  call.shape = Call::Shape::kParams;
  call.keywords = keywords;
  call.values = values;
  call.expand_dbname = expand_dbname;
  return pqmint::connect_for(PQMINT_CALLER, call);
}

PQMINT_EXPORT PGconn* PQsetdbLogin(const char* host, const char* port, const char* options, const char* tty,
                                   const char* dbname, const char* user, const char* password) {
  Call call = {};
  call.shape = Call::Shape::kLogin;
  call.blocking = true;
  call.host = host;
  call.port = port;
  call.options = options;
  call.tty = tty;
  call.dbname = dbname;
  call.user = user;
  call.password = password;
  return pqmint::connect_for(PQMINT_CALLER, call);
}

PQMINT_EXPORT PostgresPollingStatusType PQconnectPoll(PGconn* conn) {
  return pqmint::hand_on(
      PQMINT_CALLER, [=](const Libpq& libpq) { return pqmint::connect_poll(libpq, conn); },
      [=](const Libpq& libpq) { return libpq.connect_poll(conn); }, PGRES_POLLING_FAILED);
}

PQMINT_EXPORT void PQreset(PGconn* conn) {
  pqmint::hand_on(
      PQMINT_CALLER, [=](const Libpq& libpq) { return pqmint::reset(libpq, conn), 0; },
      [=](const Libpq& libpq) { return libpq.reset(conn), 0; }, 0);
}

PQMINT_EXPORT int PQresetStart(PGconn* conn) {
  return pqmint::hand_on(
      PQMINT_CALLER, [=](const Libpq& libpq) { return pqmint::reset_start(libpq, conn); },
      [=](const Libpq& libpq) { return libpq.reset_start(conn); }, 0);
}

PQMINT_EXPORT PostgresPollingStatusType PQresetPoll(PGconn* conn) {
  return pqmint::hand_on(
      PQMINT_CALLER, [=](const Libpq& libpq) { return pqmint::reset_poll(libpq, conn); },
      [=](const Libpq& libpq) { return libpq.reset_poll(conn); }, PGRES_POLLING_FAILED);
}

// A ping asks whether a server listens, and needs no password. libpq would reach our connect functions on the way.
PQMINT_EXPORT PGPing PQping(const char* conninfo) {
  const auto ping = [=](const Libpq& libpq) {
    pqmint::Inside inside(libpq);
    return pqmint::call_out(libpq.ping, conninfo);
  };
  return pqmint::hand_on(PQMINT_CALLER, ping, ping, PQPING_NO_ATTEMPT);
}

PQMINT_EXPORT PGPing PQpingParams(const char* const* keywords, const char* const* values, int expand_dbname) {
  const auto ping = [=](const Libpq& libpq) {
    pqmint::Inside inside(libpq);
    return pqmint::call_out(libpq.ping_params, keywords, values, expand_dbname);
  };
  return pqmint::hand_on(PQMINT_CALLER, ping, ping, PQPING_NO_ATTEMPT);
}

PQMINT_EXPORT void PQfinish(PGconn* conn) {
  const auto finish = [=](const Libpq& libpq) {
    pqmint::Inside inside(libpq);
    const pqmint::Connection* known = pqmint::connections::find(conn);
    const uint64_t number = known ? known->number : 0;
    // Last words of the program (PGEVT_CONNDESTROY) may still ask for its settings.
    pqmint::call_out(libpq.finish, conn);
    if (known) pqmint::connections::remove(conn, number);
    return 0;
  };
  pqmint::hand_on(PQMINT_CALLER, finish, finish, 0);
}

PQMINT_EXPORT PQconninfoOption* PQconninfo(PGconn* conn) {
  const auto show = [=](const Libpq& libpq) {
    pqmint::Inside inside(libpq);
    PQconninfoOption* shown = libpq.conninfo(conn);
    const pqmint::Connection* known = pqmint::connections::find(conn);
    if (known) pqmint::restore(shown, known->target.options());
    return shown;
  };
  return pqmint::hand_on(PQMINT_CALLER, show, show, static_cast<PQconninfoOption*>(nullptr));
}
