"""What the worker shows while it works: decoded slices, the patient band, progress and saliency maps."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.core.errors import HeaderError, InputError
from edge_app.core.types import SliceHeader
from edge_app.series.completeness import MIN_COVERAGE_MM, expected_slices
from edge_app.series.geometry import order_slices
from edge_app.series.selection import Candidate
from edge_app.store.ledger import FrameRow, InstanceRow
from edge_app.store.paths import StorePaths, uid_hash, write_atomically
from edge_app.worker.analyse import StudyAnalysis
from edge_app.worker.models import Models
from edge_app.worker.reading import Reading

__all__ = ["patient_band", "progress", "publish_frame", "publish_model", "publish_saliency", "unreadable_frame"]


def publish_frame(paths: StorePaths, reading: Reading) -> FrameRow:
    """Write a decoded slice where the screen looks for it and return its row for the ledger.

    Frames are a cache made again from the instances, so nothing is fsynced; the rename keeps a reader from seeing half
    a file. A frame that cannot be written is a problem on the screen, never a reason to stop the analysis.
    """
    header, image, problem = reading.header, reading.image, reading.problem
    relative: str | None = None
    if image is not None:
        path = paths.frame(header.study_uid, header.sop_uid)
        try:
            _write_array(path, image.hu)
            relative = path.relative_to(paths.root).as_posix()
        except OSError as error:
            problem = f"cannot be kept for the screen: {error.strerror}"
    return FrameRow(
        sop_uid=header.sop_uid,
        study_uid=header.study_uid,
        series_uid=header.series_uid,
        position_mm=_position_mm(header),
        row_spacing_mm=image.spacing_mm[0] if image else None,
        column_spacing_mm=image.spacing_mm[1] if image else None,
        rows=image.hu.shape[0] if image else None,
        columns=image.hu.shape[1] if image else None,
        path=relative,
        problem=problem,
    )


def unreadable_frame(row: InstanceRow, error: InputError) -> FrameRow:
    """Return the row for an image of which not even the header can be read."""
    return FrameRow(
        sop_uid=row.sop_uid,
        study_uid=row.study_uid,
        series_uid=row.series_uid,
        position_mm=None,
        row_spacing_mm=None,
        column_spacing_mm=None,
        rows=None,
        columns=None,
        path=None,
        problem=error.message,
    )


def publish_saliency(paths: StorePaths, analysis: StudyAnalysis, sop_uids: Iterable[str], revision: int) -> None:
    """Write the saliency maps of key slices, before the result that names them.

    One array (3, h, w) per `uid_hash` of the SOP Instance UID, and under the hash with ``.to_slice`` the affine (2, 3)
    from model-input pixels to slice pixels.
    """
    arrays: dict[str, Any] = {}
    for sop_uid in sop_uids:
        arrays[uid_hash(sop_uid)] = analysis.scores[sop_uid].saliency
        arrays[f"{uid_hash(sop_uid)}.to_slice"] = analysis.to_slice[sop_uid]
    if arrays:
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        path = paths.saliency(analysis.study_uid, revision)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())


def publish_model(paths: StorePaths, models: Models) -> None:
    """Write what the screen may say about a model: its card, thresholds and validation scores.

    JSON with ``card``, ``thresholds`` (class → [t_lo, t_hi]), ``reliability`` (of the haemorrhage score) and
    ``heat_maps`` (whether they passed their release gate).
    """
    path = paths.model(models.identity.sha256)
    manifest = models.manifest
    body = {
        "card": models.card,
        "thresholds": {name: [point.t_lo, point.t_hi] for name, point in manifest.operating_points.items()},
        "reliability": [row.model_dump() for row in manifest.calibration.reliability],
        "heat_maps": manifest.heat_maps,
    }
    raw = json.dumps(body).encode()
    if path.is_file() and path.read_bytes() == raw:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, raw)


def patient_band(header: SliceHeader) -> dict[str, Any]:
    """Return what the screen's patient band shows, from one image of the series."""
    return {
        "name": header.patient_name,
        "id": header.patient_id,
        "birth_date": header.patient_birth_date,
        "sex": header.patient_sex,
        "age": header.patient_age,
        "accession": header.accession_number,
        "study_date": header.study_date,
        "study_time": header.study_time,
        "study_description": header.study_description,
        "manufacturer_model": f"{header.manufacturer} {header.manufacturer_model_name}".strip(),
        "acquired_at": header.acquired_at,
        "series_number": header.series_number,
        "series_description": header.series_description,
        "kernel": header.convolution_kernel,
        "slice_thickness_mm": header.slice_thickness_mm,
        "series_uid": header.series_uid,
    }


def progress(analysis: StudyAnalysis, shown: Candidate | None) -> dict[str, Any]:
    """Return how far the series that is shown has come (SCREEN.md R08)."""
    headers = shown.headers if shown else ()
    return {
        "images": len(headers),
        "expected": expected_slices(headers) if headers else None,
        "analysed": sum(header.sop_uid in analysis.scores for header in headers),
        "coverage_mm": round(shown.stack.coverage_mm, 1) if shown and shown.stack else 0.0,
        "needed_mm": MIN_COVERAGE_MM,
        "series_uid": shown.series_uid if shown else None,
    }


_TURNED_UP_TO_DEG = 45.0
"""Slices nearer to axial than this have been turned (`edge_app.series.pixels`), others are as stored."""


def _position_mm(header: SliceHeader) -> float | None:
    """Return a slice's height; None where the screen must not write L, R, A and P on it (localizers)."""
    try:
        stack = order_slices([header])
    except HeaderError:
        return None
    return stack.positions_mm[0] if stack.tilt_deg < _TURNED_UP_TO_DEG else None


def _write_array(path: Path, array: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with beside.open("wb") as file:
        np.save(file, array)
    beside.replace(path)
