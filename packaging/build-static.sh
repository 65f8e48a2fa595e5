#!/usr/bin/env bash
# Builds the static executable for Linux, checks that it is static, and moves its symbols to FILE.debug:
#   packaging/build-static.sh [--target TRIPLE] [FILE]          FILE is dist/waypost unless it is given
# Needs rustup, objcopy and file; for the machine's own architecture musl-gcc (Debian: musl-tools), for the other
# one cargo-zigbuild (PyPI has it) and the objcopy of that architecture.
set -euo pipefail
cd "$(dirname "$0")/.."

own=$(uname -m)
target=$own-unknown-linux-musl
if [ "${1:-}" = --target ]; then
    target=${2:?--target needs a value, such as aarch64-unknown-linux-musl}
    shift 2
fi
out=${1:-dist/waypost}
case $target in
x86_64-unknown-linux-musl | aarch64-unknown-linux-musl) arch=${target%%-*} ;;
*) echo "there is no static build for $target, only for x86_64-unknown-linux-musl and aarch64-unknown-linux-musl" >&2; exit 2 ;;
esac

need() { # program, where it comes from
    command -v "$1" >/dev/null || { echo "$1 is missing ($2)" >&2; exit 2; }
}
need rustup https://rustup.rs
need file "Debian: apt-get install file"
if [ "$arch" = "$own" ]; then
    objcopy=objcopy
    need musl-gcc "Debian: apt-get install musl-tools"
    need objcopy "Debian: apt-get install binutils"
    build=(cargo build)
    export "CC_${target//-/_}=musl-gcc"
else
    objcopy=$arch-linux-gnu-objcopy
    need cargo-zigbuild "pip install cargo-zigbuild"
    need "$objcopy" "Debian: apt-get install binutils-${arch//_/-}-linux-gnu"
    build=(cargo zigbuild)
fi
# Adds the target to the toolchain that rust-toolchain.toml names.
rustup target add "$target"
"${build[@]}" --profile dist --locked --bin waypost --target "$target"

built=${CARGO_TARGET_DIR:-target}/$target/dist/waypost
# A dynamic executable names an interpreter; a static one has none.
if ! file -b "$built" | grep -qE 'static(-pie|ally) linked' || file -b "$built" | grep -q interpreter; then
    echo "$built is not static:" >&2
    file -b "$built" >&2
    exit 1
fi
install -D -m 0755 "$built" "$out"
# Backtraces have names and lines again where the file with the symbols lies beside the executable.
"$objcopy" --only-keep-debug --compress-debug-sections=zlib "$out" "$out.debug"
"$objcopy" --strip-all "$out"
(cd "$(dirname "$out")" && "$objcopy" --add-gnu-debuglink="$(basename "$out").debug" "$(basename "$out")")
chmod 0644 "$out.debug"
echo "$out: $(stat -c %s "$out") bytes, $(file -b "$out" | cut -d, -f1,4-5); symbols in $out.debug"
