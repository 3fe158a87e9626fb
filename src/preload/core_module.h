// SPDX-License-Identifier: PostgreSQL
// The door to pqmint/core.so, opened at the first connection that is ours.
#pragma once

#include "base/module.h"
#include "pqmint/abi.h"

namespace pqmint {

/// Loads core.so from the folder `pqmint` beside libpqmint.so, once for the process; later calls give the same table.
/// Null when it is missing, broken or of another version, with one sentence that names the file in `fault`. A failure
/// is not remembered: an upgrade that is half done when one connection fails is done for the next. Thread-safe.
const pqmint_core_module* core_module(ModuleFault& fault);

/// For a program that is not libpqmint.so and knows where core.so lies: call it once, before anything else. `path` is
/// borrowed for ever.
void core_module_is_at(const char* path);

}  // namespace pqmint
