// SPDX-License-Identifier: PostgreSQL
// who HOST PORT USER DATABASE: asks the query in $Q through Qt's QPSQL.
#include <QCoreApplication>
#include <QSqlDatabase>
#include <QSqlError>
#include <QSqlQuery>
#include <QTextStream>
#include <cstdlib>

int main(int argc, char** argv) {
  QCoreApplication application(argc, argv);
  QSqlDatabase database = QSqlDatabase::addDatabase("QPSQL");
  database.setHostName(argv[1]);
  database.setPort(std::atoi(argv[2]));
  database.setUserName(argv[3]);
  database.setDatabaseName(argv[4]);
  if (!database.open()) {
    QTextStream(stderr) << database.lastError().text() << "\n";
    return 1;
  }
  QSqlQuery query(std::getenv("Q"), database);
  query.next();
  QTextStream(stdout) << query.value(0).toString() << "\n";
}
