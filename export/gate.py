"""The accuracy gate: whether a network may answer in place of the FP32 one.

The same rules for a quantised ONNX file in ONNX Runtime (`calibration`) and for an engine on the device
(`export.engine`): no patient leaves haemorrhage, at most 0.5 % of the decisions flip, every number is finite, and no
probability moves further than the limit. The limits are engineering defaults; the clinical owner sets them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import BackendError
from edge_app.core.types import CLASSES, SliceScores, Verdict
from edge_app.inference.backend import Backend
from edge_app.inference.manifest import Labels, Manifest
from edge_app.inference.predict import BATCH, ImagePredictor, PatientPredictor, calls
from edge_app.triage.decision import decide
from export.golden import GoldenSet

__all__ = ["GateLimits", "GateReport", "GoldenScores", "compare", "judge", "score_patients", "score_slices"]

_HEMORRHAGE = CLASSES.index("hemorrhage")


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What a changed network may do at most."""

    max_flip_fraction: float = 0.005
    """Share of slices, and of patients, of which another class, or another set of findings, may be said."""
    max_patient_change: float = 0.05
    """Largest change of a patient's calibrated probability."""
    max_slice_change: float = 0.20
    """Largest change of a slice's probability; many slices stand behind one patient."""


@dataclass(frozen=True, eq=False, slots=True)
class GoldenScores:
    """Answers for a golden set: `slices` (N, 3), `features` (N, F), `patients` (P, 3) probabilities, verdicts.

    `labels` say whether classes exclude each other, of the slices and of the patients.
    """

    slices: NDArray[np.float64]
    features: NDArray[np.float64]
    patients: NDArray[np.float64]
    verdicts: tuple[Verdict, ...]
    labels: tuple[Labels, Labels] = ("softmax", "softmax")

    def slice_calls(self) -> NDArray[np.bool_]:
        """Return (N, 3), which classes are said of each slice."""
        return calls(self.slices, self.labels[0])

    def patient_calls(self) -> NDArray[np.bool_]:
        """Return (P, 3), which classes are said of each patient."""
        return calls(self.patients, self.labels[1])


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate found; `failures` is empty if it let the network pass."""

    failures: tuple[str, ...]
    measured: dict[str, float]
    limits: dict[str, float]

    @property
    def passed(self) -> bool:
        """Return whether the network may be used."""
        return not self.failures


def score_slices(
    golden: GoldenSet, backend: Backend, manifest: Manifest, *, on_slice: Callable[[int, int], None] | None = None
) -> list[SliceScores]:
    """Run the image network over the set, as the vehicle does.

    Raises
    ------
    BackendError
        If it fails or answers with NaN or infinity.
    """
    predictor = ImagePredictor(backend, manifest)
    scores: list[SliceScores] = []
    for first in range(0, len(golden.images), BATCH):
        part = golden.images[first : first + BATCH]
        scores += predictor.predict(part, [f"golden.{first + i}" for i in range(len(part))])
        if on_slice is not None:
            on_slice(len(scores), len(golden.images))
    return scores


def score_patients(
    golden: GoldenSet, slices: Sequence[SliceScores], backend: Backend, manifest: Manifest
) -> GoldenScores:
    """Run the patient network over the scores of the set's slices.

    Raises
    ------
    BackendError
        If it fails or answers with NaN or infinity.
    """
    predictor = PatientPredictor(backend, manifest)
    patients, verdicts = [], []
    for indices in golden.slices_of():
        answer = predictor.predict([slices[i] for i in indices], [float(golden.position_mm[i]) for i in indices])
        patients.append([answer.probabilities[name] for name in CLASSES])
        decision = decide(
            answer.probabilities,
            manifest.operating_points,
            distance=answer.distance,
            distance_threshold=manifest.patient.distance_threshold,
            ischaemia_output="on",
        )
        verdicts.append(decision.verdict)
    return GoldenScores(
        np.stack([score.probabilities for score in slices]),
        np.stack([score.features for score in slices]).astype(np.float64),
        np.asarray(patients),
        tuple(verdicts),
        (manifest.image.labels, manifest.patient.labels),
    )


def judge(reference: GoldenScores, answer: Callable[[], GoldenScores], limits: GateLimits | None = None) -> GateReport:
    """Judge a network; one that fails, or answers with NaN or infinity, is refused and not an error.

    Parameters
    ----------
    reference
        Answers of the FP32 networks in ONNX Runtime.
    answer
        Gives the answers of the network to be judged.
    limits
        Defaults if None.
    """
    limits = limits or GateLimits()
    try:
        return compare(reference, answer(), limits)
    except BackendError as error:
        return GateReport((error.message,), {}, asdict(limits))


def compare(reference: GoldenScores, candidate: GoldenScores, limits: GateLimits) -> GateReport:
    """Compare two sets of answers."""
    slice_flips = (reference.slice_calls() != candidate.slice_calls()).any(axis=1)
    patient_flips = (reference.patient_calls() != candidate.patient_calls()).any(axis=1)
    lost = _left_hemorrhage(reference, candidate)
    measured = {
        "slices": float(len(reference.slices)),
        "patients": float(len(reference.patients)),
        "slice_flip_fraction": float(slice_flips.mean()),
        "patient_flip_fraction": float(patient_flips.mean()),
        "verdict_changes": float(sum(a is not b for a, b in zip(reference.verdicts, candidate.verdicts, strict=True))),
        "left_hemorrhage": float(lost.sum()),
        "max_slice_change": float(np.abs(reference.slices - candidate.slices).max()),
        "mean_slice_change": float(np.abs(reference.slices - candidate.slices).mean()),
        "max_patient_change": float(np.abs(reference.patients - candidate.patients).max()),
        "min_feature_cosine": float(_cosines(reference.features, candidate.features).min()),
    }
    failures = []
    if not all(np.isfinite(value) for value in measured.values()):
        failures.append("answers hold NaN or infinity")
    if not _calls_hemorrhage(reference).any():
        failures.append("the FP32 network finds no haemorrhage in the golden set: it proves nothing")
    if lost.any():
        failures.append(f"{int(lost.sum())} of {len(lost)} patients left haemorrhage")
    for name, what in (("slice_flip_fraction", "slices"), ("patient_flip_fraction", "patients")):
        if measured[name] > limits.max_flip_fraction:
            failures.append(f"{measured[name]:.2%} of the {what} changed class, {limits.max_flip_fraction:.2%} may")
    for name, limit in (
        ("max_patient_change", limits.max_patient_change),
        ("max_slice_change", limits.max_slice_change),
    ):
        if measured[name] > limit:
            failures.append(f"{name.replace('_', ' ')} of probability {measured[name]:.4f} is above {limit}")
    return GateReport(tuple(failures), measured, asdict(limits))


def _calls_hemorrhage(scores: GoldenScores) -> NDArray[np.bool_]:
    said = np.array([verdict is Verdict.HEMORRHAGE for verdict in scores.verdicts])
    return np.asarray(said | scores.patient_calls()[:, _HEMORRHAGE])


def _left_hemorrhage(reference: GoldenScores, candidate: GoldenScores) -> NDArray[np.bool_]:
    """Return the patients that the probabilities or the words on the screen took out of haemorrhage."""
    by_class = reference.patient_calls()[:, _HEMORRHAGE] & ~candidate.patient_calls()[:, _HEMORRHAGE]
    by_verdict = np.array(
        [a is Verdict.HEMORRHAGE and b is not a for a, b in zip(reference.verdicts, candidate.verdicts, strict=True)]
    )
    return np.asarray(by_class | by_verdict)


def _cosines(reference: NDArray[np.float64], candidate: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(reference, axis=1) * np.linalg.norm(candidate, axis=1)
    return np.asarray((reference * candidate).sum(axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny))
