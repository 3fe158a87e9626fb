-- SPDX-License-Identifier: PostgreSQL
-- A token spec in the user mapping: the superuser gets a token by it, nobody else may use the server's own identity.
create extension postgres_fdw;
create server orders foreign data wrapper postgres_fdw
  options (host :'host', port :'port', dbname :'db', sslmode 'verify-full', sslrootcert :'ca');
create role somebody;
create user mapping for postgres server orders options (user :'user', password 'pqmint:rds');
create user mapping for somebody server orders options (user :'user', password 'pqmint:rds');
create foreign table orders (id int, note text) server orders;
grant select on orders to somebody;
select 'I am iam_user' where (select note from orders where id = 7) = 'order 7';
\c
set role somebody;
\set ON_ERROR_STOP 0
select count(*) from orders;
