#!/bin/sh
# Options alone are redis-server's; the server never runs as root; without a configuration everybody may connect.
set -e
case ${1:-} in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
  [ $# -gt 1 ] && [ "${2%.conf}" != "$2" ] || set -- "$@" --protected-mode no --bind '* -::*'
  if [ "$(id -u)" = 0 ]; then
    chown -R redis:redis .
    exec setpriv --reuid=redis --regid=redis --init-groups -- "$@"
  fi
fi
exec "$@"
