// SPDX-License-Identifier: PostgreSQL
// Feeds each file of the corpora, once, to the fuzzer that its folder is named after: an ordinary test, any compiler.
//
// replay CORPUS...      each a folder of files, or one file in such a folder

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "promise.h"

namespace {

namespace fs = std::filesystem;

const std::map<std::string, void (*)(std::string_view)> kFuzzers = {
#define PQMINT_FUZZER(name) \
  { #name, pqmint::fuzz::name }
    PQMINT_FUZZER(spec),        PQMINT_FUZZER(host),    PQMINT_FUZZER(aws_files), PQMINT_FUZZER(url),
    PQMINT_FUZZER(documents),   PQMINT_FUZZER(sts),     PQMINT_FUZZER(http),      PQMINT_FUZZER(conninfo),
    PQMINT_FUZZER(instant),     PQMINT_FUZZER(command), PQMINT_FUZZER(jwt),       PQMINT_FUZZER(slot),
    PQMINT_FUZZER(log),         PQMINT_FUZZER(message), PQMINT_FUZZER(program),   PQMINT_FUZZER(dpop),
    PQMINT_FUZZER(certificate), PQMINT_FUZZER(session),
};

void replay(const fs::path& file) {
  const auto fuzzer = kFuzzers.find(file.parent_path().filename());
  if (fuzzer == kFuzzers.end()) pqmint::fuzz::broken("the folder names a fuzzer", __FILE__, __LINE__, file.string());
  std::ifstream stream(file, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)), {});
  // So that the file's name is the last thing that is said, if it is the last thing that happens.
  fprintf(stderr, "%s\n", file.c_str());
  fuzzer->second(bytes);
}

}  // namespace

int main(int argc, char** argv) {
  pqmint::fuzz::prepare();
  size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      replay(argv[i]);
      ++count;
      continue;
    }
    std::set<fs::path> files;
    for (const auto& entry : fs::directory_iterator(argv[i])) files.insert(entry.path());
    for (const fs::path& file : files) replay(file);
    count += files.size();
  }
  printf("%zu inputs replayed\n", count);
  return count > 0 ? 0 : 1;
}
