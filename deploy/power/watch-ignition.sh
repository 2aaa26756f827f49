#!/bin/sh
# Wait until the vehicle's ignition line has been low for a while (starting the engine lowers it for a second or two),
# then shut down. Set in /etc/msu-triage/ignition.env; msu-ignition.service runs only where that file is.
#
#   IGNITION_CHIP=gpiochip0  IGNITION_LINE=105   gpioinfo names them
#   IGNITION_HOLD_S=10                           so long must the line be low; the UPS must carry the box longer
set -eu

chip=${IGNITION_CHIP:?} line=${IGNITION_LINE:?} hold_s=${IGNITION_HOLD_S:-10}
here=$(dirname "$0")

low=0
while [ "$low" -lt "$hold_s" ]; do
    case "$(gpioget "$chip" "$line")" in
    0) low=$((low + 1)) ;;
    1) low=0 ;;
    *) echo "$0: $chip line $line cannot be read" >&2; exit 1 ;;
    esac
    sleep 1
done
echo "ignition off for $hold_s s" >&2
exec "$here/ignition-off.sh"
