/* SPDX-License-Identifier: PostgreSQL
 *
 * The seam between pqmint's own objects: libpqmint.so asks, pqmint/core.so answers, pqmint/net.so fetches for core.
 *
 * It is plain C, so that the three may be built by different compilers, and versioned as a whole: each module exports
 * one function that returns a table whose first word is PQMINT_ABI_VERSION. A table with another version is refused by
 * name before anything else in it is read. Nothing here is a public interface (that is pqmint.h): it changes with the
 * version, without notice.
 *
 * Rules that hold for every struct below:
 *   - strings are NUL-terminated UTF-8 as libpq had them; NULL means "not there";
 *   - times are seconds since the epoch, 0 means "not known" or "never";
 *   - who made it frees it: an answer lives until the `release` of the table that gave it, and wipes its tokens then;
 *   - functions may be called from any thread at the same time, and in a forked child; they never throw.
 */
#ifndef PQMINT_ABI_H
#define PQMINT_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PQMINT_ABI_VERSION 6u

/* ------------------------------------------------------------------ libpqmint.so -> core.so: mint for a connection */

/* One host that libpq would try, in libpq's order. Hosts that need no token are listed too: policy sees them all. */
struct pqmint_host {
  const char* host;     /* name or address as the user gave it; NULL when only hostaddr was given */
  const char* hostaddr; /* numeric address, or NULL */
  const char* port;     /* decimal, never empty: libpq's default is filled in */
  const char* spec;     /* the token spec ("pqmint:...") that asked for this host, or NULL: recognised by its name */
  int may_run;          /* 0: `spec` stands where a stranger may have written it, and may not start a program */
  int wanted;           /* 0: leave this host alone */
};

/* What libpq says it would do, after service file, environment and defaults. */
struct pqmint_request {
  uint64_t connection;   /* its number in the log; 0: none */
  int32_t libpq_version; /* PQlibVersion(), e.g. 150018 */
  const char* user;
  int user_is_given; /* 0: `user` is only libpq's default, the name that the operating system has for its caller */
  const char* dbname;
  const char* sslmode;
  const char* sslrootcert;
  const char* gssencmode; /* NULL as well where libpq was built without Kerberos */
  const char* options;
  const char* connect_timeout; /* seconds, as written by the user */
  int only_token;              /* no connection follows: `pqmint token`, which leaves TLS to whoever uses the token */
  int at_terminal; /* a person sits there and wants to log in by device code: `pqmint token`, never a connection */
  const struct pqmint_host* hosts;
  size_t host_count;
};

/* What became of one host; the order is the request's. Everything but `token` may be shown to people. */
struct pqmint_grant {
  int managed;           /* 0: not ours, and all that follows is empty */
  const char* token;     /* the password; NULL when `error` is set. SECRET */
  int64_t token_expires; /* when the server will refuse it; "command": when it is no longer kept */
  const char* host;      /* what libpq must take as host= (the name that TLS verifies); never NULL if managed */
  const char* hostaddrs; /* where to dial instead of resolving `host`: addresses joined by commas, or NULL */
  const char* provider;  /* "rds", "dsql", "entra", "command" */
  const char* kind;      /* "cluster-writer", ..., "explicit" */
  const char* endpoint;  /* what was signed: host:port, or host for DSQL; what TLS verifies, where nothing is signed */
  const char* region;
  const char* region_source;     /* "host", "option", "AWS_REGION", "AWS_DEFAULT_REGION", "profile", "imds" */
  const char* credential_source; /* "environment", "profile", ... */
  const char* credential_name;   /* the profile's name, or the command's program, for those that have one */
  const char* identity;          /* "AKIA...MPLE", masked; for Entra "oid=..., appid=..." */
  int64_t credential_expires;
  const char* credential_trail; /* a line for each source: its name, ": ", and why it was used or passed over */
  int skew_known;               /* a server has told the time */
  int64_t skew;                 /* seconds that it was ahead of this machine; the token was signed with its time */
  const char* note;             /* what may yet go wrong, as a sentence without a prefix, or NULL */
  const char* error;            /* a sentence without a prefix, or NULL */
};

struct pqmint_answer {
  const char* error;       /* the first thing that forbids the connection, as a sentence without a prefix, or NULL */
  const char* user;        /* what libpq must be told; NULL: the user's own stands */
  const char* sslmode;     /* the same */
  const char* sslrootcert; /* the same */
  const struct pqmint_grant* grants;
  size_t grant_count;
};

struct pqmint_core_module {
  uint32_t abi;
  /* Never NULL but when memory is out. May block to fetch credentials, at most connect_timeout, 30 s without one. */
  const struct pqmint_answer* (*mint)(const struct pqmint_request* request);
  void (*release)(const struct pqmint_answer* answer);
  /* When the server refused the token of this grant with the words `said`: a sentence without a prefix that says what
   * was signed and why it may have been refused. Lives as long as the answer; one thread at a time for one answer. NULL
   * when memory is out. */
  const char* (*explain)(const struct pqmint_answer* answer, size_t grant, const char* said);
  /* The server refused the token of this grant. 1: it came from memory, has been forgotten now, and a fresh one may
   * fare better. 0: it was fresh. */
  int (*forget)(const struct pqmint_answer* answer, size_t grant);
};

/* The one export of core.so. */
const struct pqmint_core_module* pqmint_core(void);

/* --------------------------------------------------------------------------- core.so -> net.so: fetch credentials */

/* AWS keys. SECRET but for the id. */
struct pqmint_keys {
  const char* access_key_id;
  const char* secret_access_key;
  const char* session_token; /* NULL: none */
};

/* What a source must know. Which names it looks at stands in src/net/source.h; a value may be SECRET. */
struct pqmint_setting {
  const char* name;
  const char* value;
};

struct pqmint_fetch {
  uint64_t connection; /* its number in the log; 0: none */
  const char* source;  /* "assume-role", ..., "command": the table in src/net/abi.cc */
  const struct pqmint_setting* settings;
  size_t setting_count;
  const struct pqmint_keys* signer; /* whose keys sign the request; NULL for the sources that sign none */
  int64_t timeout_ms;               /* the answer comes within this time, whatever happens */
  int64_t skew;                     /* seconds that the servers' clock is known to be ahead of this machine's */
};

struct pqmint_fetched {
  const char* error; /* a sentence without a prefix, or NULL */
  int absent;        /* the source is not there at all (no metadata service answers); `error` says how that was seen */
  struct pqmint_keys keys; /* AWS's sources; all NULL with an error */
  const char* token;       /* Entra's sources and "command". SECRET */
  int64_t expires;         /* when the keys or the token die; 0: never */
  int64_t refresh_at;      /* when the next token should be asked for; 0: nobody said */
  const char* text;        /* "imds-region": the region; Entra's: the user name that the claims lead to, or "" */
  const char* identity;    /* Entra's: "oid=..., appid=..." */
  int skew_known;          /* an answer carried the server's time, with an error too */
  int64_t skew;
};

struct pqmint_net_module {
  uint32_t abi;
  /* NULL only when memory is out. Blocks, at most timeout_ms. */
  const struct pqmint_fetched* (*fetch)(const struct pqmint_fetch* what);
  void (*release)(const struct pqmint_fetched* fetched);
};

/* The one export of net.so. */
const struct pqmint_net_module* pqmint_net(void);

#ifdef __cplusplus
}
#endif

#endif
