"""What the crew enters about a case: who it is, last known well, opinions, notifying, handing over. No Qt."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from edge_app.store.choices import SERIES_CHOSEN
from edge_app.ui.desk import SOURCES, Entry, Sheet, Step, Tap

__all__ = [
    "announce",
    "confirm",
    "impression",
    "lkw",
    "new_case",
    "notify",
    "opinion",
    "save",
    "scan_wristband",
    "second_reading",
    "series",
]


def confirm(t: Tap) -> Step:
    """Keep that this is the patient, and whom that was."""
    return _confirmed(t, "crew")


def scan_wristband(t: Tap) -> Step:
    """Compare what a reader read from the wristband with the scanner's patient (R59)."""
    patient = t.study.patient if t.study else {}
    if t.value and t.value in (str(patient.get("id") or ""), str(patient.get("accession") or "")):
        return _confirmed(t, "wristband")
    return Step(replace(t.desk, sheet=Sheet.CONFIRM, scanned=t.value), (t.keep("identity_differs", scanned=t.value),))


def _confirmed(t: Tap, how: str) -> Step:
    patient = t.study.patient if t.study else {}
    who = {key: patient.get(key) for key in ("name", "id", "birth_date")}
    return Step(replace(t.desk, sheet=Sheet.NONE, scanned=""), (t.keep("identity", **who, how=how),))


def lkw(t: Tap) -> Step:
    """Enter last known well: steps, read-back with who said so, and after a result a second confirmation (R55)."""
    if t.study is None and t.desk.sheet not in (Sheet.LKW, Sheet.LKW_READ_BACK):
        return Step(t.desk)
    verb, _, source = t.value.partition(":")
    if verb == "read_back":
        return Step(replace(t.desk, sheet=Sheet.LKW_READ_BACK))
    if verb == "unknown":
        return Step(replace(t.desk, draft=None, sheet=Sheet.LKW_READ_BACK))
    if verb == "keep":
        source = source if source in SOURCES else ""
        old = t.last_known_well
        if old is not None and t.study and t.study.result and t.desk.sheet is not Sheet.LKW_AFTER_RESULT:
            return Step(replace(t.desk, sheet=Sheet.LKW_AFTER_RESULT, source=source))
        at = t.desk.draft.isoformat() if t.desk.draft else None
        entry = t.keep(
            "lkw",
            at=at,
            unknown=at is None,
            source=source or t.desk.source,
            old=old.body.get("at") if old else None,
            changed=old is not None,
        )
        return Step(replace(t.desk, sheet=Sheet.NONE, source=""), (entry,))
    start = t.desk.draft or t.now.local.replace(second=0, microsecond=0)
    # Nobody was last well in the future.
    return Step(replace(t.desk, draft=min(start + timedelta(minutes=int(verb)), t.now.local)))


def opinion(t: Tap) -> Step:
    """Keep whether the crew agrees with the AI (R36)."""
    return Step(t.desk, (t.keep("opinion", opinion=t.value),))


def impression(t: Tap) -> Step:
    """Keep what the crew saw before the AI's result was shown (R35)."""
    return Step(t.desk, (t.keep("impression", impression=t.value),))


def second_reading(t: Tap) -> Step:
    """Keep what the neurologist at the other end sees (R79), as `edge_app.store.statements` knows it."""
    uid = t.study.study_uid if t.study else ""
    revision = t.study.result.revision if t.study and t.study.result else 0
    body = {"reading": t.value, "by": "neurologist", "name": "", "revision": revision, "source": "screen"}
    entry = Entry(uid, "second_reading", {**body, "entered_by": t.desk.role})
    return Step(replace(t.desk, sheet=Sheet.NONE), (entry,))


def series(t: Tap) -> Step:
    """Ask for another series to be analysed; the worker takes it from there (`edge_app.store.choices`)."""
    options = t.study.result.series if t.study and t.study.result else ()
    if not any(option.series_uid == t.value and option.choosable and not option.analysed for option in options):
        return Step(replace(t.desk, sheet=Sheet.NONE))
    return Step(replace(t.desk, sheet=Sheet.NONE), (t.keep(SERIES_CHOSEN, series_uid=t.value),))


def notify(t: Tap) -> Step:
    """Ask for the centre's attention, or note that it has answered by telephone."""
    if t.value == "send":
        return Step(t.desk, (t.keep("notify", recipient=t.site.centre),))
    return Step(replace(t.desk, sheet=Sheet.NONE), (t.keep("acknowledged"),))


def save(t: Tap) -> Step:
    """Save the hand-over card."""
    return Step(t.desk, (t.keep("hand_over"),), save_card=True)


def announce(t: Tap) -> Step:
    """Say that a patient is on board whose scan will come, and enter last known well; or that there is none."""
    if t.value == "over":
        return Step(t.desk, (Entry("", "announced", {"over": True, "by": t.desk.role}),))
    start = t.now.local.replace(second=0, microsecond=0)
    desk = replace(t.desk, sheet=Sheet.LKW, draft=start)
    return Step(desk, (Entry("", "announced", {"over": False, "by": t.desk.role}),))


def new_case(t: Tap) -> Step:
    """End the case: the screen waits for the next one, or for more images of this one."""
    last_instance_id = t.study.last_instance_id if t.study else 0
    return Step(replace(t.desk, sheet=Sheet.NONE, full=False), (t.keep("closed", last_instance_id=last_instance_id),))
