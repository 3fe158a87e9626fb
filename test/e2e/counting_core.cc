// SPDX-License-Identifier: PostgreSQL
// A stand-in for core.so that counts: one line in $PQMINT_TEST_MINTS for each request, and the same token for all.
// With PQMINT_TEST_FOREIGN_ABI it is a module of another version, whose table must not be used.
#include <cstdio>
#include <cstdlib>

#include "pqmint/abi.h"

namespace {

constexpr size_t kMostHosts = 8;

struct Counted : pqmint_answer {
  pqmint_grant shown[kMostHosts];
};

const pqmint_answer* mint(const pqmint_request* request) {
  if (const char* path = std::getenv("PQMINT_TEST_MINTS")) {
    if (FILE* file = std::fopen(path, "a")) {
      std::fprintf(file, "mint libpq=%d user=%s hosts=%zu\n", request->libpq_version / 10000, request->user,
                   request->host_count);
      std::fclose(file);
    }
  }
  auto* answer = new Counted{};
  for (size_t i = 0; i < request->host_count && i < kMostHosts; ++i) {
    if (!request->hosts[i].wanted) continue;
    answer->shown[i].managed = 1;
    answer->shown[i].token = "counted-token";
    answer->shown[i].host = request->hosts[i].host;
  }
  answer->sslmode = "require";
  answer->grants = answer->shown;
  answer->grant_count = request->host_count;
  return answer;
}

const char* explain(const pqmint_answer*, size_t, const char*) {
  return nullptr;
}

void release(const pqmint_answer* answer) {
  delete static_cast<const Counted*>(answer);
}

#ifdef PQMINT_TEST_FOREIGN_ABI
constexpr uint32_t kVersion = PQMINT_ABI_VERSION + 1;
#else
constexpr uint32_t kVersion = PQMINT_ABI_VERSION;
#endif
int forget(const pqmint_answer*, size_t) {
  return 0;
}

constexpr pqmint_core_module kTable = {kVersion, mint, release, explain, forget};

}  // namespace

extern "C" __attribute__((visibility("default"))) const pqmint_core_module* pqmint_core() {
  return &kTable;
}
