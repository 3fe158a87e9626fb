// SPDX-License-Identifier: PostgreSQL
// The real libpq: which one serves a caller, and its functions by name.
//
// Three names for one call, so that no reader has to guess: `PQconnectdb` is what we export, `libpq.connectdb` is the
// real one, and what lies between (connect.h, reset.h) is ours.
#pragma once

#include <stdint.h>

#include <libpq-fe.h>

namespace pqmint {

/// The functions of one libpq in this process. Immutable once made, lives for ever, and pins that libpq.
struct Libpq {
  decltype(&::PQconnectdb) connectdb;
  decltype(&::PQconnectdbParams) connectdb_params;
  decltype(&::PQconnectStart) connect_start;
  decltype(&::PQconnectStartParams) connect_start_params;
  decltype(&::PQsetdbLogin) setdb_login;
  decltype(&::PQconnectPoll) connect_poll;
  decltype(&::PQreset) reset;
  decltype(&::PQresetStart) reset_start;
  decltype(&::PQresetPoll) reset_poll;
  decltype(&::PQping) ping;
  decltype(&::PQpingParams) ping_params;
  decltype(&::PQfinish) finish;
  decltype(&::PQconninfo) conninfo;
  decltype(&::PQconninfoFree) conninfo_free;
  decltype(&::PQlibVersion) lib_version;
  decltype(&::PQerrorMessage) error_message;
  decltype(&::PQstatus) status;
  decltype(&::PQsocket) socket;
  decltype(&::PQconsumeInput) consume_input;
  decltype(&::PQencryptPasswordConn) encrypt_password_conn;
  decltype(&::PQconnectionUsedPassword) connection_used_password;
  decltype(&::PQpass) pass;
  decltype(&::PQhost) host;
  decltype(&::PQhostaddr) hostaddr;
  decltype(&::PQport) port;
  uintptr_t begin, end;  // of the object that it is in
};

/// The libpq that the code at `return_address` would call if pqmint were not there: its own object's, then the next in
/// the global scope, then the only one that is loaded. Null when there is none, or when several are and none of them
/// can be told to be the caller's: a guess could hand one libpq's PGconn to another. Thread-safe; about 1.5 us.
const Libpq* libpq_of(const void* return_address);

/// The functions of a libpq that was opened by hand (dlopen). Null when it lacks one. Thread-safe.
const Libpq* libpq_at(void* handle);

/// Marks this thread as being inside of pqmint, which works for `libpq`. What is called of ours meanwhile goes straight
/// through: some builds of libpq reach their own functions through the PLT and others do not, and a signal handler
/// that connects must not meet our locks.
///
/// While it calls out (call_out), only what libpq or pqmint itself calls counts as inside: no lock of ours is held, and
/// who calls is the program, in a handler, in an event procedure of libpq's (libpq-events.h), or after it left by
/// longjmp (an alarm is a usual way to bound a connect).
class Inside {
 public:
  explicit Inside(const Libpq& libpq);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

  /// The libpq this thread is inside of, or null. `frame` and `caller` are the frame and the return address of the
  /// function that asks. A guard whose frame was left by longjmp lies below it, or has been written over, and counts no
  /// more; but one that lies above and is still whole looks alive.
  static const Libpq* current(const void* frame, const void* caller);

 private:
  template <typename Function, typename... Arguments>
  friend auto call_out(Function function, Arguments... arguments);

  class Out {
   public:
    Out();
    ~Out();
    Out(const Out&) = delete;
    Out& operator=(const Out&) = delete;

   private:
    bool outer_;
  };

  bool is_alive(const void* frame) const;

  const Libpq* libpq_;
  Inside* outer_;
  bool outer_is_out_;
  uintptr_t mark_;
};

/// Calls what waits for the network, or calls the program back. No lock of ours may be held.
template <typename Function, typename... Arguments>
auto call_out(Function function, Arguments... arguments) {
  const Inside::Out out;
  return function(arguments...);
}

}  // namespace pqmint
