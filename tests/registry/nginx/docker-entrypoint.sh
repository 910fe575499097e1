#!/bin/sh
# What is executable in /docker-entrypoint.d runs before the server.
set -e
for file in /docker-entrypoint.d/*.sh; do
  [ ! -x "$file" ] || "$file"
done
exec "$@"
