"""The golden set: a few patients per class, ready for the networks, that travel with a bundle.

Every change of precision and every engine is judged on it against the FP32 network (`export.gate`). It holds prepared
inputs, no headers and no identities. Tens of patients cannot resolve a change of sensitivity by one per cent: the set
finds what is broken, it does not replace an evaluation.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import ExportError
from edge_app.core.types import CLASSES, FloatArray

__all__ = ["GoldenSet", "read_golden"]

_REMEDY = "Make the bundle again with a golden set, or name another one with --golden."


@dataclass(frozen=True, eq=False, slots=True)
class GoldenSet:
    """Prepared slices of whole patients, foot to head.

    `images` (N, 3, 224, 224) float32; `patient` (N,) the patient of each slice, 0 … P - 1, ascending;
    `position_mm` (N,) along the slice normal, ascending within a patient; `labels` (P,) index into `CLASSES`.
    """

    images: FloatArray
    patient: NDArray[np.int64]
    position_mm: NDArray[np.float64]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise ExportError(f"golden set: {problem}", remedy=_REMEDY)
        for array in (self.images, self.patient, self.position_mm, self.labels):
            array.setflags(write=False)

    @property
    def patients(self) -> int:
        """Return P."""
        return len(self.labels)

    def slices_of(self) -> Iterator[NDArray[np.int64]]:
        """Return the indices of each patient's slices, in order."""
        for number in range(self.patients):
            yield np.flatnonzero(self.patient == number)

    def to_bytes(self) -> bytes:
        """Return the file (.npz); the same set gives the same bytes."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, images=self.images, patient=self.patient, position_mm=self.position_mm, labels=self.labels
        )
        return buffer.getvalue()

    def _problem(self) -> str:
        count = len(self.images)
        if self.images.ndim != 4 or self.images.dtype != np.float32 or not np.isfinite(self.images).all():
            return f"images {self.images.shape} {self.images.dtype} are not finite float32 (N, C, H, W)"
        if self.patient.shape != (count,) or self.position_mm.shape != (count,):
            return "patient and position_mm do not have one entry per image"
        if self.labels.ndim != 1 or sorted(set(self.patient.tolist())) != list(range(len(self.labels))):
            return "patients are not numbered 0 … P - 1, each with a label and slices"
        steps = np.diff(self.patient)
        if (steps < 0).any() or ((steps == 0) & (np.diff(self.position_mm) <= 0)).any():
            return "slices are not ordered by patient and position"
        if missing := [name for index, name in enumerate(CLASSES) if index not in self.labels]:
            return f"no patient is {missing[0]}: flips could not be seen"
        return ""


def read_golden(content: bytes) -> tuple[GoldenSet, str]:
    """Read a golden set and return it with its SHA-256.

    Raises
    ------
    ExportError
        If the file is damaged, or what it holds cannot judge anything.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = [file[name] for name in ("images", "patient", "position_mm", "labels")]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ExportError(f"golden set cannot be read: {error}", remedy=_REMEDY) from error
    images, patient, position_mm, labels = arrays
    golden = GoldenSet(images, patient.astype(np.int64), position_mm.astype(np.float64), labels.astype(np.int64))
    return golden, hashlib.sha256(content).hexdigest()
