"""Whether a bundle's networks answer on this machine, with its engines, as they did where the bundle was made.

`msu bundle make` keeps the FP32 answers for the golden set beside it. Before a bundle is taken up, the vehicle asks the
same of its own backend. This finds what is broken; whether the model is any good was judged where it was made.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from edge_app.core.errors import BundleError
from edge_app.core.types import CLASSES, Verdict
from edge_app.inference.bundle import Bundle
from edge_app.inference.passport import GOLDEN_ANSWERS_FILE, GOLDEN_FILE
from edge_app.inference.predict import PatientScores
from edge_app.triage.decision import decide
from edge_app.worker.models import Models

__all__ = ["MAX_CHANGE", "check_golden_answers"]

MAX_CHANGE = 0.05
"""Largest change of a patient's probability, as in the gate that engines pass (`export.gate.GateLimits`)."""

SLICES = 8
"""Slices of the blank study that stands in where a bundle has no golden set."""

_REMEDY = "What ran before goes on. Try it on a bench unit: `msu bundle verify`."


def check_golden_answers(
    bundle: Bundle, models: Models, *, patients: int | None = None, alive: Callable[[], None] | None = None
) -> str:
    """Run the golden set and compare; return what was found, in words.

    Parameters
    ----------
    patients
        At most so many, those with haemorrhage first; None for all.
    alive
        Called after each slice.

    Raises
    ------
    BundleError
        If a network fails, or an answer is another one.
    """
    files = bundle.manifest.files
    if GOLDEN_FILE not in files or GOLDEN_ANSWERS_FILE not in files:
        _blank(models)
        return "no golden answers in the bundle; both networks run"
    images, patient, position_mm, wanted = _read(bundle)
    order = sorted(range(len(wanted)), key=lambda one: wanted[one]["verdict"] != Verdict.HEMORRHAGE.value)
    chosen = order[:patients]
    worst = 0.0
    for number in chosen:
        members = np.flatnonzero(patient == number)
        scores = []
        for member in members:
            scores += models.image.predict(images[member : member + 1], [f"golden.{member}"])
            if alive is not None:
                alive()
        answer = models.patient.predict(scores, [float(position_mm[member]) for member in members])
        worst = max(worst, _compare(bundle, number, answer, wanted[number]))
    return f"{len(chosen)} golden patients answered as they should, probabilities within {worst:.4f}"


def _compare(bundle: Bundle, number: int, answer: PatientScores, wanted: dict[str, object]) -> float:
    manifest = bundle.manifest
    changes = [abs(answer.probabilities[name] - float(wanted["probabilities"][name])) for name in CLASSES]  # type: ignore[index]
    change = float(np.max(changes))  # unlike Python's own, it does not drop a NaN
    decision = decide(
        answer.probabilities,
        manifest.operating_points,
        distance=answer.distance,
        distance_threshold=manifest.patient.distance_threshold,
        ischaemia_output="on",
    )
    left = wanted["verdict"] == Verdict.HEMORRHAGE.value and decision.verdict is not Verdict.HEMORRHAGE
    if left or not change <= MAX_CHANGE:
        raise BundleError(
            f"bundle {manifest.name} {manifest.version}: golden patient {number} is {decision.verdict.value} here, "
            f"{wanted['verdict']} where it was made; a probability differs by {change:.3f}",
            remedy=_REMEDY,
        )
    return change


def _read(bundle: Bundle) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, object]]]:
    try:
        with np.load(io.BytesIO(bundle.read(GOLDEN_FILE)), allow_pickle=False) as file:
            images, patient, position_mm = (file[name] for name in ("images", "patient", "position_mm"))
        wanted = json.loads(bundle.read(GOLDEN_ANSWERS_FILE))["patients"]
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"bundle {bundle.path}: golden set cannot be read: {error}", remedy=_REMEDY) from error
    if set(patient.tolist()) != set(range(len(wanted))):
        raise BundleError(f"bundle {bundle.path}: golden set and answers do not fit", remedy=_REMEDY)
    return images, patient, position_mm, wanted


def _blank(models: Models) -> None:
    images = np.zeros((SLICES, *models.manifest.image.input_size), np.float32)
    scores = models.image.predict(images, [f"blank.{number}" for number in range(SLICES)])
    models.patient.predict(scores, [5.0 * number for number in range(SLICES)])
