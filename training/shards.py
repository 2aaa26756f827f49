"""Prepared slices on disk: shards of a few studies, read through memory maps.

A shard is ``00007.npy`` (n, 3, 224, 224) uint8, ``00007.masks.npy`` (n, 28, 28) uint8 and ``00007.json``, which
describes the studies in it and is written last: a shard without it does not exist. Eight bits are enough: a step is
0.16 HU in the narrowest window, far below the noise of any scanner.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES

__all__ = ["INPUT_SHAPE", "MASK_SIZE", "PreparedStudy", "StudyRecord", "StudySet", "shard_exists", "write_shard"]

INPUT_SHAPE = (3, 224, 224)
"""Of one slice, as the vehicle feeds it to the image network."""

MASK_SIZE = 28
"""Side of the stored lesion mask, each pixel the share of lesion in 8×8 pixels of the input."""


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """What is known of one study; the slices of all lists are those the patient network sees, foot to head."""

    seed: int
    label: int
    """Index into `CLASSES`."""
    personality: str
    lesion: str
    """Kind of lesion, "" for none."""
    volume_ml: float
    delta_hu: float
    """Mean change of density within the lesion."""
    positions_mm: tuple[float, ...]
    slice_labels: tuple[int, ...]
    lesion_area_mm2: tuple[float, ...]
    source: str = ""
    """Data set it comes from (`training.targets.TEACHES`); a simulated study's labels all hold."""

    def with_slices(self, kept: NDArray[np.int64]) -> StudyRecord:
        """Return the record of the study with only these of its slices."""
        return replace(
            self,
            positions_mm=tuple(self.positions_mm[i] for i in kept),
            slice_labels=tuple(self.slice_labels[i] for i in kept),
            lesion_area_mm2=tuple(self.lesion_area_mm2[i] for i in kept),
        )


@dataclass(frozen=True, eq=False, slots=True)
class PreparedStudy:
    """A study's record with its `inputs` (T, 3, 224, 224) uint8 and `masks` (T, 28, 28) uint8."""

    record: StudyRecord
    inputs: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def shard_exists(folder: Path, index: int) -> bool:
    """Return whether a shard was written to its end."""
    return (folder / f"{index:05d}.json").exists()


def write_shard(folder: Path, index: int, studies: Sequence[PreparedStudy]) -> None:
    """Write a shard; its description goes last and makes it count."""
    _write_array(folder / f"{index:05d}.npy", np.concatenate([s.inputs for s in studies]))
    _write_array(folder / f"{index:05d}.masks.npy", np.concatenate([s.masks for s in studies]))
    text = json.dumps([asdict(s.record) for s in studies])
    beside = folder / f"{index:05d}.json.part"
    beside.write_text(text, encoding="utf-8")
    beside.replace(folder / f"{index:05d}.json")


class StudySet:
    """All studies of a folder of shards.

    Attributes
    ----------
    folder
        Where they lie; its name says which they are.
    records
        One per study.
    study_of_slice
        (N,) index of each slice's study; a study's slices lie together, foot to head.
    labels
        (N,) class of each slice.
    lesion_area_mm2
        (N,) of each slice.

    Raises
    ------
    TrainingError
        If the folder holds no shard, or one whose arrays and description disagree.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[StudyRecord] = []
        self._inputs: list[NDArray[np.uint8]] = []
        self._masks: list[NDArray[np.uint8]] = []
        starts = [0]
        for described in sorted(folder.glob("*.json")):
            records = [_record(body) for body in json.loads(described.read_text(encoding="utf-8"))]
            inputs = np.load(described.with_suffix(".npy"), mmap_mode="r")
            masks = np.load(described.with_suffix(".masks.npy"), mmap_mode="r")
            slices = sum(len(record.slice_labels) for record in records)
            if inputs.shape != (slices, *INPUT_SHAPE) or masks.shape != (slices, MASK_SIZE, MASK_SIZE):
                raise TrainingError(
                    f"shard {described}: {inputs.shape} and {masks.shape} do not hold {slices} slices",
                    remedy="Delete this shard; the next run makes it again.",
                )
            self.records += records
            self._inputs.append(inputs)
            self._masks.append(masks)
            starts.append(starts[-1] + slices)
        if not self.records:
            raise TrainingError(f"no shards in {folder}", remedy="Make the studies first (training.synthetic).")
        self._starts = np.asarray(starts)
        counts = [len(record.slice_labels) for record in self.records]
        self.study_of_slice = np.repeat(np.arange(len(self.records)), counts)
        self.labels = np.concatenate([np.asarray(r.slice_labels, np.int64) for r in self.records])
        self.lesion_area_mm2 = np.concatenate([np.asarray(r.lesion_area_mm2, np.float32) for r in self.records])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def study_labels(self) -> NDArray[np.int64]:
        """Return (studies,) class of each study."""
        return np.asarray([record.label for record in self.records], np.int64)

    def inputs(self, slices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (n, 3, 224, 224) uint8 for slice numbers (n,)."""
        return self._gather(self._inputs, slices)

    def masks(self, slices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (n, 28, 28) uint8 for slice numbers (n,)."""
        return self._gather(self._masks, slices)

    def _gather(self, arrays: list[NDArray[np.uint8]], slices: NDArray[np.int64]) -> NDArray[np.uint8]:
        shard = np.searchsorted(self._starts, slices, side="right") - 1
        return np.stack([arrays[s][i - self._starts[s]] for s, i in zip(shard, slices, strict=True)])


def class_counts(labels: NDArray[np.int64]) -> dict[str, int]:
    """Return how many there are of each class, by its name."""
    return {name: int((labels == index).sum()) for index, name in enumerate(CLASSES)}


def _record(body: dict[str, object]) -> StudyRecord:
    return StudyRecord(**{k: tuple(v) if isinstance(v, list) else v for k, v in body.items()})  # type: ignore[arg-type]


def _write_array(path: Path, array: NDArray[np.uint8]) -> None:
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        np.save(file, np.ascontiguousarray(array))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
