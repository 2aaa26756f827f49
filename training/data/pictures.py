"""Pictures beside a CT series (AISD's ``image`` and ``mask``) → which slice each belongs to, and how it lies.

AISD's pictures carry numbers, not UIDs, and nothing says whether they run foot to head or how they were turned on
export. Guessing wrong would put lesions on the wrong side of the head without any error. So the pictures of the CT are
compared with the slices, and the order and the turn that make them alike also hold for the masks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import InputError

__all__ = ["Match", "match_pictures", "picture_files", "read_picture", "turned"]

LEAST_LIKENESS = 0.6
"""Mean correlation below which pictures are not of these slices; right ones reach 0.9, wrong turns 0.3."""

LEAST_LEAD = 0.02
"""By which the best order and turn must lead the second; heads are nearly, but never wholly, symmetrical."""

TURNS = 8
"""Quarter turns 0–3, and the same after a left–right flip, 4–7."""

_SIDE = 64
_COMPARED = 9
_WINDOW = (0.0, 80.0)

Picture = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Match:
    """How pictures belong to slices from foot to head: the first picture shows the uppermost one where `reversed`."""

    reversed: bool
    turn: int
    likeness: float


def picture_files(folder: Path) -> list[Path]:
    """Return the pictures in a folder by their number (``2.png`` before ``10.png``)."""
    files = [path for path in folder.glob("*") if path.suffix.lower() in (".png", ".bmp", ".tif", ".tiff")]
    return sorted(files, key=lambda path: ([int(n) for n in re.findall(r"\d+", path.stem)], path.name))


def read_picture(path: Path) -> Picture:
    """Read a picture's values unchanged, (H, W).

    Raises
    ------
    InputError
        If it cannot be read, or has colours.
    """
    try:
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise InputError(f"{path} cannot be read: {error}", remedy="Unpack the archive again.") from error
    if picture is None:
        raise InputError(f"{path} is not a picture", remedy="Unpack the archive again.")
    if picture.ndim == 3:
        if np.any(picture[..., :3] != picture[..., :1]):
            raise InputError(f"{path} has colours", remedy="Masks and slices are grey; check the archive.")
        picture = picture[..., 0]
    return np.asarray(picture)


def turned(picture: Picture, turn: int) -> Picture:
    """Return a picture as it lies to the slice in standard orientation."""
    flipped = picture[:, ::-1] if turn >= TURNS // 2 else picture
    return np.ascontiguousarray(np.rot90(flipped, turn % (TURNS // 2)))


def match_pictures(slices_hu: Sequence[NDArray[np.int16]], pictures: Sequence[Picture]) -> Match:
    """Find the order and the turn in which `pictures` show `slices_hu`.

    Parameters
    ----------
    slices_hu
        (H, W) int16, foot to head, in standard orientation.
    pictures
        As many, in the order of their numbers.

    Raises
    ------
    InputError
        If the numbers differ, or no order and turn fits clearly.
    """
    count = len(slices_hu)
    if count != len(pictures):
        raise InputError(f"{count} slices but {len(pictures)} pictures", remedy="Check the archive.")
    picks = np.unique(np.linspace(0, count - 1, min(count, _COMPARED)).round().astype(int))
    reference = [_small(np.clip(slices_hu[i], *_WINDOW)) for i in picks]
    found = []
    for is_reversed in (False, True):
        chosen = [_small(pictures[count - 1 - i if is_reversed else i]) for i in picks]
        for turn in range(TURNS):
            likeness = float(np.mean([_likeness(r, turned(c, turn)) for r, c in zip(reference, chosen, strict=True)]))
            found.append(Match(is_reversed, turn, likeness))
    best, second = sorted(found, key=lambda match: -match.likeness)[:2]
    if best.likeness < LEAST_LIKENESS or best.likeness - second.likeness < LEAST_LEAD:
        raise InputError(
            f"the pictures do not clearly show these slices (likeness {best.likeness:.2f}, next {second.likeness:.2f})",
            remedy="Check that image/, mask/ and the DICOM files are of the same patient.",
        )
    return best


def _small(picture: Picture) -> NDArray[np.float32]:
    small = cv2.resize(np.asarray(picture, np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _likeness(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    a, b = first - first.mean(), second - second.mean()
    spread = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / spread if spread > 0 else 0.0
