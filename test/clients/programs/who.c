// SPDX-License-Identifier: PostgreSQL
// who CONNINFO: asks the query in $Q.
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  PGconn* connection = PQconnectdb(argc > 1 ? argv[1] : "");
  if (PQstatus(connection) != CONNECTION_OK) {
    fprintf(stderr, "%s", PQerrorMessage(connection));
    return 1;
  }
  PGresult* result = PQexec(connection, getenv("Q"));
  puts(PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : PQerrorMessage(connection));
  PQclear(result);
  PQfinish(connection);
  return 0;
}
