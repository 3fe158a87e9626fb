/* SPDX-License-Identifier: PostgreSQL
 *
 * login CONNINFO: a program that pqmint cannot reach from outside, because libpq is linked into it statically, and that
 * asks for its token itself.
 *
 *   cc login.c $(pkg-config --cflags --libs pqmint) libpq.a ... -o login
 */
#include <libpq-fe.h>
#include <pqmint/pqmint.h>
#include <stdio.h>

int main(int argc, char** argv) {
  const char* conninfo = argc > 1 ? argv[1] : NULL;
  pqmint_token* token = pqmint_mint(conninfo);
  if (token == NULL || pqmint_error(token) != NULL) {
    fprintf(stderr, "login: %s\n", token ? pqmint_error(token) : "out of memory");
    pqmint_free(token);
    return 1;
  }
  /* What the token is good for, after what the user said: the last one wins. */
  const char* const keywords[] = {"dbname",   "host",    "hostaddr",    "port",     "user",
                                  "password", "sslmode", "sslrootcert", "passfile", NULL};
  const char* const values[] = {conninfo ? conninfo : "",
                                pqmint_host(token),
                                pqmint_hostaddr(token) ? pqmint_hostaddr(token) : "",
                                pqmint_port(token),
                                pqmint_user(token),
                                pqmint_password(token),
                                pqmint_sslmode(token),
                                pqmint_sslrootcert(token),
                                "", /* a token spec, maybe */
                                NULL};
  PGconn* conn = PQconnectdbParams(keywords, values, 1);
  pqmint_free(token);
  int failed = PQstatus(conn) != CONNECTION_OK;
  if (failed) {
    fprintf(stderr, "login: %s", PQerrorMessage(conn));
  } else {
    PGresult* result = PQexec(conn, "select current_user");
    printf("%s\n", PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : PQerrorMessage(conn));
    PQclear(result);
  }
  PQfinish(conn);
  return failed;
}
