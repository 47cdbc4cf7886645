-- The service's role, which is no superuser, and its database. The image of PostgreSQL runs this once, as its superuser, when
-- the volume is new; psql reads the password by itself, so that it is in no argument.
\set password `cat /run/secrets/database_password`
CREATE ROLE flowlu LOGIN PASSWORD :'password';
CREATE DATABASE flowlu OWNER flowlu;
