#!/bin/sh
# Asks each disk for its health (smartctl) and leaves the answer in /run/msu-smart/DISK.json, where `msu watch` reads it:
# asking needs rights over the disk that the watch, which speaks to the network, must not have. Ends where smartmontools
# is not installed.
set -u
answers=${MSU_SMART:-/run/msu-smart}
blocks=${MSU_BLOCKS:-/sys/block}
every_s=${MSU_SMART_EVERY_S:-30}
command -v smartctl >/dev/null || { echo "smartmontools is not installed: no disk is asked for its health"; exit 0; }
while :; do
    for block in "$blocks"/nvme* "$blocks"/sd*; do
        [ -e "$block" ] || continue
        disk=$(basename "$block")
        # Its exit code is a set of flags of what it found; what counts is whether it answers.
        timeout 20 smartctl --json --health --attributes "/dev/$disk" >"$answers/$disk.part" 2>/dev/null || :
        mv -f "$answers/$disk.part" "$answers/$disk.json"
    done
    [ "$every_s" != once ] || exit 0
    sleep "$every_s"
done
