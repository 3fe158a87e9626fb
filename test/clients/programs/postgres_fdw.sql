-- SPDX-License-Identifier: PostgreSQL
-- Once as the superuser, once as a user who must have a password in the mapping: there stands a token spec.
create extension postgres_fdw;
create server orders foreign data wrapper postgres_fdw
  options (host :'host', port :'port', dbname :'db', sslmode 'verify-full', sslrootcert :'ca');
create role somebody;
create user mapping for postgres server orders options (user :'user', password_required 'false', password 'pqmint:rds');
create user mapping for somebody server orders options (user :'user', password 'pqmint:rds');
create foreign table orders (id int, note text) server orders;
grant select on orders to somebody;
select count(*) from orders;
set role somebody;
select 'I am iam_user' where (select note from orders where id = 7) = 'order 7';
