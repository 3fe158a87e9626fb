// SPDX-License-Identifier: PostgreSQL
// Opens one of pqmint's own modules: a path comes in; the module's table, or one sentence why not, goes out.
//
// Needs libc only: libpqmint.so opens core.so with it, and core.so opens net.so.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pqmint/abi.h"

namespace pqmint {

/// What goes wrong with a module, as a sentence. The paths and the loader's own words must fit.
struct ModuleFault {
  char text[1024];
};

/// Puts into `out` the path of `name` relative to the folder of the object that `inside` lies in. False if that folder
/// is not known by an absolute or relative path: a bare name would be searched for, and another file might answer.
bool path_beside(const void* inside, const char* name, char* out, size_t size);

/// The address of `entry` in the shared object `path`, which stays loaded for ever. Null with a sentence in `fault`.
void* module_entry(const char* path, const char* entry, ModuleFault& fault);

void fault_of_version(const char* path, uint32_t abi, ModuleFault& fault);

/// The table that `entry` of the module at `path` returns, if it is of our version. Thread-safe: two threads that open
/// the same module get the same table.
template <typename Table>
const Table* open_module(const char* path, const char* entry, ModuleFault& fault) {
  void* address = module_entry(path, entry, fault);
  if (address == nullptr) return nullptr;
  const Table* table = reinterpret_cast<const Table* (*)()>(address)();
  if (table != nullptr && table->abi == PQMINT_ABI_VERSION) return table;
  fault_of_version(path, table ? table->abi : 0, fault);
  return nullptr;
}

}  // namespace pqmint
