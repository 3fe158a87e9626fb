// SPDX-License-Identifier: PostgreSQL
// who HOST PORT USER DATABASE: asks the query in $Q through libdbi.
#include <dbi/dbi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  (void)argc;
  dbi_inst instance;
  dbi_initialize_r(NULL, &instance);
  dbi_conn connection = dbi_conn_new_r("pgsql", instance);
  dbi_conn_set_option(connection, "host", argv[1]);
  dbi_conn_set_option_numeric(connection, "port", atoi(argv[2]));
  dbi_conn_set_option(connection, "username", argv[3]);
  dbi_conn_set_option(connection, "dbname", argv[4]);
  if (dbi_conn_connect(connection) < 0) {
    const char* message;
    dbi_conn_error(connection, &message);
    fprintf(stderr, "%s\n", message);
    return 1;
  }
  dbi_result result = dbi_conn_query(connection, getenv("Q"));
  while (dbi_result_next_row(result)) puts(dbi_result_get_string_idx(result, 1));
  return 0;
}
