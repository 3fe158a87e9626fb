// SPDX-License-Identifier: PostgreSQL
// who CONNINFO: asks the query in $Q through apr_dbd, as Apache's modules do.
#include <apr_dbd.h>
#include <apr_general.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  (void)argc;
  apr_initialize();
  apr_pool_t* pool;
  apr_pool_create(&pool, NULL);
  apr_dbd_init(pool);
  const apr_dbd_driver_t* driver;
  apr_dbd_t* handle;
  const char* message = "no driver";
  if (apr_dbd_get_driver(pool, "pgsql", &driver) != APR_SUCCESS ||
      apr_dbd_open_ex(driver, pool, argv[1], &handle, &message) != APR_SUCCESS) {
    fprintf(stderr, "%s\n", message);
    return 1;
  }
  apr_dbd_results_t* results = NULL;
  apr_dbd_row_t* row = NULL;
  apr_dbd_select(driver, pool, handle, &results, getenv("Q"), 0);
  while (apr_dbd_get_row(driver, pool, results, &row, -1) == 0) puts(apr_dbd_get_entry(driver, row, 0));
  return 0;
}
