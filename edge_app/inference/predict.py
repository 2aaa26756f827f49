"""The two steps of the model: slices to features and logits, and their sequence to one answer per patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import BackendError
from edge_app.core.types import CLASSES, FloatArray, SliceScores
from edge_app.inference.backend import Array, Backend, check_network
from edge_app.inference.manifest import IMAGE_FILE, PATIENT_FILE, Manifest

__all__ = ["ImagePredictor", "PatientPredictor", "PatientScores", "softmax"]

BATCH = 1
"""Slices per call of the image network.

One, always: which slices wait together depends on when they arrived, and a network may give other last bits in
another batch. R28 asks for the same bits every time. Measured on 2 cores with shufflenet_v2_x0_5, mobilenet_v3_small
and resnet18, a batch of 8 would save 0.1 to 1.3 ms a slice.
"""


@dataclass(frozen=True, eq=False, slots=True)
class PatientScores:
    """The patient-level answer.

    `probabilities` are calibrated, by class; `attention` (T,) float32 weighs the slices, foot to head, with sum 1;
    `distance` says how unlike the training data the study is.
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
            for i, sop_uid in enumerate(sop_uids[first : first + BATCH]):
                scores.append(
                    SliceScores(sop_uid, outputs["features"][i], outputs["logits"][i], outputs["saliency"][i])
                )
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
        self._temperature = manifest.calibration.temperature

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
        probabilities = softmax(outputs["logits"][0] / self._temperature)
        return PatientScores(
            dict(zip(CLASSES, map(float, probabilities), strict=True)),
            outputs["attention"][0],
            float(outputs["distance"][0]),
        )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return probabilities over the last axis, in float64 so that they sum to 1 to 15 digits."""
    shifted = np.exp(logits.astype(np.float64) - np.max(logits, axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def _check_finite(outputs: dict[str, Array], network: str) -> None:
    for name, value in outputs.items():
        if not np.isfinite(value).all():
            raise BackendError(
                f"{network} answered with NaN or infinity in '{name}'",
                remedy="Read the images without AI; report the case with the bundle's name and version.",
            )
