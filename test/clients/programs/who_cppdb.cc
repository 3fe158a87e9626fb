// SPDX-License-Identifier: PostgreSQL
// who CONNECTION: asks the query in $Q through CppDB.
#include <cppdb/frontend.h>

#include <cstdlib>
#include <iostream>
#include <string>

int main(int, char** argv) {
  cppdb::session session(argv[1]);
  std::string answer;
  session << std::getenv("Q") << cppdb::row >> answer;
  std::cout << answer << "\n";
}
