#!/bin/sh
# Runs in the new root, before it becomes a file system: sets what a package does not, and removes what would be the same
# on every instance, what tells of the machine that built it, and what differs without need.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get install -y --no-install-recommends /connector.deb
rm /connector.deb

systemctl enable -q systemd-networkd.service systemd-networkd-wait-online.service systemd-resolved.service chrony.service
# An image is replaced, not upgraded: nothing looks for packages by itself, or keeps copies of what is installed.
systemctl mask -q apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
# No programs of other machines are run here.
systemctl mask -q systemd-binfmt.service
systemctl disable -q e2scrub_all.timer e2scrub_reap.service 2>/dev/null || true
# Without SSH the host has no use for keys, and cloud-init no program to make them: it would call every boot degraded.
command -v ssh-keygen >/dev/null || echo 'ssh_genkeytypes: []' >/etc/cloud/cloud.cfg.d/91-no-ssh.cfg
update-initramfs -u -k all

dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' > /packages.txt

# Identity: each instance makes its own.
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id /etc/hostname /etc/ssh/ssh_host_* /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
passwd -q -l root
# The machine that built it: its mirrors, its name servers, its apt settings.
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/99mmdebstrap
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
# What was written along the way.
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig/aux-cache
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
find /var/log -type f -delete
rm -rf /tmp/* /var/tmp/* /root/.cache /run/* /usr/share/doc/*/changelog* /usr/share/info /usr/share/locale/* /usr/share/man/*
# What Debian's first packages brought before dpkg was told what to leave out; and names of hardware that no instance has.
rm -rf /usr/share/i18n /usr/lib/udev/hwdb.d /usr/lib/udev/hwdb.bin
rm -f /vmlinuz.old /initrd.img.old
# What a first boot would make of a new /usr, caches of libraries, hardware and messages, the packages have made.
touch -r /usr /etc/.updated /var/.updated
