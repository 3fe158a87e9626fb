// SPDX-License-Identifier: PostgreSQL
// who CONNINFO: asks the query in $Q through SOCI.
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>

#include <cstdlib>
#include <iostream>
#include <string>

int main(int, char** argv) {
  soci::session session(soci::postgresql, argv[1]);
  std::string answer;
  session << std::getenv("Q"), soci::into(answer);
  std::cout << answer << "\n";
}
