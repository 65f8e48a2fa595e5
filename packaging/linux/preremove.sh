#!/bin/sh
# Stops the node when the package is removed, and not when another version replaces it. The data stays.
set -e

case "$1" in
0 | remove | deconfigure)
    if [ -d /run/systemd/system ]; then
        systemctl disable --now waypost >/dev/null 2>&1 || true
    fi
    ;;
esac
