// SPDX-License-Identifier: PostgreSQL
// The surroundings of a fuzzer.

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "promise.h"

namespace pqmint::fuzz {
namespace {

struct Folder {
  std::string path = access("/dev/shm", W_OK) == 0 ? "/dev/shm/pqmint-fuzz-XXXXXX" : "/tmp/pqmint-fuzz-XXXXXX";
  Folder() {
    if (mkdtemp(path.data()) == nullptr) broken("a folder can be made", __FILE__, __LINE__, path);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace

const std::string& folder() {
  static Folder made;
  return made.path;
}

void prepare() {
  clearenv();
  setenv("HOME", folder().c_str(), 1);
  setenv("PATH", "/nonexistent", 1);
  setenv("LC_ALL", "C.UTF-8", 1);
  setenv("TZ", "UTC", 1);
}

}  // namespace pqmint::fuzz
