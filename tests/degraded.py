"""Synthetic studies made worse, and series that are no heads: what the gate must keep from the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset

from edge_app.core.types import SliceHeader, SliceMeasures
from edge_app.series import decode_slice, measure_slice, read_header
from edge_app.simulator import PERSONALITIES, Artefacts, SyntheticStudy, make_study, to_datasets
from edge_app.simulator.imaging import reconstruction_circle
from edge_app.simulator.study import Label

__all__ = [
    "BODIES",
    "LEVELS",
    "body_slice",
    "clean_head",
    "cut_off",
    "degrade",
    "front_row",
    "hu_of",
    "measured",
    "moved",
    "noisy",
    "set_hu",
    "streaked",
]

Slice = NDArray[np.int16]

LEVELS: dict[str, tuple[float, float, float]] = {
    "motion": (3.0, 6.0, 10.0),  # shift of the ghost, mm
    "metal": (1.0, 2.0, 4.0),  # radius of the clip, mm
    "truncation": (5.0, 15.0, 30.0),  # depth that is cut off, mm
    "noise": (8.0, 15.0, 30.0),  # standard deviation that is added, HU
}
"""Slight, plain and heavy."""


def clean_head(seed: int, label: Label, personality: str) -> tuple[SyntheticStudy, list[FileDataset]]:
    """Return a head without motion and metal, uncompressed so that its pixels can be changed."""
    plain = replace(PERSONALITIES[personality], transfer_syntax="1.2.840.10008.1.2.1")
    study = make_study(seed, label, personality=plain, artefacts=Artefacts(motion=False, metal=False))
    return study, to_datasets(study)


def measured(datasets: Iterable[FileDataset]) -> tuple[list[SliceHeader], dict[str, SliceMeasures]]:
    """Read headers and measure pixels as the worker does."""
    headers, found = [], {}
    for ds in datasets:
        header = read_header(ds)
        headers.append(header)
        found[header.sop_uid] = measure_slice(decode_slice(ds, header))
    return headers, found


def hu_of(ds: FileDataset) -> Slice:
    """Return the HU of an uncompressed data set."""
    dtype = "<i2" if ds.PixelRepresentation else "<u2"
    stored = np.frombuffer(ds.PixelData, dtype).reshape(ds.Rows, ds.Columns).astype(np.int32)
    hu = stored * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
    if "PixelPaddingValue" in ds:
        hu[stored == ds.PixelPaddingValue] = -1000
    return hu.astype(np.int16)


def set_hu(ds: FileDataset, hu: NDArray[np.generic]) -> None:
    """Write HU into an uncompressed data set, in its own coding; the matrix may differ."""
    signed = bool(ds.PixelRepresentation)
    low, high = (-(1 << 15), (1 << 15) - 1) if signed else (0, (1 << ds.BitsStored) - 1)
    stored = np.clip(np.rint(hu).astype(np.int32) - int(ds.RescaleIntercept), low, high)
    ds.Rows, ds.Columns = hu.shape
    ds.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
    ds["PixelData"].VR = "OW"


def moved(hu: Slice, spacing_mm: float, shift_mm: float, rng: np.random.Generator) -> Slice:
    """Mix a slice with itself shifted and turned: the head moved while it was taken."""
    size = hu.shape[0]
    angle = rng.uniform(0, 2 * np.pi)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.normal(0, shift_mm / 3)), 1.0)
    turn[:, 2] += np.array([np.cos(angle), np.sin(angle)]) * shift_mm / spacing_mm
    ghost = cv2.warpAffine(
        hu.astype(np.float32), turn, hu.shape[::-1], borderMode=cv2.BORDER_CONSTANT, borderValue=-1000.0
    )
    share = rng.uniform(0.25, 0.45)
    return np.rint(hu * (1 - share) + ghost * share).astype(np.int16)


def streaked(hu: Slice, spacing_mm: float, radius_mm: float, rng: np.random.Generator) -> Slice:
    """Put a metal clip into the brain, with dark and bright rays around it."""
    size = hu.shape[0]
    at = rng.uniform(-25, 25, 2)
    y, x = ((np.mgrid[:size, :size] - size / 2) * spacing_mm).astype(np.float32)
    x, y = x - np.float32(at[0]), y - np.float32(at[1])
    r = np.hypot(x, y)
    rays = cv2.GaussianBlur(rng.standard_normal((1, 720)).astype(np.float32), (0, 0), 2.5)
    index = ((np.arctan2(y, x) * 360 / np.pi + 360) % 720).astype(np.int32)
    streaks = rays[0][index] * np.float32(2600 * radius_mm) / (r + 6)
    spoiled = hu + np.where(hu > -900, streaks, 0)
    return np.where(r <= radius_mm, 3000, np.clip(spoiled, -1000, 3071)).astype(np.int16)


def front_row(hu: Slice, spacing_mm: float) -> int:
    """Return the row where the head begins."""
    return int(np.nonzero((hu > -300).sum(axis=1) * spacing_mm > 40)[0][0])


def cut_off(hu: Slice, row: int) -> Slice:
    """Shift the head forwards until a row lies at the top, and cut off what leaves the reconstruction circle."""
    shifted = np.full_like(hu, -1000)
    shifted[: hu.shape[0] - row] = hu[row:]
    shifted[~reconstruction_circle(hu.shape[0])] = -1000
    return shifted


def noisy(hu: Slice, sigma_hu: float, rng: np.random.Generator) -> Slice:
    """Add grainy noise to all but the air, whose negative half would be clipped away."""
    grain = cv2.GaussianBlur(rng.standard_normal(hu.shape).astype(np.float32), (0, 0), 0.8)
    grain *= np.float32(sigma_hu / grain.std())
    return np.clip(hu + grain, -1024, 3071).astype(np.int16)


def degrade(datasets: Sequence[FileDataset], kind: str, level: float, seed: int) -> list[FileDataset]:
    """Return copies of a whole head's slices with one artefact, where such an artefact would show.

    Motion spoils 40 mm, metal 15 mm in the middle of the head, truncation and noise all slices.
    """
    rng = np.random.default_rng(seed)
    heights = [float(ds.ImagePositionPatient[2]) for ds in datasets]
    # The middle of the brain lies a little above the middle of the stack.
    middle = heights[0] + 0.6 * (heights[-1] - heights[0])
    central = min(datasets, key=lambda ds: abs(float(ds.ImagePositionPatient[2]) - middle))
    spacing_mm = float(central.PixelSpacing[0])
    row = front_row(hu_of(central), spacing_mm) + round(level / spacing_mm) if kind == "truncation" else 0
    change: dict[str, Callable[[Slice, float], Slice]] = {
        "motion": lambda hu, spacing: moved(hu, spacing, level, rng),
        "metal": lambda hu, spacing: streaked(hu, spacing, level, rng),
        "truncation": lambda hu, _: cut_off(hu, row),
        "noise": lambda hu, _: noisy(hu, level, rng),
    }
    reach = {"motion": 20.0, "metal": 7.5}.get(kind, np.inf)
    found = []
    for ds, height in zip(datasets, heights, strict=True):
        if abs(height - middle) <= reach:
            worse = deepcopy(ds)  # a shallow copy shares its elements with the original
            set_hu(worse, change[kind](hu_of(ds), float(ds.PixelSpacing[0])))
            found.append(worse)
        else:
            found.append(ds)
    return found


# Series that are no heads --------------------------------------------------------------------------------------------

BODIES = ("water", "plastic", "air", "noise", "chest", "abdomen", "neck", "pelvis", "legs", "ball of bone")
"""Objects that are no heads."""


def body_slice(what: str, size: int, spacing_mm: float, height: float, rng: np.random.Generator) -> Slice:
    """Draw one slice of something else; `height` runs from 0 to 1 along the series."""
    y, x = ((np.mgrid[:size, :size] - size / 2) * spacing_mm).astype(np.float32)
    image = np.full((size, size), -1000, np.float32)

    def oval(hu: float, a: float, b: float, cx: float = 0.0, cy: float = 0.0) -> None:
        image[((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1] = hu

    if what == "noise":
        return rng.integers(-1024, 3000, image.shape).astype(np.int16)
    if what in ("water", "plastic"):
        if what == "plastic":
            oval(1000, 72, 90)
        oval(0 if what == "water" else 120, 66, 84)
    elif what == "chest":
        oval(40, 108, 85)
        for side in (-1, 1):
            oval(-800, 38, 55 + 10 * height, 50 * side, -5)
        oval(40, 30, 30, 12, 5)
    elif what == "abdomen":
        oval(-90, 108, 90)
        oval(50, 98, 78)
        oval(60, 45, 35, -45, -10)
    elif what == "pelvis":
        oval(-90, 110, 85)
        oval(45, 100, 75)
        for side in (-1, 1):
            oval(500, 28, 9, 60 * side, 10)
            oval(600, 17, 17, 65 * side, 20)
    elif what == "neck":
        oval(40, 58, 62)
        oval(-1000, 9, 9, 0, -30)
    elif what == "legs":
        for side in (-1, 1):
            oval(45, 42, 45, 50 * side)
            oval(1200, 13, 13, 50 * side)
            oval(-60, 7, 7, 50 * side)
    elif what == "ball of bone":
        oval(900, 70, 85)
    if what in ("chest", "abdomen", "neck", "pelvis"):
        oval(450, 18, 16, 0, 45)
        oval(20, 8, 8, 0, 45)
    image[image > -900] += rng.normal(0, 6, int((image > -900).sum()))
    return image.astype(np.int16)
