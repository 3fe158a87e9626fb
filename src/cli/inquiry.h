// SPDX-License-Identifier: PostgreSQL
// What `token` and `check` ask: the road of a connection, walked up to the point where libpq would be called.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "preload/connection.h"

namespace pqmint {

/// A libpq opened for the command. `handle` is for functions that Libpq does not list.
struct OpenedLibpq {
  void* handle = nullptr;
  const Libpq* libpq = nullptr;
};
Result<OpenedLibpq> open_libpq();

/// The answer to one CONNINFO (null: PG* and PGSERVICE decide). Owns the target, the claims and the answer.
class Inquiry {
 public:
  /// `insist`: hosts that are recognised are minted for even if a password is given. `at_terminal`: a person logs in by
  /// device code.
  static Result<std::unique_ptr<Inquiry>> make(const Libpq& libpq, const char* conninfo, bool insist,
                                               bool at_terminal = false);
  ~Inquiry();
  Inquiry(const Inquiry&) = delete;
  Inquiry& operator=(const Inquiry&) = delete;

  const Target& target() const { return connection_->target; }
  const Claims& claims() const { return connection_->claims; }
  const pqmint_answer& answer() const { return *answer_; }

 private:
  Inquiry(Connection* connection, const pqmint_answer* answer) : connection_(connection), answer_(answer) {}

  Connection* connection_;
  const pqmint_answer* answer_;
};

/// CONNINFO as psql takes it: a bare word is a database name.
struct ConninfoCall {
  explicit ConninfoCall(const char* conninfo);
  Call call = {};

 private:
  const char* keywords_[2] = {};
  const char* values_[2] = {};
};

}  // namespace pqmint
