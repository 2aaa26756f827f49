#!/bin/sh
# Put a release of msu-triage on this machine and run it: JetPack 6, JetPack 7, or a Debian or Ubuntu bench unit.
#
#   sudo deploy/install.sh [options]          from a checkout, with a network
#   sudo MEDIUM/deploy/install.sh [options]   from a medium of `msu deploy wheelhouse`, without one
#
#   --settings FILE    settings for a vehicle that has none (default: vehicle.toml); those that are there are never touched
#   --no-activate      put the release beside the running one, and leave that running (msu-release activate NAME)
#   --check COMMAND    a new release stays only if COMMAND succeeds after it is ready
#   --no-kiosk         a bench unit without a panel: the screen draws offscreen
#   --no-packages      the Debian packages are there (deploy/system-packages.sh vehicle)
#   --target NAME      in place of what this machine looks like: jetpack6, jetpack7, debian12, debian13, ubuntu22, ubuntu24
#
# May be run again at any time. Data and settings of a vehicle stay. If the new release is not ready, the one before runs
# on. What it does, and where everything lies, stands in deploy/README.md.
set -eu

root=/opt/msu-triage
etc=/etc/msu-triage
here=$(cd "$(dirname "$0")" && pwd)
source=$(dirname "$here")
settings="$here/vehicle.toml" activate=yes check="" kiosk=yes packages=yes target=""

say() { echo "install: $*"; }

die() {
    echo "install: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case "$1" in
    --settings) settings=${2:?--settings needs a file}; shift ;;
    --check) check=${2:?--check needs a command}; shift ;;
    --target) target=${2:?--target needs a name}; shift ;;
    --no-activate) activate=no ;;
    --no-kiosk) kiosk=no ;;
    --no-packages) packages=no ;;
    -h | --help) sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "install: what is '$1'? (--help)" >&2; exit 2 ;;
    esac
    shift
done

[ "$(id -u)" -eq 0 ] || die "this needs root: sudo $0"
[ -f "$settings" ] || die "--settings $settings: there is no such file"

# What this machine is ----------------------------------------------------------------------------------------------

machine_target() {
    if [ -f /etc/nv_tegra_release ]; then
        case "$(sed -n 's/^# R\([0-9]*\).*REVISION: \([0-9]*\).*/\1.\2/p' /etc/nv_tegra_release)" in
        36.[4-9]*) echo jetpack6 ;;
        3[89].*) echo jetpack7 ;;
        *) die "this JetPack is not supported: $(head -1 /etc/nv_tegra_release). Upgrade to JetPack 6.1 or newer." ;;
        esac
        return
    fi
    # shellcheck source=/dev/null
    . /etc/os-release
    case "$ID-$VERSION_ID" in
    debian-12 | debian-13) echo "debian$VERSION_ID" ;;
    ubuntu-22.04 | ubuntu-24.04) echo "ubuntu${VERSION_ID%.04}" ;;
    *) die "$PRETTY_NAME is not supported (Debian 12, 13, Ubuntu 22.04, 24.04, JetPack 6.1 or newer)" ;;
    esac
}

[ -n "$target" ] || target=$(machine_target)
jetson=no machine=x86_64
case "$target" in jetpack*) jetson=yes machine=aarch64 ;; esac
[ "$(uname -m)" = "$machine" ] || die "$target is for $machine, this machine is $(uname -m)"

json() { # FILE KEY: a word of a small JSON file; python3 may not be there yet
    sed -n 's/.*"'"$2"'": *"\([^"]*\)".*/\1/p' "$1" | head -1
}

offline=no
if [ -f "$source/medium.json" ]; then
    offline=yes
    medium=$(json "$source/medium.json" target)
    [ "$medium" = "$target" ] || die "this medium is for $medium, but this machine is $target (msu deploy wheelhouse --target $target)"
    name=$(json "$source/medium.json" name)
    version=$(json "$source/medium.json" version)
    requirements="$source/requirements.txt"
else
    [ -f "$source/pyproject.toml" ] || die "$source is neither a medium nor a checkout"
    requirements="$here/constraints/$target.txt"
    [ -f "$requirements" ] || die "there are no constraints for $target"
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$source/pyproject.toml")
    hash=$(cd "$source" && find pyproject.toml edge_app export training calibration deploy -type f \
        ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-8)
    name="$version-$hash"
fi
[ -n "$name" ] || die "$source/medium.json names no release"

# Packages, users, folders ------------------------------------------------------------------------------------------

if [ "$packages" = yes ]; then
    if [ -d "$source/debs" ]; then
        dpkg -i --refuse-downgrade --skip-same-version "$source"/debs/*.deb
    else
        "$here/system-packages.sh" vehicle || say "packages are missing; going on without"
    fi
fi
command -v python3 >/dev/null || die "there is no python3"

say "$name for $target on $(uname -m)"
systemd-sysusers "$here/systemd/msu-triage.sysusers"
systemd-tmpfiles --create "$here/systemd/msu-triage.tmpfiles"
install -D -m 0644 "$here/systemd/msu-triage.sysusers" /etc/sysusers.d/msu-triage.conf
install -D -m 0644 "$here/systemd/msu-triage.tmpfiles" /etc/tmpfiles.d/msu-triage.conf
install -d -m 0755 "$root" "$root/releases"

# The release, beside what runs -------------------------------------------------------------------------------------

release="$root/releases/$name"

pip_install() { # from the medium alone, where there is one; its path may have blanks in it, as sticks' names have
    if [ "$offline" = yes ]; then set -- --no-index --find-links "$source/wheels" "$@"; fi
    "$release/venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet "$@"
}

make_environment() {
    system_site=""
    # TensorRT's Python bindings come with JetPack.
    [ "$jetson" = no ] || system_site="--system-site-packages"
    # shellcheck disable=SC2086
    python3 -m venv $system_site "$release/venv"
    pip_install --no-deps --ignore-installed --require-hashes --only-binary :all: -r "$requirements"
    if [ "$offline" = no ]; then
        work=$(mktemp -d)
        (cd "$source" && cp -r pyproject.toml README.md LICENSE edge_app export training calibration "$work")
        pip_install --no-deps "$work"
        rm -rf "$work"
    fi
    [ "$jetson" = no ] || make_gpu_part
}

make_gpu_part() { # pycuda is compiled here; without it everything runs, on the CPU, and says so
    export CUDA_ROOT=/usr/local/cuda PATH="/usr/local/cuda/bin:$PATH" CPATH=/usr/local/cuda/include \
        LIBRARY_PATH=/usr/local/cuda/lib64
    pip_install --no-deps --require-hashes --no-build-isolation -r "$(dirname "$requirements")/$gpu_requirements" ||
        say "pycuda cannot be built: TensorRT engines will not run (deploy/new-device.md)"
}
gpu_requirements="requirements-gpu.txt"
[ "$offline" = yes ] || gpu_requirements="$target-gpu.txt"

prove_release() { # what must work before anything is switched
    "$release/venv/bin/python" -I -m edge_app bundle verify "$release/bundle" --unsigned # whose signature counts is in the settings
    ORT_DISABLE_TELEMETRY=1 QT_QPA_PLATFORM=offscreen "$release/venv/bin/python" -I -c \
        'import cv2, gdcm, onnxruntime, pynetdicom; from PySide6.QtWidgets import QApplication; QApplication([])'
}

make_release() {
    say "making $release"
    rm -rf "$release"
    install -d -m 0755 "$release" "/var/cache/msu-triage/engines/$name"
    make_environment
    if [ -d "$source/bundle" ]; then
        cp -r "$source/bundle" "$release/bundle"
    else
        demo=$("$release/venv/bin/python" -I -c 'import edge_app, pathlib; print(pathlib.Path(edge_app.__file__).parent)')
        ln -s "$demo/bundles/demo" "$release/bundle"
    fi
    ln -s "/var/cache/msu-triage/engines/$name" "$release/engines"
    cp -r "$here" "$release/deploy"
    prove_release
    chown -R root:root "$release"
    chmod -R go-w,a+rX "$release"
    sync "$release"
    cat >"$release/.release.json" <<JSON
{
  "schema": 1,
  "name": "$name",
  "version": "$version",
  "target": "$target",
  "python": "$("$release/venv/bin/python" -c 'import platform; print(platform.python_version())')",
  "installed_utc": "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
}
JSON
    sync
    mv "$release/.release.json" "$release/release.json"
    sync "$release"
}

for folder in "$root"/releases/*; do # what an installation that was cut off has left
    if [ -d "$folder" ] && [ ! -f "$folder/release.json" ]; then rm -rf "$folder"; fi
done
if [ -f "$release/release.json" ]; then
    say "$name is there already"
else
    unfinished=$release
    trap '[ -z "$unfinished" ] || { rm -rf "$unfinished"; echo "install: $name could not be made; what ran before runs on" >&2; }' EXIT
    make_release
    unfinished=""
fi
install -m 0755 "$here/msu-release" "$root/.msu-release"
mv -f "$root/.msu-release" "$root/msu-release"
install -m 0644 "$here/systemd/msu-settle.service" /etc/systemd/system/msu-settle.service
install -d /etc/systemd/system/multi-user.target.wants
ln -sfn ../msu-settle.service /etc/systemd/system/multi-user.target.wants/msu-settle.service

# This vehicle's own ------------------------------------------------------------------------------------------------

if [ ! -f "$etc/settings.toml" ]; then
    install -m 0640 -g msu-triage "$settings" "$etc/.settings.toml"
    mv "$etc/.settings.toml" "$etc/settings.toml"
    say "wrote $etc/settings.toml: list the scanner in it"
fi
if [ "$kiosk" = no ]; then
    : >"$etc/no-kiosk"
elif [ ! -f "$etc/no-kiosk" ]; then
    [ -f "$etc/kiosk.env" ] || echo "MSU_KIOSK=auto" >"$etc/kiosk.env"
    # The desktop and the kiosk cannot both have the panel.
    if [ ! -f "$etc/default-target" ] && [ "$(systemctl get-default)" = graphical.target ]; then
        echo graphical.target >"$etc/default-target"
        systemctl set-default multi-user.target
    fi
fi
# A release that does not understand the settings of this vehicle must not replace one that does.
"$release/venv/bin/python" -I -c 'import sys, pathlib
from edge_app.core.config import load_settings
from edge_app.core.errors import MsuError
try:
    load_settings(pathlib.Path(sys.argv[1]))
except MsuError as error:
    sys.exit(f"install: {error}")' "$etc/settings.toml" || die "correct $etc/settings.toml and run this again; nothing was switched"

if [ "$activate" = no ]; then
    say "$name is there; '$root/msu-release activate $name' runs it"
    exit 0
fi
if [ -n "$check" ]; then
    "$root/msu-release" activate "$name" --check "$check"
else
    "$root/msu-release" activate "$name"
fi
# shellcheck disable=SC2086
[ "$jetson" = no ] || systemctl start --no-block "msu-engines@$name.service"
"$root/msu-release" prune
say "done: $root/current/venv/bin/msu doctor --config $etc/settings.toml"
