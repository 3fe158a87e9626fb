// SPDX-License-Identifier: PostgreSQL
// What a program loads at run time to reach PostgreSQL, as PHP loads pgsql.so: see plugin_host.cc.
#include <libpq-fe.h>

#include <cstdio>

extern "C" int log_in(const char* conninfo) {
  PGconn* conn = PQconnectdb(conninfo);
  if (PQstatus(conn) != CONNECTION_OK) std::printf("%s", PQerrorMessage(conn));
  PGresult* result = PQexec(conn, "select current_user");
  if (PQntuples(result) == 1) std::printf("%s\n", PQgetvalue(result, 0, 0));
  PQclear(result);
  PQfinish(conn);
  return 0;
}
