// SPDX-License-Identifier: PostgreSQL
// Life inside a PostgreSQL server, where postgres_fdw, dblink and subscriptions connect for many people.
#pragma once

namespace pqmint {

/// Whether this process is a PostgreSQL server's.
bool inside_a_server();

/// Whether the role that the server works for at this moment may use the server's cloud identity: superusers may, and
/// the server itself (a standby's primary_conninfo). Others could point a foreign server of their own at any database
/// that the identity may log in to. Call it in a server's own thread.
bool may_mint_inside_a_server();

}  // namespace pqmint
