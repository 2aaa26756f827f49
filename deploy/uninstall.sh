#!/bin/sh
# Take msu-triage off this machine. Patient data and settings stay unless told otherwise.
#
#   sudo uninstall.sh                   the program, its units and engines; data, settings and users stay
#   sudo uninstall.sh --delete-data     /var/lib/msu-triage, /etc/msu-triage and the users too. There is no way back.
set -eu

root=/opt/msu-triage
delete=no
case "${1:-}" in
"") ;;
--delete-data) delete=yes ;;
*) echo "usage: $0 [--delete-data]" >&2; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "uninstall: this needs root: sudo $0" >&2; exit 1; }

systemctl stop msu.target msu-settle.service 2>/dev/null || true
systemctl stop 'msu-*' 2>/dev/null || true
# With the drop-ins that somebody may have made.
rm -rf /etc/systemd/system/msu* /etc/systemd/system/multi-user.target.wants/msu*
systemctl daemon-reload
systemctl reset-failed 'msu-*' 2>/dev/null || true
if [ -f /etc/msu-triage/default-target ]; then
    systemctl set-default "$(cat /etc/msu-triage/default-target)"
    rm -f /etc/msu-triage/default-target
fi
rm -rf "$root" /var/cache/msu-triage /run/msu-triage
rm -f /etc/tmpfiles.d/msu-triage.conf

if [ "$delete" = no ]; then
    echo "uninstall: done. Patient data in /var/lib/msu-triage and settings in /etc/msu-triage are still there."
    exit 0
fi
# The folder may be a partition's mount point: what is in it goes, the folder itself may stay.
find /var/lib/msu-triage -mindepth 1 -delete
rmdir /var/lib/msu-triage 2>/dev/null || true
rm -rf /etc/msu-triage
rm -f /etc/sysusers.d/msu-triage.conf
for user in msu-receive msu-work msu-screen msu-deliver msu-watch msu-kiosk; do userdel "$user" 2>/dev/null || true; done
groupdel msu-triage 2>/dev/null || true
echo "uninstall: done. Nothing is left; on flash storage deleted data can be recovered: destroy the disk or its key."
