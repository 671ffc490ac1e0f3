#!/bin/sh
# Starts this host's clawster node and stays up until a signal ends it.
#
#   ./start-node.sh [NODE_ID] [CONFIG_PATH]
#
# NODE_ID      the id to join under; without it the configured or a generated one
# CONFIG_PATH  the folder with config.json and secrets.json, or a config.json; without it the default places
#
# The script becomes the node (exec), so that a service manager's signals reach it. Started by a program that speaks with
# the node through a pipe, it ends with that pipe; else (a terminal, a service manager) Ctrl-C or SIGTERM ends it.
set -eu

case "${1-}" in
-h | --help)
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
if [ "$#" -gt 2 ]; then
    echo "usage: $0 [NODE_ID] [CONFIG_PATH]" >&2
    exit 2
fi
node=${1-}
config=${2-}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
program=
for candidate in "$here/clawster" "$here/target/release/clawster"; do
    if [ -f "$candidate" ] && [ -x "$candidate" ]; then
        program=$candidate
        break
    fi
done
if [ -z "$program" ]; then
    program=$(command -v clawster) || {
        echo "$0: there is no clawster beside this script, in target/release or on PATH;" \
            "build it with: cargo build --release" >&2
        exit 1
    }
fi

set -- serve
if ! [ -p /dev/stdin ] && ! [ -S /dev/stdin ]; then
    set -- "$@" --stay
fi
[ -z "$node" ] || set -- "$@" --node "$node"
[ -z "$config" ] || set -- "$@" --config "$config"
exec "$program" "$@"
