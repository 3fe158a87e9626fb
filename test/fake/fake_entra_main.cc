// SPDX-License-Identifier: PostgreSQL
// For `make demo` and the benchmark: fake_entra CERTIFICATE KEY SIGNING-KEY [DELAY-MS...] prints a port for each delay
// (none given: 0) and serves one application there until stdin ends. Its tokens are a managed identity's, so that the
// user name can be seen to come from them.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "fake_entra.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  std::vector<int> delays;
  for (int i = 4; i < argc; ++i) delays.push_back(std::atoi(argv[i]));
  if (delays.empty()) delays.push_back(0);
  std::vector<std::unique_ptr<pqmint::test::FakeEntra>> servers;
  for (const int delay : delays) {
    servers.push_back(std::make_unique<pqmint::test::FakeEntra>(argv[1], argv[2], argv[3]));
    pqmint::test::FakeEntra& entra = *servers.back();
    entra.delay(std::chrono::milliseconds(delay));
    entra.add(
        {"22222222-aaaa-bbbb-cccc-000000000002", "made-up-secret",
         R"("oid":"11111111-aaaa-bbbb-cccc-000000000002","idtyp":"app","xms_mirid":"/subscriptions/s/resourcegroups/g/)"
         R"(providers/Microsoft.ManagedIdentity/userAssignedIdentities/my-managed-id")",
         3600, ""});
    std::printf("%d\n", entra.port());
  }
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
