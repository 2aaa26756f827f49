"""How a process is told to stop and says that it is ready."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading

__all__ = ["choose_display", "print_ready", "stop_event"]


def stop_event(*, supervised: bool = False) -> threading.Event:
    """Return an event that SIGTERM or SIGINT sets; a second signal ends the process at once.

    A supervised process also stops when its standard input closes: the pipe ends with the supervisor, however that
    died, so no receiver is left behind holding the port.
    """
    stop = threading.Event()
    # A handler runs between any two steps of the main thread, so also while that holds the event's own lock: to set the
    # event there could wait for itself for ever. A SimpleQueue may be filled from a handler; a thread does the rest.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    came: list[int] = []

    def handle_signal(number: int, _frame: object) -> None:
        if came:
            os._exit(128 + number)
        came.append(number)
        signals.put(number)

    def wait_for_signal() -> None:
        signals.get()
        stop.set()

    threading.Thread(target=wait_for_signal, name="wait-for-signal", daemon=True).start()
    signal.signal(signal.SIGTERM, handle_signal)
    signal.signal(signal.SIGINT, handle_signal)
    if supervised:

        def watch_supervisor() -> None:
            while os.read(0, 1024):
                pass
            stop.set()

        threading.Thread(target=watch_supervisor, name="watch-supervisor", daemon=True).start()
    return stop


def print_ready(aet: str, host: str, port: int) -> None:
    """Say on stdout that an association would now be accepted."""
    sys.stdout.write(f"READY {aet}@{host}:{port}\n")
    sys.stdout.flush()


def choose_display(*, headless: bool) -> None:
    """Let Qt draw offscreen where it is told to, or where there is no display to draw on."""
    no_display = sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if headless or (no_display and "QT_QPA_PLATFORM" not in os.environ):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
