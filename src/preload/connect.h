// SPDX-License-Identifier: PostgreSQL
// The road of one connection, from the program's call to the real one.
#pragma once

#include "preload/call.h"
#include "preload/libpq.h"

namespace pqmint {

/// Connects as the program asked. For hosts that are ours the real libpq gets a token as the password, over TLS only;
/// for all others it gets the program's own arguments untouched. Returns what the program would get from libpq: a
/// PGconn, in CONNECTION_BAD with our sentence as its PQerrorMessage when no token could be made, or null when memory
/// is out. Thread-safe.
PGconn* connect(const Libpq& libpq, const Call& call);

/// PQconnectPoll. A connect that ends in a refusal of our token is explained. Thread-safe for different conns, as
/// libpq.
PostgresPollingStatusType connect_poll(const Libpq& libpq, PGconn* conn);

}  // namespace pqmint
