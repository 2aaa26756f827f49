#!/bin/sh
# The display as msu-kiosk.service runs it: a compositor with nothing in it, into which the triage screen draws.
# Where it can be reached stands in /run/msu-kiosk/display.env, which msu-screen.service reads.
#
# MSU_KIOSK in /etc/msu-triage/kiosk.env: wayland (cage), x11 (Xorg), or auto: cage where it is, Xorg on JetPack 6 and
# where cage did not last ten seconds.
set -eu

run=/run/msu-kiosk
# PAM has set the session's own, which nobody else may enter.
export XDG_RUNTIME_DIR="$run"
choice=${MSU_KIOSK:-auto}
display=:7

leave() {
    printf '%s\n' "$@" >"$run/display.env.part"
    mv "$run/display.env.part" "$run/display.env"
}

wayland() {
    # cage ends with what it shows, and what it shows here is nothing: the screen may come and go.
    cage -d -- /bin/sh -c "printf 'QT_QPA_PLATFORM=wayland\nXDG_RUNTIME_DIR=%s\nWAYLAND_DISPLAY=%s\nQT_WAYLAND_DISABLE_WINDOWDECORATION=1\n' \
        \"\$XDG_RUNTIME_DIR\" \"\$WAYLAND_DISPLAY\" >'$run/display.env.part'; mv '$run/display.env.part' '$run/display.env'; exec sleep infinity"
}

x11() {
    rm -f "$run/Xauthority"
    cookie=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    xauth -q -f "$run/Xauthority" add "$display" MIT-MAGIC-COOKIE-1 "$cookie"
    chmod 0640 "$run/Xauthority" # the screen is of this group
    leave "QT_QPA_PLATFORM=xcb" "DISPLAY=$display" "XAUTHORITY=$run/Xauthority"
    exec Xorg "$display" vt7 -keeptty -nolisten tcp -noreset -auth "$run/Xauthority" -s 0 -dpms -nocursor
}

rm -f "$run/display.env"
case "$choice" in
wayland) wayland ;;
x11) x11 ;;
auto)
    if command -v cage >/dev/null && ! grep -qs '^# R3[56]' /etc/nv_tegra_release; then
        began=$(cut -d. -f1 /proc/uptime)
        if wayland; then exit 0; fi
        [ $(($(cut -d. -f1 /proc/uptime) - began)) -lt 10 ] || exit 1
        echo "cage did not last; trying Xorg" >&2
    fi
    rm -f "$run/display.env"
    x11
    ;;
*) echo "$0: MSU_KIOSK is '$choice', not auto, wayland or x11 (/etc/msu-triage/kiosk.env)" >&2; exit 78 ;;
esac
