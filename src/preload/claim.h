// SPDX-License-Identifier: PostgreSQL
// Is one of the hosts ours? A target comes in; for each host, whether to mint, by whose word, and else which password.
//
// Asked for by a token spec: always. Recognised by its name: only if libpq would have no password. A password that is a
// token itself counts as none: psql \c, pg_dump -j and pg_restore -j hand the old one back.
//
// A token spec may name a program to run. In many a program a stranger types the password, and within a server he
// writes the conninfo (dblink, postgres_fdw): there a spec is not taken for the user's own word.
#pragma once

#include <stddef.h>

#include "preload/libpq.h"
#include "preload/memory.h"
#include "preload/target.h"

namespace pqmint {

/// What a token spec begins with, wherever libpq takes a password or a password file.
bool is_token_spec(const char* text);

struct Claim {
  bool wanted;
  bool may_run;   // the spec stands where only the user of this process writes
  Text spec;      // what asked for it; null: its name did
  Text password;  // for a host that is left alone, beside one that is ours: what the password file has for it
};

class Claims {
 public:
  ~Claims();
  Claims() = default;
  Claims(Claims&& other) noexcept;
  Claims& operator=(Claims&&) = delete;

  /// False when memory is out.
  bool decide(const Libpq& libpq, const Target& target);

  /// For the command, which is asked for a token outright: hosts that are recognised are wanted whatever password there
  /// is.
  void insist(const Target& target);

  /// Whether any host is to be minted for.
  bool any() const;
  const Claim& operator[](size_t host) const { return claims_[host]; }

  /// Whether the token of any host may come from Entra, and with it the user. Generous: a spec may say so in many ways.
  bool may_be_entra(const Target& target) const;

  /// A `pqmint:off` stands where the password should: it must not be sent as one.
  bool password_must_go() const { return password_must_go_; }
  /// The same of the password file's: it has no password for any of the hosts.
  bool password_file_must_go() const { return password_file_must_go_; }
  /// One of our tokens is about to be sent to a host that it was not made for.
  bool strays() const { return strays_; }

 private:
  void decide_by_password_file(const Libpq& libpq, const Target& target);
  void decide_for_returned_token(const Libpq& libpq, const Target& target, const char* token);
  void take_by_name(const Target& target, size_t host);

  Array<Claim> claims_;
  size_t count_ = 0;
  bool password_must_go_ = false;
  bool password_file_must_go_ = false;
  bool strays_ = false;
};

}  // namespace pqmint
