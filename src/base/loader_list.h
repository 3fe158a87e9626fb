// SPDX-License-Identifier: PostgreSQL
// A list of the dynamic loader's (LD_PRELOAD, LD_LIBRARY_PATH) comes in; the same without pqmint's entries goes out.
#pragma once

namespace pqmint {

/// What the stand-in calls the libpq behind it. A folder is pqmint's if it has a file of this name, whatever its own
/// is.
inline constexpr char kRealLibpq[] = "libpq-real.so.5";

enum class LoaderList { kPreload, kLibraryPath };

/// Takes pqmint's own entries out of `list`, in place: for LD_PRELOAD, what is named libpqmint.so; for LD_LIBRARY_PATH,
/// the folders of the stand-in. Everything else stays byte for byte, empty entries (the current folder) included. Needs
/// libc only. False: there was none.
bool take_out_ours(char* list, LoaderList kind);

}  // namespace pqmint
