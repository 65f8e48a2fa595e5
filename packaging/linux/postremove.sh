#!/bin/sh
# systemd forgets the unit of a package that was removed.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
