// SPDX-License-Identifier: PostgreSQL
// who CONNINFO: asks the query in $Q through POCO.
#include <Poco/Data/PostgreSQL/Connector.h>
#include <Poco/Data/RecordSet.h>
#include <Poco/Data/Session.h>

#include <cstdlib>
#include <iostream>
#include <string>

int main(int, char** argv) {
  Poco::Data::PostgreSQL::Connector::registerConnector();
  Poco::Data::Session session("PostgreSQL", argv[1]);
  Poco::Data::RecordSet answer(session, std::string(std::getenv("Q")));
  std::cout << answer.value(0, 0).convert<std::string>() << "\n";
}
