-- SPDX-License-Identifier: PostgreSQL
create extension dblink;
select format('host=%s port=%s user=%s dbname=%s sslrootcert=%s password=pqmint:rds', :'host', :'port', :'user', :'db', :'ca') as conninfo \gset
select * from dblink(:'conninfo', :'query') as answer(who text);
