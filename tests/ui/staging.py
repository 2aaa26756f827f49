"""What a test of the screen stages: a study in a store, the processes' signs of life, what is known of the model.

Ledger and frames are as receiver and worker leave them, the same every time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import lru_cache

import numpy as np

from edge_app.core.types import ModelIdentity, Reason, SeriesOption, SliceResult, StudyResult, StudyStatus, Verdict
from edge_app.simulator.study import SyntheticStudy, make_study
from edge_app.store.associations import close_association, open_association
from edge_app.store.ledger import FrameRow, Ledger
from edge_app.store.paths import StorePaths, uid_hash
from edge_app.triage.decision import ISCHAEMIA_TOO
from edge_app.ui.facts import DEAD_AFTER_S

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
        open_association(self.ledger, name, "CT1", "MSU1", "127.0.0.1")
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
            close_association(self.ledger, name, association)
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
        if scores and ISCHAEMIA_TOO in quality:
            scores = (scores[0], 0.71)
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
            else {"negative": round(1 - max(scores), 3), "hemorrhage": scores[0], "ischemic": scores[1]},
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
            {"lo": 0.0, "hi": 0.12, "n": 310, "positives": 0},
            {"lo": 0.12, "hi": 0.62, "n": 88, "positives": 27},
            {"lo": 0.62, "hi": 1.0, "n": 412, "positives": 334},
        ],
        "heat_maps": True,
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
