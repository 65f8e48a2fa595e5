#!/usr/bin/env bash
# Runs three nodes of the static executable as the image does: each in a directory with nothing else, as a
# user without rights. Publishes an event through them: packaging/try-static.sh [FILE]     Needs root (for
# chroot) and curl.
set -euo pipefail
cd "$(dirname "$0")/.."

waypost=$(realpath "${1:-dist/waypost}")
dir=$(mktemp -d)
token=try-static-admin-token-0123456789
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
chmod 0755 "$dir"

base=$((20000 + RANDOM % 10000))
at() { echo "127.0.0.1:$((base + 10 * $1 + $2))"; } # node, 0 for clients or 1 for nodes

# Sets what the Dockerfile and compose.yaml set, and nothing else of this environment.
prefix() { # node
    prefix=(env -i WAYPOST_DATA_DIR=/data WAYPOST_HTTP_ADDR="$(at "$1" 0)" WAYPOST_PEER_ADDR="$(at "$1" 1)"
        WAYPOST_JOIN="$(at 1 1),$(at 2 1),$(at 3 1)" WAYPOST_BOOTSTRAP_EXPECT=3
        WAYPOST_ADMIN_TOKEN=$token WAYPOST_PEER_KEY=try-static-peer-key-0123
        "$(command -v chroot)" --userspec=65532:65532 "$dir/$1" /waypost)
}
in_root() { # node, arguments
    prefix "$1"
    "${prefix[@]}" "${@:2}"
}
until_well() { # node, arguments
    local until=$((SECONDS + 60))
    until in_root "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || { echo "node $1 is not well" >&2; cat "$dir/$1.log" >&2; return 1; }
        sleep 0.2
    done
}

for i in 1 2 3; do
    install -d -m 0755 "$dir/$i"
    install -d -m 0700 -o 65532 -g 65532 "$dir/$i/data"
    install -m 0755 "$waypost" "$dir/$i/waypost"
    prefix "$i"
    "${prefix[@]}" serve >"$dir/$i.log" 2>&1 &
    pids+=($!)
done
for i in 1 2 3; do until_well "$i" healthcheck --ready; done
echo "in the root of node 3: $(cd "$dir/3" && find . -mindepth 1 -maxdepth 1 | sort | tr '\n' ' '); uid $(awk '/^Uid/ {print $2}' "/proc/${pids[2]}/status")"
in_root 2 healthcheck

api() { curl -fsS --max-time 20 -H "Authorization: Bearer $token" -H 'Content-Type: application/json' "$@"; }
map=$(api "http://$(at 1 0)/api/maps" -d '{"slug":"static"}' | sed 's/.*"id":"\([^"]*\)".*/\1/')
api "http://$(at 2 0)/api/maps/$map/events" -d '{"type":"x","payload":{"from":"node 2"}}' >/dev/null
sleep 1
api "http://$(at 3 0)/api/maps/$map/events" | grep -q '"from":"node 2"'
echo "published at node 2, read at node 3"
in_root 1 cluster status -o json --url "http://$(at 1 0)" | grep -q '"healthy":true'
echo "the command line works there too"

# Does what `docker stop` does: SIGTERM to the one process.
kill -TERM "${pids[2]}"
wait "${pids[2]}" || { echo "node 3 did not end well" >&2; exit 1; }
if in_root 3 healthcheck 2>/dev/null; then echo "a node that ended is said to be well" >&2; exit 1; fi
api "http://$(at 1 0)/api/maps/$map/events" -d '{"type":"x","payload":{}}' >/dev/null
echo "node 3 ended with 0, its check says so, publishing goes on"
