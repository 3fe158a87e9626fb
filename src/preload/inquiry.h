// SPDX-License-Identifier: PostgreSQL
// The road of a connection, walked up to the point where libpq would be called: what the command and the C API ask.
#pragma once

#include "preload/connection.h"

namespace pqmint {

/// The libpq to ask what a conninfo means: the one that this process has, or else the system's, loaded now. Null with
/// the reason in `why`. Thread-safe.
const Libpq* some_libpq(Text& why);

/// CONNINFO as psql takes it: a bare word is a database name. Borrows it; null: PG* and PGSERVICE decide.
struct ConninfoCall {
  explicit ConninfoCall(const char* conninfo);
  Call call = {};

 private:
  const char* keywords_[2] = {};
  const char* values_[2] = {};
};

/// The answer to one CONNINFO. Owns the target, the claims and the answer.
class Inquiry {
 public:
  enum class Purpose {
    kConnection,  // `pqmint check`: as a program's own call would be answered
    kToken,       // a token is wanted: hosts that are recognised are minted for even if a password is given
    kDeviceCode,  // the same, and a person sits at the terminal to log in
  };

  Inquiry(const Libpq& libpq, const char* conninfo, Purpose purpose);
  ~Inquiry();
  Inquiry(const Inquiry&) = delete;
  Inquiry& operator=(const Inquiry&) = delete;

  /// Why there is no answer: libpq's own words, or a sentence of ours without a prefix. Null: the rest may be asked.
  const char* error() const { return error_.get(); }
  const Target& target() const { return connection_->target; }
  const Claims& claims() const { return connection_->claims; }
  const pqmint_answer& answer() const { return *answer_; }

  /// The database that a connection would ask for.
  const char* dbname() const { return connection_->dbname(); }

  /// The first host that is ours, or the count of hosts.
  size_t first_managed() const;

  /// What libpq will say of a port that is none, when it comes to that host. Null if nothing is wrong with it.
  Text port_fault(size_t host) const;

  /// Why no host is: a sentence without a prefix. Null when memory is out.
  Text no_host_is_ours() const;

 private:
  Text error_;
  Connection* connection_ = nullptr;
  const pqmint_answer* answer_ = nullptr;
};

}  // namespace pqmint
