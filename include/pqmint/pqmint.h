/* SPDX-License-Identifier: PostgreSQL
 *
 * The C API of pqmint: a login token for a PostgreSQL connection, for programs that `pqmint run` cannot reach (linked
 * statically to libpq, or speaking the protocol themselves). Link with -lpqmint-api (pkg-config pqmint); it changes
 * nothing about libpq in the program. It asks the system's libpq.so.5 what a conninfo means.
 *
 * All functions are thread-safe, but for a token that one thread frees while another one uses it. Strings are UTF-8,
 * belong to the token and live until pqmint_free(). The manual page is pqmint-api(3).
 */
#ifndef PQMINT_H
#define PQMINT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PQMINT_PUBLIC __attribute__((visibility("default")))
#else
#define PQMINT_PUBLIC
#endif

typedef struct pqmint_token pqmint_token;

/* Mints for the first host of `conninfo` (a conninfo string or URI of libpq, which may hold a token spec; NULL: PG* and
 * PGSERVICE decide) that is an endpoint of RDS, Aurora, DSQL or Azure Database for PostgreSQL, or is asked for by a
 * token spec. Blocks while credentials are fetched: at most its connect_timeout in seconds, 30 s without one, never
 * more than 60 s. Returns a token that the caller frees with pqmint_free(), with an error in it when none could be
 * made; NULL only when memory is out. */
PQMINT_PUBLIC pqmint_token* pqmint_mint(const char* conninfo);

/* One sentence that says what was tried, what failed and what to do; NULL: there is a token. Holds no secret. */
PQMINT_PUBLIC const char* pqmint_error(const pqmint_token* token);

/* The token, to be sent as the password, inside TLS only. NULL with an error. SECRET */
PQMINT_PUBLIC const char* pqmint_password(const pqmint_token* token);

/* When the server will refuse it: seconds since the epoch; 0: not known. Connections that are up live on. */
PQMINT_PUBLIC int64_t pqmint_expires(const pqmint_token* token);

/* What to connect with: the token is good for this server and this user only. The host is the name that TLS must
 * verify. The address (numeric, NULL: look the name up) is where to dial, as hostaddr= or a tunnel says it; a name with
 * several addresses gives the first. The mode and the roots (NULL: libpq's default) are as libpq takes them. NULL with
 * an error. */
PQMINT_PUBLIC const char* pqmint_host(const pqmint_token* token);
PQMINT_PUBLIC const char* pqmint_hostaddr(const pqmint_token* token);
PQMINT_PUBLIC const char* pqmint_port(const pqmint_token* token);
PQMINT_PUBLIC const char* pqmint_user(const pqmint_token* token);
PQMINT_PUBLIC const char* pqmint_sslmode(const pqmint_token* token);
PQMINT_PUBLIC const char* pqmint_sslrootcert(const pqmint_token* token);

/* Wipes the token and frees all that belongs to it. NULL is allowed. */
PQMINT_PUBLIC void pqmint_free(pqmint_token* token);

/* The library's version, as "0.1.0"; lives for ever. */
PQMINT_PUBLIC const char* pqmint_version(void);

#ifdef __cplusplus
}
#endif

#endif
