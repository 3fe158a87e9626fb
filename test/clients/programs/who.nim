# SPDX-License-Identifier: PostgreSQL
# who HOST:PORT USER DATABASE: asks the query in $Q through db_postgres.
import std/[db_postgres, os]

let connection = open(paramStr(1), paramStr(2), "", paramStr(3))
echo connection.getValue(SqlQuery(getEnv("Q")))
