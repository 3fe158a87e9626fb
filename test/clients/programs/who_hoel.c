// SPDX-License-Identifier: PostgreSQL
// who CONNINFO: asks the query in $Q through Hoel.
#include <hoel.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  (void)argc;
  struct _h_connection* connection = h_connect_pgsql(argv[1]);
  json_t* answer = NULL;
  if (connection == NULL || h_execute_query_json(connection, getenv("Q"), &answer) != H_OK) {
    fprintf(stderr, "no answer\n");
    return 1;
  }
  puts(json_dumps(answer, JSON_ENCODE_ANY));
  return 0;
}
