// SPDX-License-Identifier: PostgreSQL
// What a victim tells of itself.
#pragma once

#include <dirent.h>

namespace pqmint::test {

/// How many descriptors this process has open, but for the one that counts them; -1 if that cannot be told.
inline int open_descriptors() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return -1;
  int count = -3;  // ".", ".." and the folder itself
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

}  // namespace pqmint::test
