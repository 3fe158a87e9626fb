// SPDX-License-Identifier: PostgreSQL
// What the program asked libpq for: one of three shapes of arguments, and whether it waits for the answer.
#pragma once

#include "preload/libpq.h"
#include "preload/memory.h"

namespace pqmint {

/// Parallel arrays for PQconnectStartParams, with room to append. Borrows every string.
class Parameters {
 public:
  /// Room for `count` pairs; check `ready()` before anything else.
  explicit Parameters(size_t count)
      : keywords_(zeroed_array<const char*>(count + 1)), values_(zeroed_array<const char*>(count + 1)) {}
  bool ready() const { return keywords_ && values_; }
  void add(const char* keyword, const char* value) {
    keywords_[size_] = keyword;
    values_[size_] = value;
    ++size_;
  }
  const char* const* keywords() const { return keywords_.get(); }
  const char* const* values() const { return values_.get(); }

  int expand_dbname = 1;

 private:
  Array<const char*> keywords_;
  Array<const char*> values_;
  size_t size_ = 0;
};

/// One call of PQconnectdb, PQconnectStart, PQconnectdbParams, PQconnectStartParams or PQsetdbLogin. Borrows all.
struct Call {
  enum class Shape { kConninfo, kParams, kLogin };

  Shape shape;
  bool blocking;
  const char* conninfo;                                                // kConninfo
  const char* const* keywords;                                         // kParams
  const char* const* values;                                           // kParams
  int expand_dbname;                                                   // kParams
  const char *host, *port, *options, *tty, *dbname, *user, *password;  // kLogin

  /// The real libpq's own function with the program's own arguments.
  PGconn* plain(const Libpq& libpq) const;

  /// Whether the same meaning can be said through PQconnectStartParams. It cannot for a conninfo without "=" that is
  /// no URI: PQconnectdb has a message for that, where the array function would take it for a database name.
  bool can_be_asked() const;

  /// The same meaning as parameters, with room for `extra` more pairs after them (later ones win). `default_user`, if
  /// there is one, is the user where the program names none.
  Parameters parameters(size_t extra, const char* default_user = nullptr) const;

  /// Whether the program's own words mention `keyword` (a cheap, generous look; it may be wrong on the yes side).
  bool mentions(const char* keyword) const;
};

}  // namespace pqmint
