#!/bin/sh
# Makes the user and the directories, by systemd's tools where they are. It starts nothing: a node without settings
# would found a cluster of its own and stay in it. An upgrade restarts nothing: nodes restart one after another.
set -e

if command -v systemd-sysusers >/dev/null 2>&1; then
    systemd-sysusers waypost.conf
elif ! grep -q '^waypost:' /etc/passwd 2>/dev/null; then
    if command -v useradd >/dev/null 2>&1; then
        useradd --system --user-group --no-create-home --home-dir /var/lib/waypost --shell /usr/sbin/nologin waypost
    elif command -v adduser >/dev/null 2>&1; then
        # BusyBox's, as in Alpine.
        touch /etc/passwd /etc/group
        addgroup -S waypost
        adduser -S -D -H -h /var/lib/waypost -s /sbin/nologin -G waypost waypost
    fi
fi

if command -v systemd-tmpfiles >/dev/null 2>&1; then
    # It refuses a link: the unit ran with DynamicUser before. systemd moves the data back when the node starts.
    systemd-tmpfiles --create waypost.conf || [ -L /var/lib/waypost ]
else
    mkdir -p /etc/waypost /var/lib/waypost
    chmod 0750 /etc/waypost
    chmod 0700 /var/lib/waypost
    if grep -q '^waypost:' /etc/passwd 2>/dev/null; then
        chown root:waypost /etc/waypost
        chown waypost:waypost /var/lib/waypost
    fi
fi

if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    if systemctl is-active --quiet waypost; then
        echo "waypost: restart the nodes one after another: systemctl restart waypost, then wait for /readyz"
    fi
fi

echo "waypost: 'waypost dev' tries it. For a node: fill in /etc/waypost/waypost.env, then systemctl enable --now waypost"
