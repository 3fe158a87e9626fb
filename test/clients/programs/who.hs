-- SPDX-License-Identifier: PostgreSQL
-- who CONNINFO: asks the query in $Q through postgresql-libpq.
import qualified Data.ByteString.Char8 as B
import qualified Database.PostgreSQL.LibPQ as P
import System.Environment (getArgs, getEnv)

main :: IO ()
main = do
  [conninfo] <- getArgs
  query <- getEnv "Q"
  connection <- P.connectdb (B.pack conninfo)
  P.errorMessage connection >>= print
  Just result <- P.exec connection (B.pack query)
  P.getvalue result (P.toRow 0) (P.toColumn 0) >>= print
