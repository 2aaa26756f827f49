#!/bin/sh
# Install what pip cannot bring (Debian and Ubuntu); does nothing when everything is there.
#
#   system-packages.sh screen    what Qt needs to draw, with a display or offscreen
#   system-packages.sh vehicle   that, and what deploy/install.sh needs: Python environments, the kiosk's display
#   system-packages.sh test      screen, and what the tests use: DICOM peers (dcmtk, Orthanc), an HTJ2K encoder, a
#                                validator (dicom3tools), a virtual display (xvfb), shellcheck, systemd-analyze
#   system-packages.sh fetch DIR the vehicle's, with all they need, as .deb files: on a machine like the vehicle that has
#                                a network; `dpkg -i DIR/*.deb` on the vehicle
set -eu

screen="libegl1 libgl1 libglib2.0-0 libfontconfig1 libfreetype6 libdbus-1-3 libxkbcommon0 libxkbcommon-x11-0 libxcb-cursor0
libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0"
vehicle="python3 python3-venv util-linux kbd polkitd policykit-1 cage xwayland libwayland-client0 libwayland-cursor0 libwayland-egl1 xserver-xorg-core
xserver-xorg-input-libinput xserver-xorg-legacy xauth libpam-systemd dbus"
test="dcmtk dicom3tools openjph-tools orthanc orthanc-dicomweb xvfb xauth shellcheck systemd"

case "${1:-}" in
screen) packages="$screen" ;;
vehicle) packages="$screen $vehicle" ;;
test) packages="$screen $test" ;;
fetch)
    folder=${2:?fetch needs a folder}
    mkdir -p "$folder/partial"
    # shellcheck disable=SC2086
    exec apt-get install -y --download-only --reinstall -o Dir::Cache::archives="$(cd "$folder" && pwd)" $screen $vehicle
    ;;
*) echo "usage: $0 screen|vehicle|test|fetch DIR" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null; then
    echo "$0: no apt-get here; install the equivalents of: $packages" >&2
    exit 0
fi

missing=""
for package in $packages; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# One by one when all at once fails: a name that a distribution lacks must not cost the others.
# shellcheck disable=SC2086
if ! $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1; then
    for package in $missing; do
        $as_root apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "not available: $package" >&2
    done
fi
