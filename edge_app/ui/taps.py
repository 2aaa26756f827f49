"""What a tap, a scanned line and the passing of time do: from desk to desk, with entries to keep. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from edge_app.core.config import ScreenSettings
from edge_app.ui import case_taps, lock_taps
from edge_app.ui.desk import KEPT, ROLES, THEME_CHOICES, Desk, Entry, Sheet, Step, Tap, is_active
from edge_app.ui.facts import Moment
from edge_app.ui.snapshot import StudyView
from edge_app.ui.strings import LANGUAGES
from edge_app.ui.surroundings import theme_for

__all__ = ["AMBIENT_DWELL_S", "CLEAN_S", "MUTE_S", "for_the_next", "scan", "tap", "tick"]

CLEAN_S = 30.0
"""So long the screen takes no touch while it is wiped (R70)."""

MUTE_S = 120.0
"""So long a tap on MUTE keeps the screen silent (R73)."""

AMBIENT_DWELL_S = 5.0
"""The light must ask for the other theme for so long: a street lamp passing by does not switch the screen (R69)."""


def tap(
    desk: Desk,
    action: str,
    study: StudyView | None,
    now: Moment,
    site: ScreenSettings,
    *,
    awaited: StudyView | None = None,
) -> Step:
    """Return what a tap does. A tap that makes no sense now (its button is gone) does nothing."""
    desk = replace(desk, touched_s=now.monotonic_s)
    name, _, value = action.partition(":")
    answer = _ANSWERS.get(name)
    if answer is None or (name in _OF_A_CASE and study is None):
        return Step(desk)
    if desk.locked and not is_active(study, now) and name not in lock_taps.ALWAYS:
        return Step(desk)
    if _needs_role(name, value) and not desk.role:
        return Step(replace(desk, sheet=Sheet.ROLE, pending=action))
    return _with_kept_desk(desk, answer(Tap(desk, study, now, site, value, awaited)))


def scan(desk: Desk, line: str, study: StudyView | None, now: Moment, site: ScreenSettings) -> Step:
    """Return what a line does that a badge or barcode reader typed: unlock, or confirm the patient; else nothing."""
    touched = replace(desk, touched_s=now.monotonic_s)
    scanned = Tap(touched, study, now, site, line.strip())
    if desk.locked and not is_active(study, now):
        return _with_kept_desk(desk, lock_taps.scan_at_lock(scanned))
    if desk.sheet is Sheet.CONFIRM and study is not None:
        if not desk.role:
            return Step(replace(touched, sheet=Sheet.ROLE, pending=f"wristband:{scanned.value}"))
        return case_taps.scan_wristband(scanned)
    return Step(touched)


def tick(desk: Desk, study: StudyView | None, now: Moment, site: ScreenSettings) -> Step:
    """Return what the passing of time does: cleaning and silence end, light changes, an idle screen locks.

    A case unlocks it.
    """
    after = _ambient(desk, now)
    if desk.clean_until_s is not None and now.monotonic_s >= desk.clean_until_s:
        after = replace(after, clean_until_s=None)
    if desk.muted_until_s is not None and now.monotonic_s >= desk.muted_until_s:
        after = replace(after, muted_until_s=None)
    if desk.touched_s is None:
        after = replace(after, touched_s=now.monotonic_s)
    if is_active(study, now):
        after = replace(after, locked=False, sheet=Sheet.NONE if after.sheet is Sheet.PIN else after.sheet)
    elif now.monotonic_s - (after.touched_s or 0.0) >= site.lock_after_s and not after.locked:
        after = replace(after, locked=True, sheet=Sheet.NONE, full=False)
    return _with_kept_desk(desk, Step(after))


def for_the_next(desk: Desk) -> Desk:
    """Return the desk for another patient: nothing that was open, half entered or switched on for the last one."""
    return replace(
        desk, sheet=Sheet.NONE, pending="", draft=None, source="", scanned="", pin="", wrong_pin=False, heat_map=False,
        full=False,
    )  # fmt: skip


def _ambient(desk: Desk, now: Moment) -> Desk:
    wanted = theme_for(now.lux, desk.ambient)
    if wanted == desk.ambient or not desk.ambient:
        return replace(desk, ambient=wanted, ambient_since_s=None)
    if desk.ambient_since_s is None:
        return replace(desk, ambient_since_s=now.monotonic_s)
    if now.monotonic_s - desk.ambient_since_s < AMBIENT_DWELL_S:
        return desk
    return replace(desk, ambient=wanted, ambient_since_s=None)


def _with_kept_desk(before: Desk, step: Step) -> Step:
    """Add the entry that lets the desk outlive the screen, if that part of it has changed."""
    kept = [{name: getattr(desk, name) for name in KEPT} for desk in (before, step.desk)]
    if kept[0] == kept[1]:
        return step
    return replace(step, entries=(*step.entries, Entry("", "desk", kept[1])))


def _open(t: Tap) -> Step:
    sheet = Sheet(t.value)
    if sheet is t.desk.sheet:
        return Step(replace(t.desk, sheet=Sheet.NONE))
    desk = replace(t.desk, sheet=sheet, pending="", pin="", wrong_pin=False, scanned="", source="")
    if sheet in _OF_LKW and t.desk.sheet not in _OF_LKW and (t.study or t.awaited) is not None:
        entered = t.last_known_well or (t.study.announced_lkw if t.study else None)
        at = entered.body.get("at") if entered else None
        known = datetime.fromisoformat(at) if at else None
        if entered is None or (known is None and sheet is Sheet.LKW):
            known = t.now.local.replace(second=0, microsecond=0)
        desk = replace(desk, draft=known)
    return Step(desk)


_OF_LKW = (Sheet.LKW, Sheet.LKW_READ_BACK)


def _back(t: Tap) -> Step:
    return Step(replace(t.desk, sheet=Sheet.NONE, pending="", pin="", wrong_pin=False, scanned="", source=""))


def _curtain(t: Tap) -> Step:
    return Step(replace(t.desk, curtain=not t.desk.curtain, sheet=Sheet.NONE))


def _heat_map(t: Tap) -> Step:
    return Step(replace(t.desk, heat_map=not t.desk.heat_map))


def _full(t: Tap) -> Step:
    return Step(replace(t.desk, full=not t.desk.full, sheet=Sheet.NONE))


def _language(t: Tap) -> Step:
    following = LANGUAGES[(LANGUAGES.index(t.desk.language) + 1) % len(LANGUAGES)]
    return Step(replace(t.desk, language=following))


def _theme(t: Tap) -> Step:
    """Change what is seen with one tap; where there is a light sensor, the way round leads back to it."""
    if t.desk.theme == "auto":
        return Step(replace(t.desk, theme="day" if t.desk.shown_theme == "night" else "night"))
    choices = THEME_CHOICES if t.desk.ambient else THEME_CHOICES[:2]
    return Step(replace(t.desk, theme=choices[(choices.index(t.desk.theme) + 1) % len(choices)]))


def _mute(t: Tap) -> Step:
    if t.desk.muted_until_s is not None:
        return Step(replace(t.desk, muted_until_s=None), (Entry("", "sound", {"muted_s": 0}),))
    until_s = t.now.monotonic_s + MUTE_S
    return Step(replace(t.desk, muted_until_s=until_s), (Entry("", "sound", {"muted_s": MUTE_S}),))


def _clean(t: Tap) -> Step:
    return Step(replace(t.desk, sheet=Sheet.NONE, clean_until_s=t.now.monotonic_s + CLEAN_S))


def _role(t: Tap) -> Step:
    pending = t.desk.pending
    sheet = Sheet.LKW_READ_BACK if pending.startswith("lkw:") else Sheet.NONE
    desk = replace(t.desk, role=t.value if t.value in ROLES else "", sheet=sheet, pending="")
    return tap(desk, pending, t.study, t.now, t.site, awaited=t.awaited) if pending and desk.role else Step(desk)


_ANSWERS: dict[str, Callable[[Tap], Step]] = {
    "open": _open, "back": _back, "theme": _theme, "language": _language, "curtain": _curtain,
    "heat_map": _heat_map, "full": _full, "clean": _clean, "mute": _mute, "role": _role,
    "lock": lock_taps.lock, "unlock": lock_taps.unlock, "pin": lock_taps.pin,
    "confirm": case_taps.confirm, "wristband": case_taps.scan_wristband, "lkw": case_taps.lkw,
    "opinion": case_taps.opinion, "impression": case_taps.impression, "second_reading": case_taps.second_reading,
    "series": case_taps.series, "announce": case_taps.announce, "notify": case_taps.notify, "save": case_taps.save,
    "new_case": case_taps.new_case,
}  # fmt: skip

_OF_A_CASE = frozenset(
    {"confirm", "wristband", "opinion", "impression", "second_reading", "series", "notify", "save", "new_case"}
)
_OF_A_ROLE = frozenset({"confirm", "wristband", "opinion", "impression", "second_reading", "series", "notify"})


def _needs_role(name: str, value: str) -> bool:
    """Return whether a tap is kept with the role of who did it."""
    return name in _OF_A_ROLE or (name == "lkw" and value.startswith("keep"))
