#!/usr/bin/env bash
# Installs each file of a release in an empty root, without Rust and without a network, runs `waypost dev` there, publishes
# an event and receives it. Prints the commands and the seconds until then:
#
#   packaging/try-release.sh [WAY...]          ways: tar deb rpm npm pip image; all unless some are named
#   packaging/try-release.sh aarch64           runs a node of that architecture, and clients of it, under QEMU
#
# Tries what packaging/release.sh has put into dist/release, for this machine's architecture. Needs root (for namespaces and
# chroot) and busybox; a way whose own tools are missing is named as not tried, and the script then ends with 3.
set -euo pipefail
cd "$(dirname "$0")/.."

LIMIT=60
release=$(realpath dist/release 2>/dev/null) && [ -d "$release" ] || { echo "dist/release is missing: packaging/release.sh makes it" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "try-release.sh needs root" >&2; exit 2; }
for program in busybox unshare python3; do
    command -v "$program" >/dev/null || { echo "$program is missing (Debian: busybox-static, util-linux, python3)" >&2; exit 2; }
done
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
arch=$(uname -m)
case $arch in x86_64) deb=amd64 ;; aarch64) deb=arm64 ;; *) echo "there is no release for $arch" >&2; exit 2 ;; esac
named=waypost-$version-$arch-linux

# ---- Inside the namespaces of one way: its own network, which has loopback alone, processes and mounts. ----

now() { date +%s.%N; }

# An empty root: nothing but what every system has, /proc, /dev/null and /tmp.
empty_root() {
    mkdir -p "$work/root"/{proc,dev,tmp}
    chmod 1777 "$work/root/tmp"
    touch "$work/root/dev/null"
    mount --bind /dev/null "$work/root/dev/null"
    mount -t proc proc "$work/root/proc"
}

# Adds a shell, which the scripts of packages need.
with_shell() {
    mkdir -p "$work/root"/{bin,etc}
    cp "$(command -v busybox)" "$work/root/bin/busybox"
    local applet
    for applet in sh cat chmod chown cp echo grep ln mkdir rm sed touch true; do ln -sf busybox "$work/root/bin/$applet"; done
    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$work/root/etc/passwd"
    printf 'root:x:0:\n' >"$work/root/etc/group"
}

# Prints a command and runs it, as a user types it.
typed() { # what people type, command
    echo "\$ $1" >>"$work/typed"
    shift
    "$@" >>"$work/install.log" 2>&1
}

# Starts `waypost dev`, publishes an event and waits for it. `run` is what stands before the arguments of `waypost`.
first_event() { # what people type
    echo "\$ $1" >>"$work/typed"
    "${run[@]}" dev >"$work/dev.log" 2>&1 &
    local until=$((SECONDS + LIMIT)) setting
    until grep -q '^export WAYPOST_URL=' "$work/dev.log"; do
        kill -0 $! 2>/dev/null && [ $SECONDS -lt $until ] || { echo "waypost dev is not ready" >&2; cat "$work/dev.log" >&2; return 1; }
        sleep 0.1
    done
    # What the line has that it prints to copy. The admin token is not needed here.
    for setting in $(sed -n 's/^export \(WAYPOST_URL=.*\)/\1/p' "$work/dev.log" | head -n 1); do
        case $setting in WAYPOST_ADMIN_TOKEN=*) ;; *) export "${setting?}" ;; esac
    done
    event
}

# Follows the demo map, publishes, and waits for an event.
event() {
    local until=$((SECONDS + LIMIT))
    "${run[@]}" tail demo >"$work/events" 2>"$work/tail.log" &
    # The reader may connect a moment after the first event.
    until grep -q Jita "$work/events"; do
        [ $SECONDS -lt $until ] || { echo "no event came" >&2; cat "$work/tail.log" "$work/publish.log" >&2; return 1; }
        "${run[@]}" publish demo add_system '{"name":"Jita"}' >"$work/publish.log" 2>&1 || true
        sleep 0.2
    done
}

try_tar() {
    empty_root
    began=$(now)
    typed "tar xzf $named.tar.gz" tar xzf "$release/$named.tar.gz" -C "$work/root"
    run=(chroot "$work/root" "/$named/waypost")
    first_event "$named/waypost dev"
}

try_deb() {
    empty_root
    with_shell
    mkdir -p "$work/root/var/lib/dpkg"/{info,updates,triggers}
    touch "$work/root/var/lib/dpkg"/{status,available}
    began=$(now)
    typed "sudo dpkg -i waypost_$version-1_$deb.deb" dpkg --root="$work/root" --force-unsafe-io -i "$release/waypost_$version-1_$deb.deb"
    run=(chroot "$work/root" /usr/bin/waypost)
    first_event "waypost dev"
    checks_of_packages
}

try_rpm() {
    empty_root
    with_shell
    local file=$release/waypost-$version-1.$arch.rpm
    began=$(now)
    # --nodeps: the shell of this root belongs to no package.
    typed "sudo rpm -i waypost-$version-1.$arch.rpm" rpm --root "$work/root" --nodeps --nosignature -i "$file"
    run=(chroot "$work/root" /usr/bin/waypost)
    first_event "waypost dev"
    checks_of_packages
}

# What else a package brings: the unit, the user, the directories, manual pages and completions.
checks_of_packages() {
    local root=$work/root file
    for file in usr/lib/systemd/system/waypost.service usr/lib/systemd/system/waypost.service.d/package.conf \
        usr/share/doc/waypost/THIRD-PARTY.txt usr/share/man/man1/waypost.1.gz usr/share/man/man1/waypost-serve.1.gz usr/share/bash-completion/completions/waypost; do
        [ -s "$root/$file" ] || { echo "the package lacks /$file" >&2; return 1; }
    done
    [ "$(stat -c %a "$root/etc/waypost/waypost.env")" = 600 ] || { echo "/etc/waypost/waypost.env is open to others" >&2; return 1; }
    if command -v systemd-sysusers >/dev/null && command -v systemd-tmpfiles >/dev/null; then
        systemd-sysusers --root="$root" waypost.conf
        systemd-tmpfiles --root="$root" --create waypost.conf
        grep -q '^waypost:' "$root/etc/passwd" || { echo "no user was made" >&2; return 1; }
        [ "$(stat -c %a "$root/var/lib/waypost")" = 700 ] || { echo "/var/lib/waypost is open to others" >&2; return 1; }
    else
        echo "systemd is not installed here: sysusers.d and tmpfiles.d were not tried" >&2
    fi
}

# Programs of this machine without Rust, and a home without anything.
fresh_home() {
    mkdir -p "$work/home"
    local node python
    node=$(dirname "$(readlink -f "$(command -v node || echo /usr/bin/node)")")
    python=$(python3 -c 'import sys, os; print(os.path.dirname(os.path.realpath(sys.executable)))')
    fresh=(env -i "HOME=$work/home" "PATH=$node:$python:/usr/bin:/bin" "TMPDIR=$work" LANG=C.UTF-8)
    cd "$work/home"
}

try_npm() {
    fresh_home
    python3 "$OLDPWD/packaging/tools/registry.py" "$release/npm" 4873 &
    until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 4873), 1)' 2>/dev/null; do sleep 0.1; done
    began=$(now)
    run=("${fresh[@]}" npm_config_registry=http://127.0.0.1:4873/ npm_config_update_notifier=false npx --yes waypost)
    # The settings that first_event exports must get through `env -i`.
    run_with_settings
    first_event "npx waypost dev"
}

try_pip() {
    fresh_home
    "${fresh[@]}" python3 -m venv "$work/venv"
    began=$(now)
    typed "pip install waypost" "${fresh[@]}" "$work/venv/bin/pip" install --disable-pip-version-check --no-index --find-links "$release" waypost
    run=("${fresh[@]}" "$work/venv/bin/waypost")
    run_with_settings
    first_event "waypost dev"
}

run_with_settings() {
    cat >"$work/with-settings" <<'END'
#!/bin/bash
# with-settings env -i NAME=VALUE... PROGRAM: adds the settings of this environment.
shift 2
exec env -i ${WAYPOST_URL:+"WAYPOST_URL=$WAYPOST_URL"} ${WAYPOST_TOKEN:+"WAYPOST_TOKEN=$WAYPOST_TOKEN"} "$@"
END
    chmod 0755 "$work/with-settings"
    run=("$work/with-settings" "${run[@]}")
}

# What an engine does with an image: it unpacks the layers into a directory, and runs the entry point there as the user and
# with the environment of the image.
try_image() {
    mkdir -p "$work/root"
    began=$(now)
    typed "docker load -i $named.image.tar" python3 - "$release/$named.image.tar" "$work" <<'END'
import io, json, os, sys, tarfile
image, work = sys.argv[1:]
tar = tarfile.open(image)
part = json.load(tar.extractfile("manifest.json"))[0]
config = json.load(tar.extractfile(part["Config"]))["config"]
for layer in part["Layers"]:
    tarfile.open(fileobj=io.BytesIO(tar.extractfile(layer).read())).extractall(f"{work}/root", numeric_owner=True)
with open(f"{work}/environment", "w") as file:
    file.write("\n".join(config["Env"]) + "\n")
with open(f"{work}/entry", "w") as file:
    file.write("\n".join([config["User"], *config["Entrypoint"]]) + "\n")
END
    local environment entry
    mapfile -t environment <"$work/environment"
    mapfile -t entry <"$work/entry"
    mkdir -p "$work/root"/{proc,dev}
    touch "$work/root/dev/null"
    mount --bind /dev/null "$work/root/dev/null"
    mount -t proc proc "$work/root/proc"
    run=(env -i "${environment[@]}" "$(command -v chroot)" "--userspec=${entry[0]}" "$work/root" "${entry[@]:1}")
    run_with_settings
    first_event "docker run --rm --network host waypost:$version dev"
}

# QEMU runs one program of another architecture, but none that this one starts: so a node instead of `waypost dev`.
try_aarch64() {
    local until=$((SECONDS + LIMIT))
    began=$(now)
    typed "tar xzf waypost-$version-aarch64-linux.tar.gz" tar xzf "$release/waypost-$version-aarch64-linux.tar.gz" -C "$work"
    run=(qemu-aarch64-static "$work/waypost-$version-aarch64-linux/waypost")
    export WAYPOST_TOKEN=try-release-admin-token-0123456789 WAYPOST_URL=http://127.0.0.1:4000
    echo "\$ waypost serve" >>"$work/typed"
    env -u WAYPOST_TOKEN -u WAYPOST_URL WAYPOST_ADMIN_TOKEN="$WAYPOST_TOKEN" WAYPOST_DATA_DIR="$work/data" "${run[@]}" serve >"$work/dev.log" 2>&1 &
    until "${run[@]}" healthcheck --ready >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || { echo "the node is not ready" >&2; cat "$work/dev.log" >&2; return 1; }
        sleep 0.2
    done
    "${run[@]}" map create --slug demo
    event
}

if [ "${1:-}" = --inside ]; then
    work=$2
    # Nothing of the caller's own settings.
    unset TMPDIR $(compgen -e WAYPOST_ || true)
    busybox ip link set lo up
    "try_$3"
    echo "$began $(now)" >"$work/times"
    exit
fi

# ---- Outside ----

lacks() { # way
    case $1 in
    tar) command -v tar >/dev/null || echo tar ;;
    deb) command -v dpkg >/dev/null || echo dpkg ;;
    rpm) command -v rpm >/dev/null || echo "rpm (Debian: rpm)" ;;
    npm) command -v npx >/dev/null || echo "npx (Debian: npm)" ;;
    pip) python3 -m venv --help >/dev/null 2>&1 || echo "venv (Debian: python3-venv)" ;;
    image) ;;
    aarch64)
        command -v qemu-aarch64-static >/dev/null || echo "qemu-aarch64-static (Debian: qemu-user-static)"
        [ -f "$release/waypost-$version-aarch64-linux.tar.gz" ] || echo "the tar file of aarch64"
        ;;
    *) echo "no such way: $1" ;;
    esac
}

[ $# -gt 0 ] || set -- tar deb rpm npm pip image
(cd "$release" && sha256sum --quiet -c SHA256SUMS) && echo "SHA256SUMS: all files are whole"
failed=0 untried=0 table=
for way in "$@"; do
    lacking=$(lacks "$way" | paste -sd,)
    if [ -n "$lacking" ]; then
        table+="$way|not tried: $lacking is missing||"$'\n'
        untried=1
        continue
    fi
    work=$(mktemp -d)
    chmod 0755 "$work"
    if unshare --net --mount --pid --fork --kill-child --mount-proc bash "$0" --inside "$work" "$way" >"$work/log" 2>&1; then
        read -r began ended <"$work/times"
        seconds=$(python3 -c "print(f'{$ended - $began:.1f}')")
        commands=$(wc -l <"$work/typed")
        verdict=pass
        python3 -c "import sys; sys.exit($seconds > $LIMIT or $commands > 2)" || { verdict=FAIL failed=1; }
        table+="$way|$(paste -sd'~' "$work/typed" | sed 's/~/  /')|$seconds s|$verdict"$'\n'
    else
        echo "== $way failed:" >&2
        cat "$work/log" "$work/install.log" >&2 2>/dev/null || true
        table+="$way|$(paste -sd'~' "$work/typed" 2>/dev/null | sed 's/~/  /')||FAIL"$'\n'
        failed=1
    fi
    rm -rf "$work"
done
printf '\n%-6s %-8s %-5s %s\n' way seconds "" commands
while IFS='|' read -r way commands seconds verdict; do
    [ -z "$way" ] || printf '%-6s %-8s %-5s %s\n' "$way" "$seconds" "$verdict" "$commands"
done <<<"$table"
[ $failed = 0 ] || exit 1
[ $untried = 0 ] || exit 3
