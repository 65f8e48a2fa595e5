#!/usr/bin/env bash
# Runs three real nodes behind a real proxy, with clients and publishers, and drains and restarts one node
# after the other: packaging/try-proxies.sh [haproxy] [nginx]
#
# Needs haproxy, nginx, openssl, Node.js and `npm ci` in tests/js. Everything runs on loopback, as processes
# that this script starts and ends. WAYPOST names the executable, ROUNDS how often each node is restarted (2).
set -euo pipefail
cd "$(dirname "$0")/.."

waypost=$(realpath "${WAYPOST:-target/release/waypost}")
rounds=${ROUNDS:-2}
dir=$(mktemp -d)
pids=()
declare -A node_pid
export WAYPOST_ADMIN_TOKEN=try-proxies-admin-token-0123456789 WAYPOST_LOG_FORMAT=json

cleanup() {
    for pid in "${pids[@]}" "${node_pid[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}" "${node_pid[@]}"; do
        timeout 15 tail --pid="$pid" -f /dev/null || kill -9 "$pid" 2>/dev/null || true
    done
    if [ "${failed:-0}" = 0 ]; then rm -rf "$dir"; else echo "files of the failure: $dir"; fi
}
failed=1
trap cleanup EXIT
trap 'exit 130' INT TERM
# A process that this script writes to may have ended; its missing answer shows that.
trap '' PIPE

free_ports() {
    node -e 'const net = require("net"); const open = [];
      for (let i = 0; i < +process.argv[1]; i++) { const s = net.createServer().listen(0, "127.0.0.1"); open.push(s); }
      setTimeout(() => { console.log(open.map((s) => s.address().port).join(" ")); open.forEach((s) => s.close()); }, 50);' "$1"
}

start_node() { # number
    local i=$1 join=
    [ "$i" = 1 ] && [ ! -e "$dir/1" ] || join="127.0.0.1:${peer[1]},127.0.0.1:${peer[2]},127.0.0.1:${peer[3]}"
    WAYPOST_DATA_DIR=$dir/$i WAYPOST_HTTP_ADDR=127.0.0.1:${http[$i]} WAYPOST_PEER_ADDR=127.0.0.1:${peer[$i]} \
        WAYPOST_JOIN=$join "$waypost" serve >>"$dir/node$i.log" 2>&1 &
    node_pid[$i]=$!
}

wait_for() { # url, seconds
    local until=$((SECONDS + $2))
    until curl -fsS -o /dev/null --max-time 2 "$1" 2>/dev/null; do
        [ $SECONDS -lt $until ] || { echo "not within $2 s: $1" >&2; return 1; }
        sleep 0.1
    done
}

start_haproxy() { # plain port, TLS port
    cat "$dir/cert.pem" "$dir/cert.key" >"$dir/haproxy.pem"
    WAYPOST_1=127.0.0.1:${http[1]} WAYPOST_2=127.0.0.1:${http[2]} WAYPOST_3=127.0.0.1:${http[3]} \
        WAYPOST_PLAIN=127.0.0.1:$1 WAYPOST_TLS=127.0.0.1:$2 WAYPOST_PEM=$dir/haproxy.pem \
        haproxy -f packaging/haproxy/haproxy.cfg >"$dir/haproxy.log" 2>&1 &
    proxy_pid=$!
}

start_nginx() { # plain port, TLS port
    sed -e "s/10\.0\.0\.\([123]\):4000/127.0.0.1:@\1/" -e "s/@1/${http[1]}/; s/@2/${http[2]}/; s/@3/${http[3]}/" \
        -e "s/listen 80;/listen 127.0.0.1:$1;/; s/listen 443 ssl;/listen 127.0.0.1:$2 ssl;/" \
        -e "s#/etc/nginx/waypost.pem#$dir/cert.pem#; s#/etc/nginx/waypost.key#$dir/cert.key#" \
        packaging/nginx/waypost.conf >"$dir/waypost.conf"
    mkdir -p "$dir/nginx"
    cat >"$dir/nginx.conf" <<END
daemon off; worker_processes 2; pid $dir/nginx.pid; error_log $dir/nginx.log;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path $dir/nginx/body; proxy_temp_path $dir/nginx/proxy; fastcgi_temp_path $dir/nginx/f;
    uwsgi_temp_path $dir/nginx/u; scgi_temp_path $dir/nginx/s;
    include $dir/waypost.conf;
}
END
    nginx -p "$dir" -e "$dir/nginx.log" -c "$dir/nginx.conf" &
    proxy_pid=$!
}

try() { # proxy
    echo "== $1: $($1 -v 2>&1 | head -1)"
    local plain tls
    read -r plain tls < <(free_ports 2)
    "start_$1" "$plain" "$tls"
    pids+=("$proxy_pid")
    wait_for "http://127.0.0.1:$plain/readyz" 20

    local options
    options=$(printf '{"plain":"http://127.0.0.1:%s","tls":"https://127.0.0.1:%s","node":"http://127.0.0.1:%s","map":"try-%s"}' \
        "$plain" "$tls" "${http[1]}" "$1")
    coproc DRIVER { NODE_EXTRA_CA_CERTS=$dir/cert.pem exec node packaging/try-proxies.mjs "$options" 2>"$dir/driver-$1.log"; }
    local driver=$DRIVER_PID line
    pids+=("$driver")
    exec {to}>&"${DRIVER[1]}" {from}<&"${DRIVER[0]}"
    read -r -t 60 line <&$from && [ "$line" = "under way" ] || { cat "$dir/driver-$1.log"; return 1; }

    for _ in $(seq "$rounds"); do
        for i in 1 2 3; do
            local began=${EPOCHREALTIME/./}
            kill -TERM "${node_pid[$i]}"
            wait "${node_pid[$i]}" || { echo "node $i did not end well"; return 1; }
            echo "node $i ended $(((${EPOCHREALTIME/./} - began) / 1000)) ms after SIGTERM"
            sleep 1
            start_node "$i"
            wait_for "http://127.0.0.1:${http[$i]}/readyz" 60
            sleep 3
        done
    done
    echo settle >&$to
    while IFS= read -r -t 120 line <&$from; do
        [ "$line" = "settled" ] && break
        echo "$line"
    done

    # Two of three nodes are gone: publishing stops, but reads continue behind the proxy.
    kill -9 "${node_pid[2]}" "${node_pid[3]}"
    wait "${node_pid[2]}" "${node_pid[3]}" 2>/dev/null || true
    sleep 4
    echo minority >&$to
    while IFS= read -r -t 120 line <&$from; do
        [ "$line" = "done" ] && break
        echo "$line"
    done
    start_node 2
    start_node 3
    for i in 1 2 3; do wait_for "http://127.0.0.1:${http[$i]}/readyz" 60; done
    exec {to}>&- {from}<&-
    local verdict=0
    wait "$driver" || verdict=$?
    kill "$proxy_pid"
    wait "$proxy_pid" || true
    [ $verdict = 0 ] && echo "$1: ok" || { echo "$1: FAILED"; cat "$dir/driver-$1.log"; return 1; }
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=waypost \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$dir/cert.key" -out "$dir/cert.pem" 2>/dev/null
read -r -a ports < <(free_ports 6)
declare -A http=([1]=${ports[0]} [2]=${ports[1]} [3]=${ports[2]}) peer=([1]=${ports[3]} [2]=${ports[4]} [3]=${ports[5]})
start_node 1
wait_for "http://127.0.0.1:${http[1]}/readyz" 60
for i in 2 3; do start_node $i; done
for i in 2 3; do wait_for "http://127.0.0.1:${http[$i]}/readyz" 60; done
sleep 3 # for their votes

[ $# -gt 0 ] || set -- haproxy nginx
for proxy in "$@"; do try "$proxy"; done
failed=0
