// SPDX-License-Identifier: PostgreSQL
// who URL: asks the query in $Q through a pool of libzdb.
#include <stdio.h>
#include <stdlib.h>
#include <zdb.h>

int main(int argc, char** argv) {
  (void)argc;
  ConnectionPool_T pool = ConnectionPool_new(URL_new(argv[1]));
  ConnectionPool_start(pool);
  Connection_T connection = ConnectionPool_getConnection(pool);
  ResultSet_T result = Connection_executeQuery(connection, "%s", getenv("Q"));
  while (ResultSet_next(result)) puts(ResultSet_getString(result, 1));
  Connection_close(connection);
  ConnectionPool_stop(pool);
  return 0;
}
