#!/bin/sh
# Makes the database cluster on first start, then becomes postgres.
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

mkdir -p "$PGDATA"
chown -R postgres:postgres "$(dirname "$PGDATA")"
chmod 0700 "$PGDATA"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
  chown postgres /tmp/password
  as_postgres "$bin/initdb" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 \
    --locale=C.UTF-8 --encoding=UTF8 --no-sync
  rm /tmp/password
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  printf 'CREATE DATABASE "%s";\n' "$POSTGRES_DB" | as_postgres "$bin/postgres" --single -j -D "$PGDATA" postgres
fi

exec setpriv --reuid=postgres --regid=postgres --init-groups \
  "$bin/postgres" -c listen_addresses='*' -c unix_socket_directories=/tmp
