-- SPDX-License-Identifier: PostgreSQL
select format('host=%s port=%s user=%s dbname=%s sslrootcert=%s password=pqmint:rds', :'host', :'port', :'user', :'db', :'ca') as conninfo \gset
create subscription s connection :'conninfo' publication p with (create_slot = false, slot_name = none, enabled = false);
