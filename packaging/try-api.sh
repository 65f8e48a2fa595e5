#!/usr/bin/env bash
# Tries the API against its documents: both OpenAPI linters, the validator of AsyncAPI, and schemathesis, which makes up
# requests and compares the answers of a real node with the document: packaging/try-api.sh [SECONDS] (300)
#
# Needs Python 3.10 with venv, Node.js 20 with npm, and curl. The tools are installed below target/. WAYPOST names the
# executable; with URL and WAYPOST_ADMIN_TOKEN a node that runs already is tried, which should be one for trying.
# SEED repeats a run. Ends with 0 if nothing was found; the report is target/try-api/report.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-300}
waypost=$(realpath "${WAYPOST:-target/release/waypost}" 2>/dev/null || true)
tools=${CARGO_TARGET_DIR:-$PWD/target}/try-api
mkdir -p "$tools"
export REDOCLY_TELEMETRY=off ASYNCAPI_METRICS=false CI=1

for needed in python3 node npm curl; do
    command -v "$needed" >/dev/null || { echo "try-api: $needed is needed; it is not in the PATH" >&2; exit 2; }
done
if [ -z "${URL:-}" ] && [ ! -x "$waypost" ]; then
    echo "try-api: there is no executable: set WAYPOST to one, or run: cargo build --release" >&2
    exit 2
fi

pid=
dir=$(mktemp -d)
cleanup() {
    if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

failed=()
try() { # name, command
    echo "== $1"
    if "${@:2}"; then echo "== $1: nothing found"; else failed+=("$1"); echo "== $1: FINDINGS"; fi
}

# The documents.
if [ ! -e "$tools/node_modules/.installed" ]; then
    (cd "$tools" && npm init -y >/dev/null &&
        npm install --no-audit --no-fund --silent @redocly/cli@2 @stoplight/spectral-cli@6 @asyncapi/cli@4)
    touch "$tools/node_modules/.installed"
fi
bin=$tools/node_modules/.bin
try redocly "$bin/redocly" lint --config .redocly.yaml docs/openapi.yaml
try spectral "$bin/spectral" lint --ruleset .spectral.yaml --fail-severity=hint docs/openapi.yaml docs/asyncapi.yaml
try asyncapi "$bin/asyncapi" validate docs/asyncapi.yaml --fail-severity=info

# A node with room for many requests.
token=${WAYPOST_ADMIN_TOKEN:-try-api-admin-token-0123456789}
url=${URL:-}
if [ -z "$url" ]; then
    read -r http peer < <(python3 -c 'import socket
open = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[one.getsockname()[1] for one in open])')
    url=http://127.0.0.1:$http
    env -i PATH="$PATH" WAYPOST_DATA_DIR="$dir/data" WAYPOST_HTTP_ADDR="127.0.0.1:$http" WAYPOST_JOIN= \
        WAYPOST_PEER_ADDR="127.0.0.1:$peer" WAYPOST_ADMIN_TOKEN="$token" WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE=0 \
        WAYPOST_LIMITS_REQUESTS_PER_MINUTE=0 WAYPOST_LIMITS_MAP_WEBHOOKS=0 WAYPOST_WEBHOOKS_ALLOW_NETS=127.0.0.0/8 \
        "$waypost" serve >"$tools/node.log" 2>&1 &
    pid=$!
fi
until=$((SECONDS + 60))
until curl -fsS "$url/readyz" >/dev/null 2>&1; do
    if [ $SECONDS -ge $until ] || { [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; }; then
        echo "try-api: no node is ready at $url; its log is $tools/node.log" >&2
        tail -20 "$tools/node.log" >&2 2>/dev/null || true
        exit 1
    fi
    sleep 0.2
done

# Things that requests can name.
post() { # path, body
    curl -fsS --max-time 20 -H "Authorization: Bearer $token" -H 'Content-Type: application/json' "$url$1" -d "$2"
}
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)["data"][sys.argv[1]])' "$1"; }
slug=try-api-$RANDOM
TRY_API_MAP=$(post /api/maps "{\"slug\":\"$slug\"}" | member id)
TRY_API_WEBHOOK=$(post "/api/maps/$TRY_API_MAP/webhooks" '{"url":"http://127.0.0.1:9/","active":false}' | member id)
TRY_API_SOURCE=$(post "/api/maps/$TRY_API_MAP/ingest" '{"authentication":"none"}' | member id)
TRY_API_CONSUMER=$(post "/api/maps/$TRY_API_MAP/consumers" '{"name":"jobs"}' | member name)
app=$(post "/api/maps/$TRY_API_MAP/pusher" '{}')
TRY_API_APP=$(member app_id <<<"$app")
TRY_API_KEY=$(member key <<<"$app")
export TRY_API_MAP TRY_API_WEBHOOK TRY_API_SOURCE TRY_API_CONSUMER TRY_API_APP TRY_API_KEY
post "/api/maps/$TRY_API_MAP/events" '{"type":"x","payload":{"a":1}}' >/dev/null

# Requests.
if [ ! -e "$tools/venv/.installed" ]; then
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check 'schemathesis==4.32.5'
    touch "$tools/venv/.installed"
fi
schemathesis() {
    local seed=()
    [ -z "${SEED:-}" ] || seed=(--seed "$SEED")
    PYTHONPATH=packaging/api "$tools/venv/bin/schemathesis" --config-file packaging/api/schemathesis.toml run \
        docs/openapi.yaml --url "$url" -H "Authorization: Bearer $token" --max-time "$seconds" "${seed[@]}" \
        --report junit,ndjson --report-dir "$tools/report"
}
try schemathesis schemathesis
if [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; then
    failed+=("the node ended")
fi
if grep -qi 'panicked' "$tools/node.log" 2>/dev/null; then failed+=("a panic in $tools/node.log"); fi

if [ ${#failed[@]} -gt 0 ]; then
    printf 'try-api: findings: %s\n' "${failed[*]}"
    exit 1
fi
echo "try-api: nothing found in ${seconds} s"
