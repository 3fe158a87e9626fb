// SPDX-License-Identifier: PostgreSQL
// The stand-in has no function: the loader finds them all in the libraries behind it.

// A C file must hold something.
typedef int pqmint_nothing;
