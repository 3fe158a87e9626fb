// SPDX-License-Identifier: PostgreSQL
// libFuzzer's entry: compiled once for each fuzzer, whose name is PQMINT_FUZZER.

#include <stddef.h>
#include <stdint.h>

#include "promise.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  pqmint::fuzz::prepare();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pqmint::fuzz::PQMINT_FUZZER({reinterpret_cast<const char*>(data), size});
  return 0;
}
