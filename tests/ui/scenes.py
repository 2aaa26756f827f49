"""A store in each of the screen's states, the same every time: ledger and frames as receiver and worker leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path

import numpy as np

from edge_app.core.clock import monotonic_s
from edge_app.core.reasons import FALLBACK_REMARK, reason
from edge_app.core.types import ModelIdentity, Reason, SeriesOption, SliceResult, StudyResult, StudyStatus, Verdict
from edge_app.simulator.study import SyntheticStudy, make_study
from edge_app.store.crew import note_crew
from edge_app.store.ledger import FrameRow, Ledger
from edge_app.store.orders import Order, OrderMatch, put_match
from edge_app.store.paths import StorePaths, uid_hash
from edge_app.ui.desk import CASE_ACTIVE_S
from edge_app.ui.facts import DEAD_AFTER_S, START_GRACE_S, Moment

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
NOW = datetime(2026, 3, 14, 14, 9, 31, tzinfo=timezone.utc)
"""What the wall clock says in every scene."""
MODEL = ModelIdentity("demo", "0.1.0", "ab" * 32, synthetic=True)
PATIENTS = {
    label: {"name": name, "id": number, "birth_date": born, "sex": sex, "accession": accession}
    for label, name, number, born, sex, accession in (
        ("hemorrhage", "MUSTERMANN^ERIKA", "4711-88", "19510402", "F", "A-0917"),
        ("negative", "BEISPIEL^MAX", "4712-03", "19630911", "M", "A-0918"),
        ("ischemic", "DOE^JANE MARIE", "4713-51", "19480120", "F", "A-0919"),
    )
}


@lru_cache(maxsize=4)
def head(label: str) -> SyntheticStudy:
    """Return a synthetic head of a class, rows to the back and columns to the left."""
    return make_study({"negative": 11, "hemorrhage": 12, "ischemic": 13}[label], label, personality=_PERSONALITY)


_PERSONALITY = "mobile16"


@dataclass
class Scene:
    """Writes one study into a store, step by step."""

    ledger: Ledger
    label: str = "hemorrhage"
    number: int = 1
    sent: int = 0
    patient: dict[str, str] = field(default_factory=dict)
    study: SyntheticStudy = field(init=False)

    def __post_init__(self) -> None:
        self.study = head(self.label)

    @property
    def study_uid(self) -> str:
        return f"1.2.826.0.1.3680043.10.543.{self.number}"

    @property
    def series_uid(self) -> str:
        return f"{self.study_uid}.3"

    def sop_uid(self, index: int) -> str:
        return f"{self.series_uid}.{index + 1}"

    @property
    def count(self) -> int:
        return len(self.study.hu)

    def receive(self, count: int | None = None, association: str = "released") -> Scene:
        """Let instances arrive, with their frames, in one transaction."""
        with self.ledger.transaction():
            return self._receive(count, association)

    def _receive(self, count: int | None, association: str) -> Scene:
        paths, count = self.ledger.paths, self.count if count is None else count
        name = f"association-{self.number}-{self.sent}"
        self.ledger.open_association(name, "CT1", "MSU1", "127.0.0.1")
        for index in range(self.sent, min(self.sent + count, self.count)):
            uid = self.sop_uid(index)
            self.ledger.add_instance(
                sop_uid=uid,
                sop_class_uid=CT_IMAGE_STORAGE,
                series_uid=self.series_uid,
                study_uid=self.study_uid,
                patient_id=PATIENTS[self.label]["id"],
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                path=paths.instance(self.study_uid, uid),
                sha256=uid_hash(uid),
                size=1,
                association_id=name,
            )
            path = paths.frame(self.study_uid, uid)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, self.study.hu[index])
            self.ledger.put_frame(
                FrameRow(
                    sop_uid=uid,
                    study_uid=self.study_uid,
                    series_uid=self.series_uid,
                    position_mm=index * self.study.spacing_mm[0],
                    row_spacing_mm=self.study.spacing_mm[1],
                    column_spacing_mm=self.study.spacing_mm[2],
                    rows=self.study.hu.shape[1],
                    columns=self.study.hu.shape[2],
                    path=path.relative_to(paths.root).as_posix(),
                    problem="",
                )
            )
        self.sent = min(self.sent + count, self.count)
        if association != "open":
            self.ledger.close_association(name, association)
        return self

    def note(self, status: StudyStatus, analysed: int = 0, expected: int | None = None) -> Scene:
        """Write the study's row as the worker does."""
        scanned = NOW - timedelta(minutes=7, seconds=12)
        patient = {
            **PATIENTS[self.label],
            **self.patient,
            "age": "",
            "study_date": scanned.strftime("%Y%m%d"),
            "study_time": scanned.strftime("%H%M%S"),
            "manufacturer_model": "SIM mobile16",
            "acquired_at": scanned.strftime("%Y%m%d%H%M%S"),
            "series_number": 3,
            "kernel": "H30s",
            "slice_thickness_mm": self.study.slice_thickness_mm,
            "series_uid": self.series_uid,
        }
        progress = {
            "images": self.sent,
            "expected": expected,
            "analysed": analysed,
            "coverage_mm": self.sent * self.study.spacing_mm[0],
            "needed_mm": 110.0,
            "series_uid": self.series_uid,
        }
        self.ledger.put_study(self.study_uid, status, patient=patient, progress=progress)
        return self

    def conclude(
        self,
        verdict: Verdict | None,
        reasons: tuple[Reason, ...] = (),
        status: StudyStatus = StudyStatus.RESULT,
        synthetic: bool = True,
        development_key: bool = False,
        quality: tuple[str, ...] = (),
        series: tuple[SeriesOption, ...] = (),
    ) -> Scene:
        """Write a result, and the saliency maps of its key slices."""
        self.note(status, analysed=self.sent)
        share = (self.study.label_per_slice > 0).astype(float)
        smooth = np.convolve(share, [0.15, 0.3, 0.45, 0.3, 0.15], mode="same").clip(0.02, 0.97)
        if self.label == "negative":
            smooth = 0.03 + 0.12 * np.abs(np.sin(np.arange(self.count)))
        hemorrhage = smooth if verdict is not Verdict.ISCHEMIC else smooth * 0.1
        ischemic = smooth if verdict is Verdict.ISCHEMIC else smooth * 0.1
        slices = tuple(
            SliceResult(
                self.sop_uid(i),
                i * self.study.spacing_mm[0],
                {"negative": 0.5, "hemorrhage": float(hemorrhage[i]), "ischemic": float(ischemic[i])},
            )
            for i in range(self.sent)
        )
        scores = {
            Verdict.HEMORRHAGE: (0.87, 0.02),
            Verdict.ISCHEMIC: (0.03, 0.71),
            Verdict.NONE_DETECTED: (0.03, 0.05),
            Verdict.INDETERMINATE: (0.31, 0.05),
            None: None,
        }[verdict]
        order = np.argsort(-smooth[: self.sent], kind="stable")
        keys: list[int] = []
        for index in order:
            if len(keys) < 5 and all(abs(index - key) >= 2 for key in keys):
                keys.append(int(index))
        result = StudyResult(
            study_uid=self.study_uid,
            patient_id=PATIENTS[self.label]["id"],
            status=status,
            verdict=verdict,
            probabilities=None
            if scores is None
            else {"negative": round(1 - sum(scores), 3), "hemorrhage": scores[0], "ischemic": scores[1]},
            reasons=reasons,
            series_uid=self.series_uid,
            slices=slices,
            model=replace(MODEL, synthetic=synthetic, development_key=development_key),
            backend="ONNX Runtime CPU",
            timings_ms={"last_slice_to_result": 1234.0},
            key_slices=tuple(self.sop_uid(key) for key in keys),
            quality=quality,
            series=series,
        )
        self._leave_saliency(keys)
        self.ledger.add_result(result, last_instance_id=self.ledger.instances(study_uid=self.study_uid)[-1].id)
        return self

    def _leave_saliency(self, keys: list[int]) -> None:
        """Write maps that point at the lesion's middle, for a model input that is the slice made smaller."""
        rows, columns = self.study.hu.shape[1:]
        arrays: dict[str, np.ndarray] = {}
        for key in keys:
            name = uid_hash(self.sop_uid(key))
            y, x = np.mgrid[0:7, 0:7]
            blob = np.exp(-((x - 2.2) ** 2 + (y - 4.4) ** 2) / 1.5)
            arrays[name] = np.stack([0 * blob, blob, blob]).astype(np.float32)
            arrays[f"{name}.to_slice"] = np.array([[columns / 224, 0, 0.0], [0, rows / 224, 0.0]])
        path = self.ledger.paths.saliency(self.study_uid, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays)


def beat(
    paths: StorePaths,
    at_s: float,
    *,
    receive: bool | None = True,
    work: bool | None = True,
    problem: str = "",
    low_disk: bool = False,
    free_gb: int = 290,
    synthetic: bool = True,
    fallback: str = "",
    development_key: bool = False,
    link: str = "up",
    deliver: bool | None = True,
    refused: str = "",
    unfit: tuple[str, ...] = (),
) -> None:
    """Let the processes give a sign of life at `at_s`; None for one that died long before, False for none."""
    free = {"free_bytes": free_gb << 30, "total_bytes": 1000 << 30}
    receiver = {"aet": "MSU1", "host": "10.0.0.5", "port": 11112, **free}
    worker = {"model": asdict(replace(MODEL, synthetic=synthetic, development_key=development_key))}
    for process, lives, detail in (
        ("receive", receive, {"refused": refused} if refused else {**receiver, "low_disk": low_disk}),
        ("work", work, {**worker, "problem": problem, "fallback": fallback}),
        ("deliver", deliver, {"link": link}),
        ("watch", bool(unfit), {"findings": [{"check": "", "ok": False, "code": code} for code in unfit]}),
    ):
        if lives is False:
            continue
        with Ledger(paths, process) as ledger:
            ledger.beat(detail)
            with ledger.transaction() as db:
                beaten_s = at_s if lives else at_s - DEAD_AFTER_S - 1
                db.execute("UPDATE heartbeats SET at_s = ? WHERE process = ?", (beaten_s, process))


def leave_model(paths: StorePaths) -> None:
    """Leave what the worker leaves about the model."""
    body = {
        "card": CARD,
        "thresholds": {"hemorrhage": [0.12, 0.62], "ischemic": [0.2, 0.6]},
        "reliability": [
            {"lo": 0.0, "hi": 0.12, "n": 310, "positives": 6},
            {"lo": 0.12, "hi": 0.62, "n": 88, "positives": 27},
            {"lo": 0.62, "hi": 1.0, "n": 412, "positives": 334},
        ],
    }
    path = paths.model(MODEL.sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body))


CARD = """# demo 0.1.0 · SYNTHETIC, not for patients

Trained and judged on simulated head CT only. It knows nothing about real patients, and no number
below says anything about them.

## What it was made from

- sources: simulator
- studies per class: negative 400, hemorrhage 400, ischemic 400

## How it was judged

| data | n | accuracy (highest class) | INDETERMINATE |
|---|---|---|---|
| test | 240 | 0.963 (0.938–0.983) | 7 |

## What its numbers mean

| finding | not detected below | suspected from |
|---|---|---|
| hemorrhage | 0.120 | 0.620 |
| ischemic | 0.200 | 0.600 |

Made 2026-03-01T00:00:00Z by commit `0123456789abcdef0123456789abcdef01234567`.
"""


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
