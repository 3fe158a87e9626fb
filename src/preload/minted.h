// SPDX-License-Identifier: PostgreSQL
// Memory of the tokens that were handed out lately: programs hand them back as if they were passwords.
//
// psql \c reads the password of the old connection, pg_dump -j and pg_restore -j give it to each worker; fifteen
// minutes later it is dead. Forked workers inherit the memory. Only fingerprints are kept, never a token.
#pragma once

#include <stdint.h>

#include "preload/memory.h"

namespace pqmint {

class Minted {
 public:
  /// One number for all tokens of one connect call, so that a token made for one of its hosts finds the others.
  static uint64_t next_call();

  /// Remembers that `token` was made for host:port because of `spec` (null: because of the name).
  static void remember(uint64_t call, const char* token, const char* host, const char* port, const char* spec);

  static bool knows(const char* token);

  /// What is kept of a token.
  static uint64_t fingerprint(const char* token);

  /// Whether the call that minted `token` also minted for host:port; `spec` then becomes a copy of what asked for it.
  static bool was_made_for(const char* token, const char* host, const char* port, Text* spec);
};

}  // namespace pqmint
