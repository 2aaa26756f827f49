#!/bin/sh
# The power is about to go: finish what is being written, stop, and let the machine go down. Within 3 s.
#
# Called by msu-ignition.service, or by a UPS's own daemon (NUT: SHUTDOWNCMD; apcupsd: doshutdown). A power cut at any
# moment loses nothing that was acknowledged either; this only spares the next start some repairs.
set -eu

systemctl=${MSU_SYSTEMCTL:-systemctl}
store=${MSU_STORE:-/var/lib/msu-triage}

# Each unit has TimeoutStopSec=3: what does not end by itself until then is killed, and is as safe as after a cut.
timeout 4 "$systemctl" stop msu.target msu-receive.service msu-work.service msu-deliver.service msu-screen.service || true
sync --file-system "$store"
"$systemctl" --no-block poweroff
