-- A role's database and its two users, for psql: an owner that migrates, and an app user with row rights only.
--
--   LIENTHONG_OWNER_PASSWORD=... LIENTHONG_APP_PASSWORD=... psql -X -v name=identity -f role_database.sql
--
-- The app user MUST NOT own, create, alter or drop anything; which rows of which table it may read, add or change is
-- granted by the role's migrations, table by table. It may be run again: passwords are set anew, nothing is lost.
-- Passwords come from the environment, because arguments can be read by every user of the machine.
\set ON_ERROR_STOP on
\set QUIET on
\getenv owner_password LIENTHONG_OWNER_PASSWORD
\getenv app_password LIENTHONG_APP_PASSWORD
\set owner :name '_owner'
\set app :name '_app'

-- The statements below hold passwords; they must not reach the server's log, whatever it is set to.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';

SELECT format('CREATE ROLE %I', wanted.name)
FROM unnest(ARRAY[:'owner', :'app']) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) \gexec
ALTER ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE :"app" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'app_password';

SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'owner')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec

-- Everybody may connect to a new database and make temporary tables in it, unless told otherwise.
REVOKE ALL ON DATABASE postgres, template1, :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO :"app";

\connect :"name"
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO :"owner";
GRANT USAGE ON SCHEMA public TO :"app";
-- Functions are the one thing a new object would give to everybody.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
