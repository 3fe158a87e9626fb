// SPDX-License-Identifier: PostgreSQL
// For `make demo`: fake_entra CERTIFICATE KEY SIGNING-KEY prints its port and serves one application until stdin ends.
// Its tokens are a managed identity's, so that the user name can be seen to come from them.

#include <cstdio>

#include "fake_entra.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  pqmint::test::FakeEntra entra(argv[1], argv[2], argv[3]);
  entra.add(
      {"22222222-aaaa-bbbb-cccc-000000000002", "made-up-secret",
       R"("oid":"11111111-aaaa-bbbb-cccc-000000000002","idtyp":"app","xms_mirid":"/subscriptions/s/resourcegroups/g/)"
       R"(providers/Microsoft.ManagedIdentity/userAssignedIdentities/my-managed-id")",
       3600, ""});
  std::printf("%d\n", entra.port());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
