"""A store in each of the screen's states, the same every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from edge_app.core.clock import monotonic_s
from edge_app.core.reasons import FALLBACK_REMARK, reason
from edge_app.core.types import Reason, SeriesOption, StudyStatus, Verdict
from edge_app.store.crew import note_crew
from edge_app.store.ledger import Ledger
from edge_app.store.orders import Order, OrderMatch, put_match
from edge_app.store.paths import StorePaths
from edge_app.store.statements import correct_identity
from edge_app.triage.decision import ISCHAEMIA_TOO
from edge_app.ui.desk import CASE_ACTIVE_S
from edge_app.ui.facts import START_GRACE_S, Moment
from tests.ui.staging import NOW, PATIENTS, Scene, beat, leave_model


def _none(ledger: Ledger) -> None:
    """No study yet."""


def _result(label: str, verdict: Verdict | None, *reasons: Reason, **more: object) -> Callable[[Ledger], None]:
    def build(ledger: Ledger) -> None:
        Scene(ledger, label).receive().conclude(verdict, reasons, **more)  # type: ignore[arg-type]

    return build


def _receiving(ledger: Ledger) -> None:
    Scene(ledger).receive(21, "open").note(StudyStatus.RECEIVING, analysed=18, expected=32)


def _stalled(ledger: Ledger) -> None:
    Scene(ledger).receive(17, "aborted").note(StudyStatus.RECEIVING, analysed=17)


def _analysing(ledger: Ledger) -> None:
    Scene(ledger).receive().note(StudyStatus.ANALYSING, analysed=24)


def _changed(ledger: Ledger) -> None:
    scene = Scene(ledger).receive(24).conclude(Verdict.HEMORRHAGE)
    scene.receive(2).note(StudyStatus.RECEIVING, analysed=24)


def _checking(ledger: Ledger) -> None:
    scene = Scene(ledger).receive()
    scene.note(StudyStatus.ANALYSING, analysed=scene.sent)


def _history(ledger: Ledger) -> None:
    """Leave an older case, so that this device knows how long a result takes."""
    Scene(ledger, "negative", number=8).receive().conclude(Verdict.NONE_DETECTED)
    _analysing(ledger)


def _order(ledger: Ledger) -> None:
    """Leave a case whose order names another birth date."""
    scene = Scene(ledger).receive().conclude(Verdict.HEMORRHAGE)
    patient = PATIENTS["hemorrhage"]
    order = Order(
        "S1", patient["accession"], patient["id"], patient["name"], "19510420", "F", "", "Head CT", "20260314140000"
    )
    put_match(ledger, scene.study_uid, OrderMatch(order, "accession", ("patient_birth_date",)))


def _other_series(verdict: Verdict | None, *reasons: Reason) -> Callable[[Ledger], None]:
    """Leave a case of which the scanner made three series."""

    def build(ledger: Ledger) -> None:
        scene = Scene(ledger).receive()
        options = tuple(
            SeriesOption(f"{scene.series_uid}{n}", 3 + n, "", kernel, images, spacing, spacing, n == 0, n < 2, why)
            for n, (kernel, images, spacing, why) in enumerate(
                (
                    ("H30s", 30, 5.0, "nearest"),
                    ("H31s", 120, 1.25, "spacing_outside"),
                    ("H70h", 30, 5.0, "sharp_kernel"),
                )
            )
        )
        status = StudyStatus.RESULT if verdict else StudyStatus.NO_RESULT
        scene.conclude(verdict, reasons, status=status, series=options)

    return build


def _read_by_neurologist(label: str, verdict: Verdict, reading: str) -> Callable[[Ledger], None]:
    def build(ledger: Ledger) -> None:
        scene = Scene(ledger, label).receive().conclude(verdict)
        note_crew(ledger, scene.study_uid, "second_reading", {"reading": reading, "by": "nurse", "revision": 1})

    return build


def _crew(label: str, verdict: Verdict, since_min: int = 64) -> Callable[[Ledger], None]:
    """Leave a case in which the crew has done everything."""

    def build(ledger: Ledger) -> None:
        scene = Scene(ledger, label).receive().conclude(verdict)
        at = (NOW - timedelta(minutes=since_min)).isoformat()
        for kind, body in (
            ("identity", {"by": "nurse"}),
            ("lkw", {"at": at, "unknown": False, "source": "witness", "by": "nurse"}),
            ("reviewed", {"how": "key_slices", "by": "doctor"}),
            ("opinion", {"opinion": "agree", "by": "doctor", "revision": 1}),
            ("notify", {"recipient": "", "by": "nurse", "revision": 1}),
            ("acknowledged", {"by": "nurse"}),
            ("second_reading", {"reading": "seen", "by": "neurologist", "name": "", "entered_by": "nurse"}),
        ):
            note_crew(ledger, scene.study_uid, kind, body)

    return build


def _corrected(ledger: Ledger) -> None:
    scene = Scene(ledger, "hemorrhage").receive().conclude(Verdict.HEMORRHAGE)
    correct_identity(ledger, scene.study_uid, patient_id="4799-01", by="nurse")


def _locked(ledger: Ledger) -> None:
    note_crew(ledger, "", "desk", {"locked": True})


def _locked_over_a_case(ledger: Ledger) -> None:
    Scene(ledger).receive().conclude(Verdict.HEMORRHAGE)
    _locked(ledger)


def _announced(ledger: Ledger) -> None:
    note_crew(ledger, "", "announced", {"over": False, "by": "nurse"})
    at = (NOW - timedelta(minutes=40)).isoformat()
    note_crew(ledger, "", "lkw", {"at": at, "unknown": False, "source": "witness", "by": "nurse"})


def _announced_and_scanned(ledger: Ledger) -> None:
    _announced(ledger)
    Scene(ledger).receive(21, "open").note(StudyStatus.RECEIVING, analysed=18)


def _all_bands(ledger: Ledger) -> None:
    remark = f"{FALLBACK_REMARK}: no passport"
    Scene(ledger, "ischemic").receive().conclude(Verdict.ISCHEMIC, quality=(remark,), development_key=True)


def _nameless(ledger: Ledger) -> None:
    Scene(ledger, patient={"name": "EMERGENCY^7", "id": "", "birth_date": "", "sex": ""}).receive().conclude(
        Verdict.HEMORRHAGE
    )


def _two_cases(ledger: Ledger) -> None:
    Scene(ledger).receive().conclude(Verdict.HEMORRHAGE)
    Scene(ledger, "negative", number=2).receive(9, "open").note(StudyStatus.RECEIVING, analysed=4)


_HAEMORRHAGE = _result("hemorrhage", Verdict.HEMORRHAGE)


@dataclass(frozen=True)
class Setup:
    """What is in the store, how the processes are, when it is looked at, what the site has set, and what is tapped."""

    make: Callable[[Ledger], None] = _none
    processes: dict[str, object] = field(default_factory=dict)
    late_s: float = START_GRACE_S + 5.0
    """Long enough after the screen's start that a silent process counts as dead and not as starting."""
    local: datetime = NOW
    site: dict[str, object] = field(default_factory=dict)
    taps: tuple[str, ...] = ()


_DOCTOR = ("role:doctor",)

REFUSAL = (
    "settings file /etc/msu-triage/settings.toml: key 'receiver.tls_port' = 70000: "
    "Input should be less than or equal to 65535"
)

STATES: dict[str, Setup] = {
    "starting": Setup(processes={"receive": False, "work": False, "deliver": False}, late_s=1.0),
    "ready": Setup(),
    "disk_low": Setup(processes={"free_gb": 90}),
    "disk_full": Setup(processes={"low_disk": True}),
    "model_missing": Setup(processes={"problem": "E-101 bundle missing", "synthetic": False}),
    "degraded": Setup(processes={"fallback": "no engine"}),
    "scanner_silent": Setup(late_s=754.0),
    "clock_bad": Setup(local=NOW.replace(year=2000)),
    "self_test": Setup(processes={"unfit": ("F-02",)}),
    "not_fit": Setup(processes={"unfit": ("F-09",)}),
    "locked": Setup(_locked),
    "receiver_stopped": Setup(processes={"receive": None}),
    "receiver_refused": Setup(
        processes={
            "receive": None,
            "refused": REFUSAL,
        }
    ),
    "receiving": Setup(_receiving),
    "stalled": Setup(_stalled),
    "analysing": Setup(_history),
    "checking": Setup(_checking),
    "ai_stopped": Setup(_receiving, {"work": None}),
    "changed": Setup(_changed),
    "haemorrhage": Setup(_HAEMORRHAGE),
    "haemorrhage_and_signs": Setup(_result("hemorrhage", Verdict.HEMORRHAGE, quality=(ISCHAEMIA_TOO,))),
    "ischaemic": Setup(_result("ischemic", Verdict.ISCHEMIC)),
    "none_detected": Setup(_result("negative", Verdict.NONE_DETECTED)),
    "read_first": Setup(_result("negative", Verdict.NONE_DETECTED), site={"read_first": True}),
    "indeterminate": Setup(_result("hemorrhage", Verdict.INDETERMINATE, reason("Q-19", "haemorrhage"))),
    "indeterminate_quality": Setup(
        _result("hemorrhage", Verdict.INDETERMINATE, reason("Q-20", "distance 4.1 above 2.5"))
    ),
    "no_ai_result": Setup(_result("hemorrhage", None, reason("Q-02", "after slice 14"), status=StudyStatus.NO_RESULT)),
    "failed": Setup(_result("hemorrhage", None, reason("E-104"), status=StudyStatus.FAILED)),
}
"""One scene for each state, and some for states with two faces."""

SHEETS: dict[str, Setup] = {
    "crew_done": Setup(_crew("hemorrhage", Verdict.HEMORRHAGE)),
    "window_ends": Setup(_crew("hemorrhage", Verdict.HEMORRHAGE, 250)),
    "window_passed": Setup(_crew("negative", Verdict.NONE_DETECTED, 300)),
    "contradicted": Setup(_read_by_neurologist("hemorrhage", Verdict.HEMORRHAGE, "not_seen")),
    "contradicted_none": Setup(_read_by_neurologist("negative", Verdict.NONE_DETECTED, "seen")),
    "order_differs": Setup(_order, taps=("open:confirm",)),
    "wristband_differs": Setup(_HAEMORRHAGE, taps=(*_DOCTOR, "open:confirm", "line:4799-01")),
    "identity_corrected": Setup(_corrected),
    "sending_stopped": Setup(_HAEMORRHAGE, {"deliver": None}),
    "muted": Setup(_HAEMORRHAGE, {"link": "down"}, taps=("mute",)),
    "all_bands": Setup(_all_bands),
    "all_bands_sheet": Setup(_all_bands, taps=(*_DOCTOR, "open:notify")),
    "all_bands_cases": Setup(_all_bands, taps=("full", "cases")),
    "nameless": Setup(_nameless),
    "curtain": Setup(_HAEMORRHAGE, taps=("curtain",)),
    "heat_map": Setup(_HAEMORRHAGE, taps=("heat_map",)),
    "full": Setup(_HAEMORRHAGE, taps=("full",)),
    "previous": Setup(_two_cases, taps=("case:1",)),
    "cases": Setup(_two_cases, taps=("cases",)),
    "menu": Setup(_HAEMORRHAGE, taps=(*_DOCTOR, "open:menu")),
    "about": Setup(_HAEMORRHAGE, taps=("open:about",)),
    "confirm": Setup(_HAEMORRHAGE, taps=("open:confirm",)),
    "lkw": Setup(_HAEMORRHAGE, taps=("open:lkw", "lkw:-60")),
    "lkw_read_back": Setup(_crew("hemorrhage", Verdict.HEMORRHAGE), taps=("open:lkw", "lkw:-10", "lkw:read_back")),
    "lkw_after_result": Setup(
        _crew("hemorrhage", Verdict.HEMORRHAGE),
        taps=(*_DOCTOR, "open:lkw", "lkw:-10", "lkw:read_back", "lkw:keep:witness"),
    ),
    "awaited": Setup(_announced),
    "awaited_arrives": Setup(_announced_and_scanned),
    "series": Setup(_other_series(Verdict.HEMORRHAGE), taps=("open:series",)),
    "no_ai_result_series": Setup(_other_series(None, reason("Q-03"))),
    "second_reading": Setup(_HAEMORRHAGE, taps=("open:second_reading",)),
    "notify": Setup(_HAEMORRHAGE, taps=(*_DOCTOR, "open:notify")),
    "notified": Setup(_crew("hemorrhage", Verdict.HEMORRHAGE), taps=("open:notify",)),
    "hand_over": Setup(_crew("hemorrhage", Verdict.HEMORRHAGE), taps=("open:hand_over",)),
    "role": Setup(_HAEMORRHAGE, taps=("opinion:agree",)),
    "new_case": Setup(_HAEMORRHAGE, taps=("open:new_case",)),
    "locked_over_a_case": Setup(_locked_over_a_case, late_s=CASE_ACTIVE_S + 1),
    "locked_model_missing": Setup(_locked, {"problem": "E-101 bundle missing", "synthetic": False}),
    "badge": Setup(_locked, site={"badges": ("ab" * 32,)}, taps=("unlock",)),
    "pin": Setup(_locked, site={"pin": "4711"}, taps=("unlock", "pin:4", "pin:7")),
    "clean": Setup(_HAEMORRHAGE, taps=("clean",)),
}
"""What the crew can open over them."""

SCENES: dict[str, Setup] = {**STATES, **SHEETS}


def build(name: str, root: Path) -> tuple[StorePaths, Moment]:
    """Write a scene's store; return its paths and the moment at which it is to be looked at."""
    paths = StorePaths(root)
    setup = SCENES[name]
    with Ledger(paths, "work") as ledger:
        setup.make(ledger)
    leave_model(paths)
    moment = Moment(monotonic_s() + setup.late_s, setup.local)
    beat(paths, moment.monotonic_s, **setup.processes)  # type: ignore[arg-type]
    return paths, moment
