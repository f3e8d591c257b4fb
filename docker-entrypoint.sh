#!/bin/sh
# Beam's runners start a worker by its options (--id=…, --worker_pool); everyone else gives a command.
set -eu
case "${1-}" in
  --id=* | --id | --worker_pool | --worker_pool=*) exec /opt/apache/beam/boot "$@" ;;
  tagmine-tuna) exec "$@" ;;
  *) exec tagmine "$@" ;;
esac
