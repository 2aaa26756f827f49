"""Locking and unlocking: by tap, PIN, badge or in an emergency (R81). No Qt."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from edge_app.ui.desk import Entry, Sheet, Step, Tap, is_active

__all__ = ["ALWAYS", "badge_hash", "lock", "pin", "scan_at_lock", "unlock"]

ALWAYS = frozenset({"unlock", "pin", "back", "theme", "language", "mute", "clean"})
"""What a locked screen answers to: nothing that shows a case."""

_PIN_DIGITS = 6


def lock(t: Tap) -> Step:
    """Lock, but never over an active case."""
    if is_active(t.study, t.now):
        return Step(t.desk)
    return Step(replace(t.desk, locked=True, sheet=Sheet.NONE, full=False))


def unlock(t: Tap) -> Step:
    """Unlock, or ask for the PIN where there is one (or a badge)."""
    if t.site.pin or t.site.badges:
        return Step(replace(t.desk, sheet=Sheet.PIN, pin="", wrong_pin=False))
    return _open(t, "tap")


def pin(t: Tap) -> Step:
    """Take a digit, or what stands beside the digits."""
    if t.value == "delete":
        return Step(replace(t.desk, pin=t.desk.pin[:-1], wrong_pin=False))
    if t.value == "break_glass":
        return _open(t, "break_glass")
    if t.value == "unlock":
        return _open(t, "unlock") if t.site.pin and t.desk.pin == t.site.pin else _refuse(t)
    return Step(replace(t.desk, pin=(t.desk.pin + t.value)[:_PIN_DIGITS], wrong_pin=False))


def scan_at_lock(t: Tap) -> Step:
    """Take what a badge reader (or a keyboard) sent as one line: a badge, or the PIN."""
    badge = badge_hash(t.value)
    if badge in t.site.badges:
        return _open(t, "badge", badge=badge[:8])
    return _open(t, "unlock") if t.site.pin and t.value == t.site.pin else _refuse(t)


def badge_hash(line: str) -> str:
    """Return what the settings know a badge by: SHA-256 of what its reader types, in hexadecimal."""
    return hashlib.sha256(line.encode()).hexdigest()


def _open(t: Tap, how: str, **more: str) -> Step:
    desk = replace(t.desk, locked=False, sheet=Sheet.NONE, pin="", wrong_pin=False)
    return Step(desk, (Entry("", "unlocked", {"how": how, **more}),))


def _refuse(t: Tap) -> Step:
    return Step(replace(t.desk, sheet=Sheet.PIN, pin="", wrong_pin=True), (Entry("", "pin_refused", {}),))
