#!/bin/sh
# Says what the tests need and this machine lacks, before anything is installed or compiled: `make test` asks first.
# Exits with 0 if nothing is missing. What only some tests need is named, and stops nothing: those tests are skipped.
lacking=

lacks() { # what, for what, Debian's package, Fedora's, Homebrew's
    lacking=yes
    printf '%s is missing; it %s.\n    Debian, Ubuntu: sudo apt install %s\n    Fedora:         sudo dnf install %s\n    macOS:          %s\n' \
        "$1" "$2" "$3" "$4" "$5" >&2
}

has() { command -v "$1" >/dev/null 2>&1; }

# at_least VERSION MAJOR MINOR
at_least() {
    [ -n "$1" ] || return 1
    major=${1%%.*}
    rest=${1#*.}
    minor=${rest%%.*}
    [ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "$minor" -ge "$3" ]; }
}

# That of a distribution may be older. rustup's takes the version that rust-toolchain.toml names.
rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! has cargo || ! at_least "$(cargo --version | cut -d' ' -f2)" "${rust%%.*}" "${rust#*.}"; then
    found=$(has cargo && cargo --version 2>/dev/null)
    echo "Rust $rust or later${found:+ (here is $found)} is missing; it builds Waypost: see https://rustup.rs" >&2
    lacking=yes
fi
has cc || has gcc || has clang ||
    lacks "A C compiler" "compiles the parts of ring and mimalloc that are in C" gcc gcc "xcode-select --install"
if ! has node || ! at_least "$(node --version | tr -d v)" 20 0; then
    found=$(has node && node --version)
    lacks "Node.js 20 or later${found:+ (here is $found)}" "runs JavaScript clients against the nodes" \
        "nodejs npm (or https://nodejs.org if that one is older)" nodejs-npm "brew install node"
fi
has npm || lacks npm "installs the JavaScript clients" npm nodejs-npm "brew install node"
if ! has python3 || ! at_least "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" 3 11; then
    found=$(has python3 && python3 --version)
    lacks "Python 3.11 or later${found:+ (here is $found)}" "runs clients and verifiers in Python against the nodes" \
        python3 python3 "brew install python"
elif ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    lacks "Python's venv" "keeps the packages of the tests apart from yours" python3-venv python3 "brew install python"
fi

if [ -n "$lacking" ]; then
    echo "The tests were not started: install what is missing, then try again." >&2
    exit 1
fi

without=
for program in faketime php psql chromium; do
    case $program in
    psql) has psql || [ -d /usr/lib/postgresql ] || without="$without postgresql" ;;
    chromium) has chromium || [ -n "${CHROMIUM:-}" ] || without="$without chromium" ;;
    php) has php || without="$without php-cli" ;;
    *) has "$program" || without="$without $program" ;;
    esac
done
[ -z "$without" ] || echo "Some tests will be skipped, and say so, without Debian's:$without" >&2
