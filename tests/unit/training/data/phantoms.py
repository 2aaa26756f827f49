"""Studies of a few small slices with a skull, a brain and a lesion: enough for readers, and made in milliseconds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from edge_app.simulator.lesions import LesionKind
from edge_app.simulator.scanner import PERSONALITIES, Personality
from edge_app.simulator.study import LABELS, Label, LesionTruth, PatientIdentity, SyntheticStudy

SIDE = 64
SLICES = 6
SPACING_MM = 3.4
SCANNER = replace(PERSONALITIES["mobile16"], matrix=SIDE, spacing_mm=SPACING_MM, slice_mm=12.0)


def phantom(seed: int, label: Label, *, personality: Personality = SCANNER) -> SyntheticStudy:
    """Return a study; heads differ by seed, are lopsided, and narrow towards the vertex."""
    rng = np.random.default_rng([seed, 77])
    dy, dx, width, length, blob_y, blob_x = rng.uniform(-1, 1, 6)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    y, x = y - 2 * dy, x - 3 * dx
    hu = np.full((SLICES, SIDE, SIDE), -1000.0)
    lesion = np.zeros(hu.shape, bool)
    for k in range(SLICES):
        size = 1.0 - 0.09 * k
        radius = np.hypot(x / ((21 + 2 * width) * size), (y + 1) / ((25 + 3 * length) * size))
        inside = radius < 0.9
        hu[k][radius < 1.0] = 900
        hu[k][inside] = 32 + 4 * rng.standard_normal(np.count_nonzero(inside))
        hu[k][inside & (np.hypot(x - 8 - 3 * blob_x, y - 12 - 3 * blob_y) < 6)] = 5
        hu[k][inside & (np.hypot(x + 6 - 3 * blob_y, y + 10 - 3 * blob_x) < 4)] = 75
        if label != "negative" and k in (2, 3):
            lesion[k] = inside & (np.hypot(x + 7, y - 4) < 6)
            hu[k][lesion[k]] += 35 if label == "hemorrhage" else -6
    kind = {"hemorrhage": LesionKind.SUBDURAL, "ischemic": LesionKind.ISCHAEMIA}.get(label)
    truths = (LesionTruth(kind, "somewhere", "right", 10.0, 35.0 if label == "hemorrhage" else -6.0),) if kind else ()
    return SyntheticStudy(
        seed=seed,
        label=label,
        hu=hu.round().astype(np.int16),
        lesion_mask=lesion,
        lesions=truths,
        label_per_slice=np.where(lesion.any(axis=(1, 2)), LABELS.index(label), 0).astype(np.int8),
        spacing_mm=(12.0, SPACING_MM, SPACING_MM),
        slice_thickness_mm=12.0,
        positions=np.stack([np.full(SLICES, -100.0), np.full(SLICES, -100.0), 12.0 * np.arange(SLICES)], axis=1),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        tilt_deg=0.0,
        personality=personality,
        patient=PatientIdentity("Alder^Synthia", f"SYN-{seed:06d}", date(1950, 1, 1), "F", 75),
    )
