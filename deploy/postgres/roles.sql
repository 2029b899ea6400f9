-- The ledger's database and its two roles: run it once as a superuser, with the two passwords in the environment.
-- compose.cluster.yaml does it by itself.
--
--   PNL_OWNER_PASSWORD=... PNL_READER_PASSWORD=... psql -f deploy/postgres/roles.sql postgres
--
-- pnl_owner makes the tables and writes: for nodes that may lead (ROLE=all, poll). pnl_reader reads: for ROLE=push.
\set ON_ERROR_STOP on
\getenv owner_password PNL_OWNER_PASSWORD
\getenv reader_password PNL_READER_PASSWORD

-- Both or none: a password that is missing is an error.
BEGIN;
CREATE ROLE pnl_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE pnl_reader LOGIN PASSWORD :'reader_password';
ALTER ROLE pnl_reader SET default_transaction_read_only = on;
COMMIT;
CREATE DATABASE pnl OWNER pnl_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE pnl FROM PUBLIC;
GRANT CONNECT ON DATABASE pnl TO pnl_reader;

\connect pnl
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO pnl_owner;
GRANT USAGE ON SCHEMA public TO pnl_reader;
-- Tables that the owner makes later, the monthly partitions among them.
ALTER DEFAULT PRIVILEGES FOR ROLE pnl_owner IN SCHEMA public GRANT SELECT ON TABLES TO pnl_reader;
