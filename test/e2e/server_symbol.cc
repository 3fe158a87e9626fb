// SPDX-License-Identifier: PostgreSQL
// What tells a PostgreSQL server from its clients: preloaded, it makes any program one.
extern "C" __attribute__((visibility("default"))) void PostgresMain() {}
