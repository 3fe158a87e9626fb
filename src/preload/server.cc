// SPDX-License-Identifier: PostgreSQL
// Asks the server around us, by functions that every postgres since 9.6 exports.

#include "preload/server.h"

#include <dlfcn.h>
#include <string.h>

namespace pqmint {
namespace {

template <typename T>
T* of_server(const char* name) {
  return reinterpret_cast<T*>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

bool inside_a_server() {
  static constinit int answer = -1;
  int known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
  if (known < 0) {
    // A function that no client has.
    known = dlsym(RTLD_DEFAULT, "PostgresMain") != nullptr;
    __atomic_store_n(&answer, known, __ATOMIC_RELAXED);
  }
  return known != 0;
}

bool may_mint_inside_a_server() {
  const auto* database = of_server<const unsigned>("MyDatabaseId");
  const auto in_transaction = of_server<bool()>("IsTransactionState");
  const auto is_superuser = of_server<bool()>("superuser");
  const auto setting = of_server<const char*(const char*, bool, bool)>("GetConfigOption");
  if (!database || !in_transaction || !is_superuser || !setting) return false;
  // A process without a database runs nobody's SQL: the walreceiver, which follows the server's own settings.
  if (*database == 0) return true;
  // The role of the moment, and not the session's: a superuser may be running somebody else's function.
  if (in_transaction()) return is_superuser();
  // Roles cannot be looked up now, and no SQL runs: a subscription's worker, whose session is its owner's.
  const char* said = setting("is_superuser", true, false);
  return said && strcmp(said, "on") == 0;
}

}  // namespace pqmint
