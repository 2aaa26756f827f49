"""What the crew does on the screen: one function from (desk, tap) to (desk, entries to keep). No Qt.

A tap is a word such as "lkw:+60" (`edge_app.ui.sheets` puts it on a button). What must outlive the screen is an entry
for the store (`edge_app.store.crew`); the reader's thread writes it, with its audit record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from edge_app.core.config import ScreenSettings
from edge_app.ui.facts import Moment
from edge_app.ui.snapshot import StudyView
from edge_app.ui.strings import LANGUAGES

__all__ = [
    "CASE_ACTIVE_S",
    "CLEAN_S",
    "IMPRESSIONS",
    "OPINIONS",
    "ROLES",
    "Desk",
    "Entry",
    "Sheet",
    "Step",
    "desk_from",
    "is_active",
    "tap",
    "tick",
]

ROLES = ("paramedic", "nurse", "technician", "doctor", "neurologist")
OPINIONS = ("agree", "disagree", "unsure")
IMPRESSIONS = ("seen", "not_seen", "unsure")

CLEAN_S = 30.0
"""So long the screen takes no touch while it is wiped (R70)."""

CASE_ACTIVE_S = 3600.0
"""Images younger than this make a case active: the screen never locks over it (R81)."""

_PIN_DIGITS = 6


class Sheet(str, Enum):
    """What lies over the centre of the screen."""

    NONE = ""
    MENU = "menu"
    ABOUT = "about"
    CONFIRM = "confirm"
    LKW = "lkw"
    LKW_READ_BACK = "lkw_read_back"
    NOTIFY = "notify"
    HAND_OVER = "hand_over"
    ROLE = "role"
    NEW_CASE = "new_case"
    PIN = "pin"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to keep: see `edge_app.store.crew.CrewEntry`."""

    study_uid: str
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Desk:
    """The screen's own state. The first five outlive it."""

    language: str = "en"
    theme: str = "night"
    role: str = ""
    curtain: bool = False
    """Identity is hidden (R81)."""
    locked: bool = False
    sheet: Sheet = Sheet.NONE
    pending: str = ""
    """The tap that waits for a role."""
    draft: datetime | None = None
    """Last known well as it is being entered; None with the sheet open means unknown."""
    pin: str = ""
    wrong_pin: bool = False
    heat_map: bool = False
    full: bool = False
    """The image takes the whole height (R49)."""
    clean_until_s: float | None = None
    touched_s: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The desk after a tap, and what is to be kept."""

    desk: Desk
    entries: tuple[Entry, ...] = ()
    save_card: bool = False


@dataclass(frozen=True, slots=True)
class _Tap:
    desk: Desk
    study: StudyView | None
    now: Moment
    site: ScreenSettings
    value: str

    def keep(self, kind: str, **body: Any) -> Entry:
        uid = self.study.study_uid if self.study else ""
        revision = self.study.result.revision if self.study and self.study.result else 0
        return Entry(uid, kind, {**body, "by": self.desk.role, "revision": revision})


def desk_from(kept: Mapping[str, Any], site: ScreenSettings) -> Desk:
    """Return the desk as a killed screen left it, or as the settings say."""
    language, theme, role = kept.get("language"), kept.get("theme"), kept.get("role")
    return Desk(
        language=language if language in LANGUAGES else site.language,
        theme=theme if theme in ("day", "night") else site.theme,
        role=role if role in ROLES else "",
        curtain=bool(kept.get("curtain")),
        locked=bool(kept.get("locked")),
    )


def is_active(study: StudyView | None, now: Moment) -> bool:
    """Return whether a case is so fresh that nothing may stand between it and the crew."""
    return study is not None and study.last_image_s is not None and now.monotonic_s - study.last_image_s < CASE_ACTIVE_S


def tap(desk: Desk, action: str, study: StudyView | None, now: Moment, site: ScreenSettings) -> Step:
    """Return what a tap does. A tap that makes no sense now (its button is gone) does nothing."""
    desk = replace(desk, touched_s=now.monotonic_s)
    name, _, value = action.partition(":")
    answer = _ANSWERS.get(name)
    if answer is None or (name in _OF_A_CASE and study is None):
        return Step(desk)
    if name in _OF_A_ROLE and not desk.role:
        return Step(replace(desk, sheet=Sheet.ROLE, pending=action))
    step = answer(_Tap(desk, study, now, site, value))
    return _with_kept_desk(desk, step)


def tick(desk: Desk, study: StudyView | None, now: Moment, site: ScreenSettings) -> Step:
    """Return what the passing of time does: cleaning ends, an idle screen locks, a case unlocks it."""
    after = desk
    if desk.clean_until_s is not None and now.monotonic_s >= desk.clean_until_s:
        after = replace(after, clean_until_s=None)
    if desk.touched_s is None:
        after = replace(after, touched_s=now.monotonic_s)
    if is_active(study, now):
        after = replace(after, locked=False, sheet=Sheet.NONE if after.sheet is Sheet.PIN else after.sheet)
    elif now.monotonic_s - (after.touched_s or 0.0) >= site.lock_after_s and not after.locked:
        after = replace(after, locked=True, sheet=Sheet.NONE)
    return _with_kept_desk(desk, Step(after))


def _with_kept_desk(before: Desk, step: Step) -> Step:
    """Add the entry that lets the desk outlive the screen, if that part of it has changed."""
    kept = [{name: getattr(desk, name) for name in _KEPT} for desk in (before, step.desk)]
    if kept[0] == kept[1]:
        return step
    return replace(step, entries=(*step.entries, Entry("", "desk", kept[1])))


_KEPT = ("language", "theme", "role", "curtain", "locked")


def _open(t: _Tap) -> Step:
    sheet = Sheet(t.value)
    if sheet is t.desk.sheet:
        return Step(replace(t.desk, sheet=Sheet.NONE))
    desk = replace(t.desk, sheet=sheet, pending="", pin="", wrong_pin=False)
    if sheet is Sheet.LKW:
        entered = t.study.crew.get("lkw") if t.study else None
        at = entered.body.get("at") if entered else None
        desk = replace(desk, draft=datetime.fromisoformat(at) if at else t.now.local.replace(second=0, microsecond=0))
    return Step(desk)


def _back(t: _Tap) -> Step:
    return Step(replace(t.desk, sheet=Sheet.NONE, pending="", pin="", wrong_pin=False))


def _curtain(t: _Tap) -> Step:
    return Step(replace(t.desk, curtain=not t.desk.curtain))


def _heat_map(t: _Tap) -> Step:
    return Step(replace(t.desk, heat_map=not t.desk.heat_map))


def _full(t: _Tap) -> Step:
    return Step(replace(t.desk, full=not t.desk.full, sheet=Sheet.NONE))


def _language(t: _Tap) -> Step:
    following = LANGUAGES[(LANGUAGES.index(t.desk.language) + 1) % len(LANGUAGES)]
    return Step(replace(t.desk, language=following))


def _theme(t: _Tap) -> Step:
    return Step(replace(t.desk, theme="day" if t.desk.theme == "night" else "night"))


def _clean(t: _Tap) -> Step:
    return Step(replace(t.desk, sheet=Sheet.NONE, clean_until_s=t.now.monotonic_s + CLEAN_S))


def _lock(t: _Tap) -> Step:
    if is_active(t.study, t.now):
        return Step(t.desk)
    return Step(replace(t.desk, locked=True, sheet=Sheet.NONE))


def _pin(t: _Tap) -> Step:
    if t.value == "delete":
        return Step(replace(t.desk, pin=t.desk.pin[:-1], wrong_pin=False))
    if t.value == "unlock" and t.desk.pin != t.site.pin:
        return Step(replace(t.desk, pin="", wrong_pin=True), (Entry("", "pin_refused", {}),))
    if t.value in ("unlock", "break_glass"):
        return Step(replace(t.desk, locked=False, sheet=Sheet.NONE, pin=""), (Entry("", "unlocked", {"how": t.value}),))
    return Step(replace(t.desk, pin=(t.desk.pin + t.value)[:_PIN_DIGITS], wrong_pin=False))


def _unlock(t: _Tap) -> Step:
    if t.site.pin:
        return Step(replace(t.desk, sheet=Sheet.PIN, pin="", wrong_pin=False))
    return Step(replace(t.desk, locked=False), (Entry("", "unlocked", {"how": "tap"}),))


def _role(t: _Tap) -> Step:
    pending = t.desk.pending
    desk = replace(t.desk, role=t.value if t.value in ROLES else "", sheet=Sheet.NONE, pending="")
    return tap(desk, pending, t.study, t.now, t.site) if pending and desk.role else Step(desk)


def _confirm(t: _Tap) -> Step:
    patient = t.study.patient if t.study else {}
    who = {key: patient.get(key) for key in ("name", "id", "birth_date")}
    return Step(replace(t.desk, sheet=Sheet.NONE), (t.keep("identity", **who),))


def _lkw(t: _Tap) -> Step:
    if t.value == "read_back":
        return Step(replace(t.desk, sheet=Sheet.LKW_READ_BACK))
    if t.value == "unknown":
        return Step(replace(t.desk, draft=None, sheet=Sheet.LKW_READ_BACK))
    if t.value == "keep":
        old = t.study.crew.get("lkw") if t.study else None
        at = t.desk.draft.isoformat() if t.desk.draft else None
        entry = t.keep("lkw", at=at, unknown=at is None, old=old.body.get("at") if old else None)
        return Step(replace(t.desk, sheet=Sheet.NONE), (entry,))
    start = t.desk.draft or t.now.local.replace(second=0, microsecond=0)
    # Nobody was last well in the future.
    return Step(replace(t.desk, draft=min(start + timedelta(minutes=int(t.value)), t.now.local)))


def _opinion(t: _Tap) -> Step:
    return Step(t.desk, (t.keep("opinion", opinion=t.value),))


def _impression(t: _Tap) -> Step:
    return Step(t.desk, (t.keep("impression", impression=t.value),))


def _notify(t: _Tap) -> Step:
    if t.value == "send":
        return Step(t.desk, (t.keep("notify", recipient=t.site.centre),))
    return Step(replace(t.desk, sheet=Sheet.NONE), (t.keep("acknowledged"),))


def _save(t: _Tap) -> Step:
    return Step(t.desk, (t.keep("hand_over"),), save_card=True)


def _new_case(t: _Tap) -> Step:
    return Step(replace(t.desk, sheet=Sheet.NONE), (t.keep("closed"),))


_ANSWERS: dict[str, Callable[[_Tap], Step]] = {
    "open": _open, "back": _back, "theme": _theme, "language": _language, "curtain": _curtain,
    "heat_map": _heat_map, "full": _full, "clean": _clean, "lock": _lock, "unlock": _unlock, "pin": _pin, "role": _role,
    "confirm": _confirm, "lkw": _lkw, "opinion": _opinion, "impression": _impression, "notify": _notify,
    "save": _save, "new_case": _new_case,
}  # fmt: skip

_OF_A_CASE = frozenset({"confirm", "lkw", "opinion", "impression", "notify", "save", "new_case"})
_OF_A_ROLE = frozenset({"confirm", "opinion", "impression", "notify"})
"""What is kept with the role of who did it."""
