// SPDX-License-Identifier: PostgreSQL
// What pqmint knows of a live PGconn that it minted for, or took a spec away from: enough to mint again, and to show
// the user his own settings.
#pragma once

#include <stdint.h>

#include "pqmint/abi.h"
#include "preload/claim.h"
#include "preload/libpq.h"
#include "preload/memory.h"
#include "preload/target.h"

namespace pqmint {

/// One entry of the host list that libpq was really given. An `endpoint=` behind a name with several addresses makes
/// several routes of one host.
struct Route {
  Text host;  // null: only an address
  Text hostaddr;
  Text port;
  size_t grant;  // index of the host in the target, and of its grant in an answer

  const char* slot_key() const;

  /// Fingerprint of the one that libpq has for it; 0: none of ours. A reset in the connection's thread changes it, and
  /// another thread may be looking through all connections for the password that it was given.
  uint64_t token() const { return __atomic_load_n(&token_, __ATOMIC_RELAXED); }
  void set_token(uint64_t fingerprint) const { __atomic_store_n(&token_, fingerprint, __ATOMIC_RELAXED); }

  mutable uint64_t token_ = 0;
};

/// Owned by the registry from add() to remove(); used by one thread at a time, as the PGconn itself.
struct Connection {
  const Libpq* libpq;
  Target target;
  Claims claims;
  uint64_t number = 0;  // in the log
  Connection* next = nullptr;
  PGconn* conn = nullptr;
  Array<Route> routes = nullptr;
  size_t route_count = 0;
  bool only_token = false;   // `pqmint token`
  bool at_terminal = false;  // `pqmint token --device-code`
  Text user = nullptr;       // the one that the token leads to, once that is known; null: the target's own
  bool stillborn = false;    // a PGconn that only carries an error of ours: it cannot be reset
  const pqmint_core_module* core = nullptr;  // null: no token was wanted, a `pqmint:off` only kept from being sent
  const pqmint_answer* pending = nullptr;    // tokens of a PQconnectStart or PQresetStart that is under way

  static Connection* make(const Libpq& libpq, Target&& target, Claims&& claims);
  static void destroy(Connection* connection);

  /// The database to ask for: libpq's default is the user's name, and follows it.
  const char* dbname() const;

  /// The host list for libpq, from the grants of `answer`, in place of an earlier one. False when memory is out.
  bool plan_routes(const pqmint_answer* answer);

  void forget_routes();

  /// Releases the tokens of what was under way.
  void forget_pending();

  /// Whether each host is dialled by an address that `answer` names, too. libpq keeps those that it was first given.
  bool still_leads_to(const pqmint_answer* answer) const;

  /// Asks core for tokens for this connection. Null when memory is out. The caller releases it.
  const pqmint_answer* mint() const;

  /// Remembers the tokens of `answer`, in case the program hands one back as a password (minted.h).
  void remember(const pqmint_answer* answer) const;

  /// The route that libpq is at, as PQhost, PQport and PQpass tell: of several that look the same (one name with two
  /// addresses), one that has the token which libpq has there, if any has. Null if none is.
  const Route* route_at(PGconn* conn_now) const;
};

/// All of them, by their PGconn. Thread-safe and fork-safe. An address that comes again replaces what was known of it:
/// a program may have finished the old one where we could not see it.
namespace connections {
void add(Connection* connection);
/// What is known of a PGconn; in a handler that broke into this very list, nothing is.
Connection* find(const PGconn* conn);
/// Forgets what is known of a PGconn, or of one that stood at its address before; with a `number`, only if it is that
/// connection's.
void remove(const PGconn* conn, uint64_t number = 0);

/// Whether a live connection has this token, however long ago it was minted; if so and `host` is one of its hosts, the
/// spec that asked for it becomes a copy in `spec`, and `is_its_host` true.
bool has_token(const char* token, const char* host, const char* port, bool& is_its_host, Text& spec);
}  // namespace connections

/// The settings that libpq was given in place of the user's own. (The user is not among them: who reconnects with what
/// PQconninfo says must come back as the same one.)
bool is_replaced_setting(const char* keyword);

}  // namespace pqmint
