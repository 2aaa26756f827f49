"""Prepared shards, opened for training: memory maps and one row a slice.

Opening asks once more whether the splits leak, over exactly the rows that training will see; a leak stops it here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from edge_app.core.errors import TrainingError
from edge_app.preprocessing import get_profile, profile_hash
from training.data.leakage import Member, check_no_leak
from training.data.preprocess import DESCRIPTION, FORMAT, shard_names
from training.data.split import SPLITS
from training.shards import INPUT_SHAPE, MASK_SIZE

__all__ = ["PreparedSet", "StudyInfo", "open_prepared"]


@dataclass(frozen=True, slots=True)
class StudyInfo:
    """What is known of one prepared study."""

    key: str
    patient_id: str
    source: str
    label: int
    manufacturer: str
    model: str
    kernel: str
    lesion_volume_ml: float | None
    subtypes: tuple[str, ...]
    """Haemorrhage types in any of its slices."""


@dataclass(frozen=True, eq=False, slots=True)
class PreparedSet:
    """The slices of one side of the split; a study's slices lie together, foot to head.

    Attributes
    ----------
    studies
        One `StudyInfo` each.
    study_of_slice
        (N,) index of each slice's study.
    labels
        (N,) class of each slice; `training.data.records.NO_LABEL` where only the study's is known.
    lesion_area_mm2
        (N,) nan where there is no mask.
    mask_known
        (N,) whether the mask says where lesion is and is not.
    position_mm
        (N,) along the slice normal.
    seen
        (N,) whether the patient network sees this slice.
    """

    studies: tuple[StudyInfo, ...]
    study_of_slice: NDArray[np.int64]
    labels: NDArray[np.int64]
    lesion_area_mm2: NDArray[np.float32]
    mask_known: NDArray[np.bool_]
    position_mm: NDArray[np.float64]
    seen: NDArray[np.bool_]
    shards: tuple[tuple[NDArray[Any], NDArray[np.uint8]], ...]
    place: NDArray[np.int64]
    """(N, 2) shard and row of each slice."""

    def __len__(self) -> int:
        return len(self.labels)

    def study_labels(self) -> NDArray[np.int64]:
        """Return (studies,) class of each study."""
        return np.asarray([study.label for study in self.studies], np.int64)

    def inputs(self, slices: NDArray[np.int64]) -> NDArray[Any]:
        """Return (n, 3, 224, 224) for slice numbers (n,): uint8 0–255, or float16 in [0, 1], as they were stored."""
        return self._gather(0, slices)

    def subset_of_studies(self, studies: Sequence[int]) -> PreparedSet:
        """Return the studies with these numbers, in this order."""
        numbers = list(studies)
        rows = [np.flatnonzero(self.study_of_slice == number) for number in numbers]
        kept = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        return PreparedSet(
            studies=tuple(self.studies[number] for number in numbers),
            study_of_slice=np.repeat(np.arange(len(numbers)), [len(row) for row in rows]),
            labels=self.labels[kept],
            lesion_area_mm2=self.lesion_area_mm2[kept],
            mask_known=self.mask_known[kept],
            position_mm=self.position_mm[kept],
            seen=self.seen[kept],
            shards=self.shards,
            place=self.place[kept],
        )

    def masks(self, slices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (n, 28, 28) share of lesion, times 255, for slice numbers (n,)."""
        return self._gather(1, slices)

    def _gather(self, which: int, slices: NDArray[np.int64]) -> NDArray[Any]:
        if not len(slices):  # a device's part of a step smaller than the number of devices
            return np.array(self.shards[0][which][:0])
        return np.stack([self.shards[shard][which][row] for shard, row in self.place[slices]])


def open_prepared(folder: Path) -> dict[str, PreparedSet]:
    """Open a folder of shards; one set for each side, by its name.

    Raises
    ------
    LeakageError
        If anything stands on more than one side.
    TrainingError
        If the folder is none of ours, unfinished, damaged, or was prepared by another version of the preprocessing.
    """
    described = _description(folder)
    tables, shards = [], []
    for number in range(described["shards"]):
        inputs_path, masks_path, rows_path = shard_names(folder, number)
        if not rows_path.exists():
            raise TrainingError(
                f"shard {number} of {described['shards']} is missing in {folder}",
                remedy="Run `msu data preprocess` again: it makes what is missing.",
            )
        try:
            rows = pq.read_table(rows_path)
            inputs = np.load(inputs_path, mmap_mode="r")
            masks = np.load(masks_path, mmap_mode="r")
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _damaged(rows_path, str(error)) from error
        if inputs.shape != (len(rows), *INPUT_SHAPE) or masks.shape != (len(rows), MASK_SIZE, MASK_SIZE):
            raise _damaged(rows_path, f"{inputs.shape} and {masks.shape} do not hold {len(rows)} slices")
        tables.append(rows)
        shards.append((inputs, masks))
    rows = pa.concat_tables(tables)
    place = np.concatenate([np.stack([np.full(len(t), i), np.arange(len(t))], axis=1) for i, t in enumerate(tables)])
    check_no_leak(_members(rows))
    sides = np.asarray(rows["side"].to_pylist())
    return {
        side: _one_side(rows.filter(pa.array(sides == side)), tuple(shards), place[sides == side]) for side in SPLITS
    }


def _description(folder: Path) -> dict[str, Any]:
    try:
        described: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        known = described["format"] == FORMAT
        same = described["profile_sha256"] == profile_hash(get_profile(described["preparation"]["profile"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{folder} holds no prepared slices: {error}", remedy="Make them with `msu data preprocess`."
        ) from error
    if not known or not same:
        raise TrainingError(
            f"{folder} was prepared by another version of the preprocessing",
            remedy="Run `msu data preprocess` into a new folder.",
        )
    return described


def _damaged(path: Path, why: str) -> TrainingError:
    return TrainingError(
        f"shard {path.stem} in {path.parent} is damaged: {why}",
        remedy=f"Delete {path.name} and run `msu data preprocess` again.",
    )


def _study_starts(rows: pa.Table) -> NDArray[np.int64]:
    """Return the row where each study begins, and the number of rows at the end."""
    # Side and key: a study whose slices were dealt out singly must show up on both sides.
    keys = list(zip(rows["side"].to_pylist(), rows["study_key"].to_pylist(), strict=True))
    starts = [i for i, key in enumerate(keys) if i == 0 or keys[i - 1] != key]
    return np.asarray([*starts, len(keys)], np.int64)


def _members(rows: pa.Table) -> list[Member]:
    starts = _study_starts(rows)
    sop_uids, pixel_hashes = rows["sop_uid"].to_pylist(), rows["pixel_hash"].to_pylist()
    firsts = rows.take(starts[:-1]).to_pylist()
    return [
        Member(
            side=row["side"],
            key=row["study_key"],
            patient_id=row["patient_id"],
            study_uid=row["study_uid"],
            series_uid=row["series_uid"],
            sop_uids=tuple(sop_uids[first:end]),
            pixel_hashes=tuple(pixel_hashes[first:end]),
            stack_hash=row["stack_hash"],
            reversed_stack_hash=row["reversed_stack_hash"],
            fingerprint=row["fingerprint"],
        )
        for row, first, end in zip(firsts, starts[:-1], starts[1:], strict=True)
    ]


def _one_side(
    rows: pa.Table, shards: tuple[tuple[NDArray[Any], NDArray[np.uint8]], ...], place: NDArray[np.int64]
) -> PreparedSet:
    starts = _study_starts(rows)
    subtypes = rows["subtypes"].to_pylist()
    studies = tuple(
        StudyInfo(
            key=row["study_key"],
            patient_id=row["patient_id"],
            source=row["source"],
            label=row["study_label"],
            manufacturer=row["manufacturer"],
            model=row["model"],
            kernel=row["kernel"],
            lesion_volume_ml=row["lesion_volume_ml"],
            subtypes=tuple(sorted({kind for kinds in subtypes[first:end] for kind in kinds})),
        )
        for row, first, end in zip(rows.take(starts[:-1]).to_pylist(), starts[:-1], starts[1:], strict=True)
    )
    return PreparedSet(
        studies=studies,
        study_of_slice=np.repeat(np.arange(len(studies)), np.diff(starts)),
        labels=rows["label"].to_numpy().astype(np.int64),
        # A missing area becomes nan.
        lesion_area_mm2=rows["lesion_area_mm2"].to_numpy().astype(np.float32),
        mask_known=rows["mask_known"].to_numpy().astype(np.bool_),
        position_mm=rows["position_mm"].to_numpy().astype(np.float64),
        seen=rows["seen"].to_numpy().astype(np.bool_),
        shards=shards,
        place=place,
    )
