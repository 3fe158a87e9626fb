// SPDX-License-Identifier: PostgreSQL
// `pqmint run`: a program starts with the library in front of its libpq.
#pragma once

/// `prefix` is the folder that holds bin/ and lib/; `argv` begins with the program's name. Returns only when the
/// program could not be started: 127 when it was not found, 126 otherwise, as env(1) does.
int run_program(const char* prefix, char* const argv[]);
