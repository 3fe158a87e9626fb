// SPDX-License-Identifier: PostgreSQL
// who CONNINFO: asks the query in $Q through libpqxx.
#include <cstdlib>
#include <iostream>
#include <pqxx/pqxx>

int main(int, char** argv) {
  pqxx::connection connection(argv[1]);
  pqxx::work work(connection);
  std::cout << work.exec1(std::getenv("Q"))[0].c_str() << "\n";
}
