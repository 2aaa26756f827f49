#!/bin/sh
# Wait until the display can be drawn on, so that the screen, which starts after it, finds it.
set -eu
run=${XDG_RUNTIME_DIR:?}
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
