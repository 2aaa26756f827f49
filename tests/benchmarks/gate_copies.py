"""One head in other clothes: turned, reversed, tilted and resampled copies, and what the model makes of each (R14)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydicom import FileDataset
from pydicom.uid import generate_uid

from edge_app.core.config import AnalysisSettings
from edge_app.core.types import StudyResult
from edge_app.series import decode_slice, read_header
from edge_app.simulator import LABELS, Artefacts, make_study, to_datasets
from edge_app.worker.analyse import StudyAnalysis
from edge_app.worker.models import Models, load_models
from edge_app.worker.reading import Reading
from tests.degraded import clean_head, hu_of, set_hu

__all__ = ["COPIES", "analyse", "compare_copies", "flipped"]

FIRST_SEED = 43_000_000
SCANNERS = ("fixed64", "mobile8", "tilted4", "basic2", "wide320", "unseen_mobile32")
TILT_DEG = 10.0
FINER = 1.25
"""So many times more pixels along each side."""

Objects = list[FileDataset]


def flipped(objects: Sequence[FileDataset], *, rows: bool, columns: bool) -> Objects:
    """Store the same picture with its rows, its columns or both the other way round, and say so in the geometry."""
    found = []
    for ds in objects:
        copy = deepcopy(ds)
        row, column = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
        start = np.array(ds.ImagePositionPatient, float)
        hu = hu_of(ds)
        if columns:
            start, row, hu = start + row * float(ds.PixelSpacing[1]) * (ds.Columns - 1), -row, hu[:, ::-1]
        if rows:
            start, column, hu = start + column * float(ds.PixelSpacing[0]) * (ds.Rows - 1), -column, hu[::-1]
        copy.ImagePositionPatient = [round(float(v), 5) for v in start]
        copy.ImageOrientationPatient = [round(float(v), 8) + 0.0 for v in (*row, *column)]
        set_hu(copy, hu)
        found.append(copy)
    return found


def _reversed(objects: Sequence[FileDataset]) -> Objects:
    found = [deepcopy(ds) for ds in reversed(objects)]
    for number, ds in enumerate(found, start=1):
        ds.InstanceNumber = number
    return found


def _finer_pixels(objects: Sequence[FileDataset]) -> Objects:
    found = []
    for ds in objects:
        copy = deepcopy(ds)
        hu = hu_of(ds).astype(np.float32)
        size = round(ds.Rows * FINER)
        set_hu(copy, cv2.resize(hu, (size, size), interpolation=cv2.INTER_LINEAR))
        step = [float(v) * ds.Rows / size for v in ds.PixelSpacing]
        row, column = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
        # The edges of the picture stay where they were, so its first pixel moves.
        shift = (row * (step[1] - float(ds.PixelSpacing[1])) + column * (step[0] - float(ds.PixelSpacing[0]))) / 2
        copy.ImagePositionPatient = [round(float(v), 5) for v in np.array(ds.ImagePositionPatient, float) + shift]
        copy.PixelSpacing = [round(v, 6) for v in step]
        found.append(copy)
    return found


def _thinner_slices(objects: Sequence[FileDataset]) -> Objects:
    """Put an interpolated slice between any two."""
    found: Objects = []
    for below, above in zip(objects, [*objects[1:], None], strict=True):
        found.append(deepcopy(below))
        if above is not None:
            middle = deepcopy(below)
            middle.SOPInstanceUID = middle.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            heights = [np.array(ds.ImagePositionPatient, float) for ds in (below, above)]
            middle.ImagePositionPatient = [round(float(v), 5) for v in (heights[0] + heights[1]) / 2]
            set_hu(middle, (hu_of(below).astype(np.float32) + hu_of(above)) / 2)
            found.append(middle)
    for ds in found:
        ds.SliceThickness = float(objects[0].SliceThickness) / 2
    return found


COPIES: dict[str, Callable[[Sequence[FileDataset]], Objects]] = {
    "feet first": lambda objects: flipped(objects, rows=False, columns=True),
    "prone": lambda objects: flipped(objects, rows=True, columns=True),
    "upside down": lambda objects: flipped(objects, rows=True, columns=False),
    "reversed": _reversed,
    "finer pixels": _finer_pixels,
    "thinner slices": _thinner_slices,
}
"""How a copy is made; a tilted one is scanned again (`_tilted`)."""


def _tilted(seed: int, number: int, scanner: str, tilt_deg: float) -> Objects:
    study, _ = clean_head(seed, LABELS[number % len(LABELS)], scanner)
    again = make_study(
        seed,
        LABELS[number % len(LABELS)],
        personality=study.personality,
        artefacts=Artefacts(motion=False, metal=False, tilt_deg=tilt_deg),
    )
    return to_datasets(again)


def analyse(objects: Sequence[FileDataset], models: Models) -> StudyResult:
    """Analyse a study as the vehicle does."""
    analysis = StudyAnalysis(str(objects[0].StudyInstanceUID), models, AnalysisSettings())
    for ds in objects:
        header = read_header(ds)
        analysis.add(Reading(header, decode_slice(ds, header)))
        analysis.score_next()
    return analysis.conclude()


def compare_copies(path: Path, count: int) -> list[dict[str, Any]]:
    """Return one row a copy; rows that are in the file already are not measured again."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    done = {row["study"] for row in rows}
    with load_models(AnalysisSettings(threads=1)) as models, path.open("a", encoding="utf-8") as file:
        for number in range(count):
            if number not in done:
                found = _compare(number, models)
                rows += found
                file.write("".join(json.dumps(row) + "\n" for row in found))
                file.flush()
    return rows


def _compare(number: int, models: Models) -> list[dict[str, Any]]:
    scanner, seed = SCANNERS[number % len(SCANNERS)], FIRST_SEED + number
    _, objects = clean_head(seed, LABELS[number % len(LABELS)], scanner)
    original = analyse(objects, models)
    copies = {name: make(objects) for name, make in COPIES.items()}
    copies["tilted"] = _tilted(seed, number, scanner, TILT_DEG)
    rows = []
    for name, copy in copies.items():
        result = analyse(copy, models)
        delta = None
        if original.probabilities and result.probabilities:
            delta = max(abs(result.probabilities[k] - p) for k, p in original.probabilities.items())
        rows.append(
            {
                "study": number,
                "scanner": scanner,
                "label": LABELS[number % len(LABELS)],
                "copy": name,
                "delta": delta,
                "verdicts": [r.verdict.value if r.verdict else None for r in (original, result)],
                "codes": [[reason.code for reason in r.reasons] for r in (original, result)],
            }
        )
    return rows
