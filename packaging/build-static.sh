#!/usr/bin/env bash
# Builds the static executable for Linux, and checks that it is static: packaging/build-static.sh [FILE]
# Needs rustup, and musl-gcc for the C parts (Debian: musl-tools).
set -euo pipefail
cd "$(dirname "$0")/.."

case $(uname -m) in
x86_64) target=x86_64-unknown-linux-musl ;;
aarch64) target=aarch64-unknown-linux-musl ;;
*) echo "no static build for $(uname -m)" >&2; exit 2 ;;
esac
out=${1:-dist/waypost}

command -v musl-gcc >/dev/null || { echo "musl-gcc is missing (Debian: apt-get install musl-tools)" >&2; exit 2; }
# Adds the target to the toolchain that rust-toolchain.toml names.
rustup target add "$target"
export "CC_${target//-/_}=musl-gcc"
# Keeps the names of functions for backtraces. Line numbers would make the file five times as large.
export CARGO_PROFILE_RELEASE_STRIP=debuginfo
cargo build --release --locked --bin waypost --target "$target"

built=${CARGO_TARGET_DIR:-target}/$target/release/waypost
# A dynamic executable names an interpreter and libraries; a static one has neither.
if file -b "$built" | grep -qE 'dynamically linked|interpreter' || ldd "$built" >/dev/null 2>&1 && ! ldd "$built" 2>&1 | grep -q 'statically linked'; then
    echo "$built is not static:" >&2
    file -b "$built" >&2
    exit 1
fi
install -D -m 0755 "$built" "$out"
echo "$out: $(stat -c %s "$out") bytes, $(file -b "$out" | cut -d, -f1,4-5)"
