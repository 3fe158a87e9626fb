// SPDX-License-Identifier: PostgreSQL
// Finds and keeps core.so.

#include "preload/core_module.h"

#include <limits.h>
#include <stdio.h>

namespace pqmint {
namespace {

constinit const pqmint_core_module* g_core = nullptr;
constinit const char* g_named_path = nullptr;

}  // namespace

void core_module_is_at(const char* path) {
  g_named_path = path;
}

const pqmint_core_module* core_module(ModuleFault& fault) {
  if (const pqmint_core_module* core = __atomic_load_n(&g_core, __ATOMIC_ACQUIRE)) return core;
  char beside[PATH_MAX];
  const char* path = g_named_path;
  if (path == nullptr) {
    path = beside;
    if (!path_beside(reinterpret_cast<const void*>(&core_module), "pqmint/core.so", beside, sizeof beside)) {
      snprintf(fault.text, sizeof fault.text,
               "cannot tell where libpqmint.so lies, so that pqmint/core.so beside it could be loaded; name it by its "
               "full path in LD_PRELOAD, or start the program with pqmint run");
      return nullptr;
    }
  }
  const auto* core = open_module<pqmint_core_module>(path, "pqmint_core", fault);
  if (core) __atomic_store_n(&g_core, core, __ATOMIC_RELEASE);
  return core;
}

}  // namespace pqmint
