// SPDX-License-Identifier: PostgreSQL
// `pqmint run`: a program starts with the library in front of its libpq.
#pragma once

namespace pqmint {

/// Starts `argv` with LD_PRELOAD naming libpqmint.so and, unless `preload_only`, with the stand-in's folder first in
/// LD_LIBRARY_PATH; what the user has in both stays behind ours. `prefix` is the folder that holds bin/ and lib/.
/// Returns only when the program could not be started: 127 when it was not found, 126 otherwise, as env(1) does.
int run_program(const char* prefix, char* const argv[], bool preload_only);

/// Takes out of this process's environment what a `pqmint run` around it has put there.
void leave_no_trace();

}  // namespace pqmint
