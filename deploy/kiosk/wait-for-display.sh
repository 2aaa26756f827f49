#!/bin/sh
# Before the screen starts: wait until the kiosk's display can be drawn on. Without a kiosk there is nothing to wait for.
set -eu
run=/run/msu-kiosk
[ ! -e /etc/msu-triage/no-kiosk ] || exit 0
for _ in $(seq 300); do
    if [ -e "$run/display.env" ]; then
        # shellcheck source=/dev/null
        . "$run/display.env"
        if [ -n "${WAYLAND_DISPLAY:-}" ] && [ -S "$run/$WAYLAND_DISPLAY" ]; then exit 0; fi
        if [ -n "${DISPLAY:-}" ] && [ -S "/tmp/.X11-unix/X${DISPLAY#:}" ]; then exit 0; fi
    fi
    sleep 0.1
done
echo "$0: no display after 30 s" >&2
exit 1
