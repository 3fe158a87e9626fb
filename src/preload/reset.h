// SPDX-License-Identifier: PostgreSQL
// A connection that is made again: libpq would use the password of the first time, which is a token long dead.
//
// libpq has no setter for a password, but PQpass() shows the live one, in a buffer that the slot made with room to
// spare (slot.h). A fresh token is written there in place, for the host that libpq is about to try.
#pragma once

#include "preload/libpq.h"

namespace pqmint {

/// PQreset, PQresetStart and PQresetPoll with fresh tokens, for a PGconn that we know; else the real ones. When no
/// token can be made, or has no room, or the host's name has moved from the addresses that libpq has, the PGconn is
/// closed, CONNECTION_BAD, and PQerrorMessage is our sentence.
void reset(const Libpq& libpq, PGconn* conn);
int reset_start(const Libpq& libpq, PGconn* conn);
PostgresPollingStatusType reset_poll(const Libpq& libpq, PGconn* conn);

}  // namespace pqmint
