"""Everything that can be wrong with a head series, or with what pretends to be one, each with the codes that are right.

A case changes copies of a good head's objects; `Case.codes` are the reasons of which the first one given must be one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from pydicom import FileDataset
from pydicom.uid import generate_uid

from tests.degraded import LEVELS, degrade, hu_of, set_hu

__all__ = ["CASES", "Case", "with_heights"]

Objects = list[FileDataset]
Change = Callable[[Sequence[FileDataset], np.random.Generator], Objects]


@dataclass(frozen=True, slots=True)
class Case:
    """One way to spoil a series."""

    name: str
    group: str
    codes: frozenset[str]
    change: Change
    pixels: bool = False
    """Pixels, or how they are read, differ from the good head's."""
    level: float | None = None
    """Of an artefact: see `tests.degraded.LEVELS`."""


def _copies(objects: Sequence[FileDataset], **changes: Any) -> Objects:
    """Copy objects and set attributes (None removes them); a shallow copy would change the originals."""
    found = []
    for ds in objects:
        copy = deepcopy(ds)
        for keyword, value in changes.items():
            if value is None:
                if keyword in copy:
                    del copy[keyword]
            else:
                setattr(copy, keyword, value)
        found.append(copy)
    return found


def _half(objects: Sequence[FileDataset], **changes: Any) -> Objects:
    """Change the upper half of a series only."""
    middle = len(objects) // 2
    return [*objects[:middle], *_copies(objects[middle:], **changes)]


def with_heights(objects: Sequence[FileDataset], heights_mm: Sequence[float], **changes: Any) -> Objects:
    """Move slices to other heights along the normal of the series."""
    found = _copies(objects, **changes)
    row, column = np.array(found[0].ImageOrientationPatient).reshape(2, 3)
    normal = np.cross(row, column)
    start = np.array(found[0].ImagePositionPatient, float)
    for ds, height in zip(found, heights_mm, strict=True):
        ds.ImagePositionPatient = [round(float(v), 5) for v in start + normal * height]
    return found


def _without(objects: Sequence[FileDataset], rng: np.random.Generator, count: int) -> Objects:
    first = int(rng.integers(2, len(objects) - count - 2))
    return [*objects[:first], *objects[first + count :]]


def _twice(objects: Sequence[FileDataset], rng: np.random.Generator) -> Objects:
    (twin,) = _copies([objects[int(rng.integers(len(objects)))]], SOPInstanceUID=generate_uid())
    return [*objects, twin]


def _conflict(objects: Sequence[FileDataset], rng: np.random.Generator) -> Objects:
    at = int(rng.integers(1, len(objects)))
    return [*objects, *_copies([objects[at]], PixelData=objects[at - 1].PixelData)]


def _cut_pixels(objects: Sequence[FileDataset], rng: np.random.Generator) -> Objects:
    at = int(rng.integers(len(objects)))
    (cut,) = _copies([objects[at]], PixelData=objects[at].PixelData[:-1000])
    return [*objects[:at], cut, *objects[at + 1 :]]


def _turned(objects: Sequence[FileDataset], degrees: float) -> Objects:
    """Lean all slices about the left-right axis: the same pixels, called oblique."""
    cos, sin = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    found = _copies(objects)
    for ds in found:
        x, y, z = (float(v) for v in ds.ImagePositionPatient)
        ds.ImagePositionPatient = [round(x, 5), round(y * cos - z * sin, 5), round(y * sin + z * cos, 5)]
        ds.ImageOrientationPatient = [1, 0, 0, 0, round(cos, 8), round(sin, 8)]
    return found


def _vessels(objects: Sequence[FileDataset], rng: np.random.Generator) -> Objects:
    """Fill vessels with contrast: bright dots all over the inside of the skull."""
    found = _copies(objects)
    for ds in found:
        hu, mm = hu_of(ds), float(ds.PixelSpacing[0])
        soft = np.argwhere((cv2.blur(hu, (9, 9)) > 5) & (cv2.blur(hu, (9, 9)) < 60))
        drawn = hu.copy()
        for y, x in soft[rng.integers(0, len(soft), 40)] if len(soft) else ():
            cv2.circle(
                drawn, (int(x), int(y)), max(2, round(rng.uniform(1.5, 2.5) / mm)), int(rng.integers(250, 420)), -1
            )
        set_hu(ds, drawn)
    return found


def _scaled(objects: Sequence[FileDataset], rng: np.random.Generator) -> Objects:
    """Shrink head and scanner alike: an infant's, of unknown age."""
    scale = float(rng.uniform(0.60, 0.68))
    spacing = [round(float(v) * scale, 5) for v in objects[0].PixelSpacing]
    return _copies(objects, PixelSpacing=spacing, PatientBirthDate="", PatientAge=None)


def _thick(objects: Sequence[FileDataset], _: np.random.Generator) -> Objects:
    return with_heights(objects, [8.0 * i for i in range(len(objects))], SliceThickness=8.0)


def _too_high(objects: Sequence[FileDataset], _: np.random.Generator) -> Objects:
    return _copies(objects, RescaleIntercept=int(objects[0].RescaleIntercept) + 200)


def _twelve(objects: Sequence[FileDataset], _: np.random.Generator) -> Objects:
    return _copies(objects, PatientBirthDate=f"{int(objects[0].StudyDate[:4]) - 12}0101")


def _case(group: str, name: str, codes: str, change: Change, *, pixels: bool = False) -> Case:
    return Case(name, group, frozenset(codes.split()), change, pixels)


def _set(**changes: Any) -> Change:
    return lambda objects, _: _copies(objects, **changes)


def _set_half(**changes: Any) -> Change:
    return lambda objects, _: _half(objects, **changes)


_SAGITTAL = [0, 1, 0, 0, 0, -1]

_PLAIN = (
    _case("geometry", "one slice lost", "Q-02", lambda o, rng: _without(o, rng, 1)),
    _case("geometry", "three slices lost", "Q-02", lambda o, rng: _without(o, rng, 3)),
    _case("geometry", "every second slice lost", "Q-02 Q-10", lambda o, _: list(o[::2])),
    _case("geometry", "two slices at one position", "Q-11", _twice),
    _case("geometry", "lower half only", "Q-09 Q-10 Q-01", lambda o, _: list(o[: len(o) // 2])),
    _case("geometry", "vertex cut off", "Q-09 Q-10", lambda o, _: list(o[: -len(o) // 3])),
    _case("geometry", "8 mm slices", "Q-18", _thick),
    _case("geometry", "40 degrees from axial", "Q-08", lambda o, _: _turned(o, 40.0)),
    _case("geometry", "sagittal", "Q-08", _set(ImageOrientationPatient=_SAGITTAL), pixels=True),
    _case("geometry", "mixed directions", "Q-08", _set_half(ImageOrientationPatient=_SAGITTAL), pixels=True),
    _case("geometry", "two frames of reference", "Q-08", _set_half(FrameOfReferenceUID="1.2.3.4")),
    _case("pixels", "pixel spacing of 1.6 mm", "Q-12 Q-01", _set(PixelSpacing=[1.6, 1.6]), pixels=True),
    _case("pixels", "pixel spacing missing", "Q-12 Q-15", _set(PixelSpacing=None), pixels=True),
    _case("pixels", "rescale missing", "Q-13", _set(RescaleSlope=None, RescaleIntercept=None), pixels=True),
    _case("pixels", "CT numbers 200 HU too high", "Q-13 Q-01", _too_high, pixels=True),
    _case("pixels", "slope of 2", "Q-13 Q-01", _set(RescaleSlope=2), pixels=True),
    _case("pixels", "pixel data cut off", "Q-15", _cut_pixels, pixels=True),
    _case("pixels", "same UID, other pixels", "Q-17", _conflict, pixels=True),
    _case("kind", "MR", "Q-14", _set(Modality="MR")),
    _case("kind", "Secondary Capture", "Q-14", _set(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")),
    _case("kind", "localizer", "Q-14", _set(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])),
    _case("kind", "MPR", "Q-14", _set(ImageType=["DERIVED", "SECONDARY", "MPR"])),
    _case("kind", "no positions", "Q-14", _set(ImagePositionPatient=None)),
    _case("kind", "lossy", "Q-06", _set(LossyImageCompression="01")),
    _case("kind", "bone kernel", "Q-03", _set(ConvolutionKernel="BONE")),
    _case("kind", "bone by description", "Q-03", _set(ConvolutionKernel="", SeriesDescription="HEAD BONE 1.0")),
    _case("kind", "contrast agent named", "Q-07", _set(ContrastBolusAgent="OMNIPAQUE 350")),
    _case("kind", "contrast seen", "Q-07", _vessels, pixels=True),
    _case("kind", "scanner not validated", "Q-21", _set(ManufacturerModelName="Unheard Of 1")),
    _case("person", "twelve years old", "Q-04", _twelve),
    _case("person", "infant's head, age unknown", "Q-04 Q-12", _scaled, pixels=True),
    _case("person", "two patient IDs", "Q-05", _set_half(PatientID="ANOTHER")),
    _case("person", "two names", "Q-05", _set_half(PatientName="Other^Person")),
    _case("person", "two study dates", "Q-05", _set_half(StudyDate="19990101")),
)  # fmt: skip


def _artefact(kind: str, level: float) -> Case:
    # Much noise hides the brain, and a deep cut opens the skull: then it is no head either.
    codes = frozenset({"Q-16"} if kind in ("motion", "metal") else {"Q-16", "Q-01"})
    return Case(
        f"{kind} {level:g} {'HU' if kind == 'noise' else 'mm'}", "artefact", codes,
        lambda objects, rng: degrade(objects, kind, level, int(rng.integers(1 << 30))), pixels=True, level=level,
    )  # fmt: skip


CASES: tuple[Case, ...] = _PLAIN + tuple(
    _artefact(kind, level) for kind, levels in LEVELS.items() for level in levels[1:]
)
"""All of them; of the artefacts the plain and the heavy level, because a slight one may be judged."""
