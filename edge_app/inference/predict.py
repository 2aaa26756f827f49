"""The two steps of the model: slices to features and logits, and their sequence to one answer per patient.

Logits become probabilities here and nowhere else (`class_probabilities`, `patient_probabilities`): vehicle, export
gate, golden answers, canary and evaluation read a network alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import BackendError
from edge_app.core.types import CLASSES, FloatArray, SliceScores
from edge_app.inference.backend import Array, Backend, check_network
from edge_app.inference.manifest import IMAGE_FILE, PATIENT_FILE, Calibration, Labels, Manifest

__all__ = [
    "ImagePredictor",
    "PatientPredictor",
    "PatientScores",
    "calls",
    "class_probabilities",
    "patient_probabilities",
]

BATCH = 1
"""Slices per call of the image network.

One, always: which slices wait together depends on when they arrived, and a network may give other last bits in
another batch. R28 asks for the same bits every time. Measured on 2 cores with shufflenet_v2_x0_5, mobilenet_v3_small
and resnet18, a batch of 8 would save 0.1 to 1.3 ms a slice.
"""


@dataclass(frozen=True, eq=False, slots=True)
class PatientScores:
    """The patient-level answer.

    `probabilities` are calibrated, by class (`class_probabilities`); `attention` (T,) float32 weighs the slices, foot
    to head, with sum 1; `distance` says how unlike the training data the study is.
    """

    probabilities: dict[str, float]
    attention: FloatArray
    distance: float


class ImagePredictor:
    """Runs the image network over prepared slices.

    Raises
    ------
    BackendError
        If the network's inputs or outputs are not those the manifest describes.
    """

    def __init__(self, backend: Backend, manifest: Manifest) -> None:
        check_network(
            backend,
            {
                "image": (None, *manifest.image.input_size),
                "features": (None, manifest.image.features),
                "logits": (None, len(CLASSES)),
                "saliency": (None, len(CLASSES), None, None),
            },
            IMAGE_FILE,
        )
        self._backend = backend
        self._labels = manifest.image.labels

    def predict(self, inputs: FloatArray, sop_uids: Sequence[str]) -> list[SliceScores]:
        """Score slices.

        Parameters
        ----------
        inputs
            (N, 3, 224, 224) in [0, 1], as `edge_app.preprocessing.prepare` makes them.
        sop_uids
            SOP Instance UID of each.

        Raises
        ------
        BackendError
            If the network fails or answers with NaN or infinity.
        """
        scores: list[SliceScores] = []
        for first in range(0, len(sop_uids), BATCH):
            outputs = self._backend.run({"image": inputs[first : first + BATCH]})
            _check_finite(outputs, IMAGE_FILE)
            probabilities = class_probabilities(outputs["logits"], self._labels)
            for i, sop_uid in enumerate(sop_uids[first : first + BATCH]):
                features, logits, saliency = (outputs[name][i] for name in ("features", "logits", "saliency"))
                scores.append(SliceScores(sop_uid, features, logits, saliency, probabilities[i]))
        return scores


class PatientPredictor:
    """Runs the patient network over the scores of a study's slices.

    Raises
    ------
    BackendError
        If the network's inputs or outputs are not those the manifest describes.
    """

    def __init__(self, backend: Backend, manifest: Manifest) -> None:
        check_network(
            backend,
            {
                "features": (None, None, manifest.image.features + len(CLASSES)),
                "position_mm": (None, None),
                "mask": (None, None),
                "logits": (None, len(CLASSES)),
                "attention": (None, None),
                "distance": (None,),
            },
            PATIENT_FILE,
        )
        self._backend = backend
        self._max_slices = manifest.patient.max_slices
        self._calibration = manifest.calibration

    def predict(self, scores: Sequence[SliceScores], positions_mm: Sequence[float]) -> PatientScores:
        """Judge a study.

        Parameters
        ----------
        scores
            One per slice, foot to head, at most the model's `max_slices` (the caller thins).
        positions_mm
            Position of each along the slice normal, ascending.

        Raises
        ------
        BackendError
            If there are no or too many slices, or the network fails or answers with NaN or infinity.
        """
        if not 0 < len(scores) <= self._max_slices:
            raise BackendError(
                f"{len(scores)} slices given to the patient network, which takes 1 to {self._max_slices}",
                remedy="This is an error in the program: please report it.",
            )
        heights = np.asarray(positions_mm, np.float64) - min(positions_mm)
        outputs = self._backend.run(
            {
                "features": np.stack([np.concatenate([s.features, s.logits]) for s in scores])[None].astype(np.float32),
                "position_mm": heights[None].astype(np.float32),
                "mask": np.ones((1, len(scores)), np.float32),
            }
        )
        _check_finite(outputs, PATIENT_FILE)
        probabilities = patient_probabilities(outputs["logits"][0], self._calibration)
        return PatientScores(
            dict(zip(CLASSES, map(float, probabilities), strict=True)),
            outputs["attention"][0],
            float(outputs["distance"][0]),
        )


def class_probabilities(logits: NDArray[np.floating], labels: Labels) -> NDArray[np.float64]:
    """Return probabilities over the last axis, in `CLASSES` order.

    Parameters
    ----------
    logits
        (…, 3), finite.
    labels
        ``softmax``: classes that exclude each other, whose probabilities sum to 1. ``findings``: haemorrhage and
        ischaemic signs each for itself, as a patient may have both; they do not sum to anything.

    Notes
    -----
    With ``findings`` the network says nothing of "negative" itself. What stands in its place is the most that can be
    left for a head with neither: 1 less the likelier finding. (The product of both complements would take for granted
    that the findings are independent of each other.) So "negative" is the likeliest exactly where no finding is
    likelier than not, and 1 less it is the likelier finding.
    """
    x = np.asarray(logits, np.float64)
    if labels == "softmax":
        shifted = np.exp(x - np.max(x, axis=-1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
    found = 0.5 * (1.0 + np.tanh(0.5 * x[..., 1:]))  # the logistic function, which cannot overflow like this
    return np.concatenate([1.0 - found.max(axis=-1, keepdims=True), found], axis=-1)


def calls(probabilities: NDArray[np.floating], labels: Labels) -> NDArray[np.bool_]:
    """Return (…, 3), which classes probabilities speak for.

    With ``softmax`` the likeliest alone; with ``findings`` each finding that is likelier than not, "negative" if none.
    """
    if labels == "softmax":
        return np.asarray(np.arange(len(CLASSES)) == probabilities.argmax(axis=-1)[..., None])
    found = probabilities[..., 1:] >= 0.5
    return np.concatenate([~found.any(axis=-1, keepdims=True), found], axis=-1)


def patient_probabilities(logits: NDArray[np.floating], calibration: Calibration) -> NDArray[np.float64]:
    """Return calibrated probabilities from the patient network's logits (…, 3); see `class_probabilities`."""
    x = np.asarray(logits, np.float64)
    if calibration.temperature is not None:
        return class_probabilities(x / calibration.temperature, calibration.labels)
    scaled = x.copy()
    for finding, own in (calibration.findings or {}).items():
        column = CLASSES.index(finding)
        scaled[..., column] = own.slope * x[..., column] + own.intercept
    return class_probabilities(scaled, calibration.labels)


def _check_finite(outputs: dict[str, Array], network: str) -> None:
    for name, value in outputs.items():
        if not np.isfinite(value).all():
            raise BackendError(
                f"{network} answered with NaN or infinity in '{name}'",
                remedy="Read the images without AI; report the case with the bundle's name and version.",
            )
