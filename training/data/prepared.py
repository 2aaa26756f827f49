"""Prepared shards, opened for training: memory maps and one row a slice.

Opening asks once more whether the splits leak, over exactly the rows that training will see; a leak stops it here.
"""

from __future__ import annotations

import json
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
        return np.stack([self.shards[shard][0][row] for shard, row in self.place[slices]])

    def masks(self, slices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (n, 28, 28) share of lesion, times 255, for slice numbers (n,)."""
        return np.stack([self.shards[shard][1][row] for shard, row in self.place[slices]])


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
    columns = pa.concat_tables(tables).to_pydict()
    place = np.concatenate([np.stack([np.full(len(t), i), np.arange(len(t))], axis=1) for i, t in enumerate(tables)])
    check_no_leak(_members(columns))
    return {side: _one_side(columns, side, tuple(shards), place) for side in SPLITS}


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


def _study_starts(keys: list[tuple[str, str]]) -> list[int]:
    return [i for i, key in enumerate(keys) if i == 0 or keys[i - 1] != key]


def _members(columns: dict[str, list[Any]]) -> list[Member]:
    # Side and key: a study whose slices were dealt out singly must show up on both sides.
    starts = _study_starts(list(zip(columns["side"], columns["study_key"], strict=True)))
    return [
        Member(
            side=columns["side"][first],
            key=columns["study_key"][first],
            patient_id=columns["patient_id"][first],
            study_uid=columns["study_uid"][first],
            series_uid=columns["series_uid"][first],
            sop_uids=tuple(columns["sop_uid"][first:end]),
            pixel_hashes=tuple(columns["pixel_hash"][first:end]),
            stack_hash=columns["stack_hash"][first],
            reversed_stack_hash=columns["reversed_stack_hash"][first],
        )
        for first, end in zip(starts, [*starts[1:], len(columns["study_key"])], strict=True)
    ]


def _one_side(
    columns: dict[str, list[Any]],
    side: str,
    shards: tuple[tuple[NDArray[Any], NDArray[np.uint8]], ...],
    place: NDArray[np.int64],
) -> PreparedSet:
    rows = [i for i, of in enumerate(columns["side"]) if of == side]
    keys = [(side, columns["study_key"][i]) for i in rows]
    starts = _study_starts(keys)
    numbers = np.zeros(len(rows), np.int64)
    numbers[starts] = 1
    studies = []
    for first, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        row = {name: values[rows[first]] for name, values in columns.items()}
        kinds = {kind for i in rows[first:end] for kind in columns["subtypes"][i]}
        studies.append(
            StudyInfo(
                key=row["study_key"],
                patient_id=row["patient_id"],
                source=row["source"],
                label=row["study_label"],
                manufacturer=row["manufacturer"],
                model=row["model"],
                kernel=row["kernel"],
                lesion_volume_ml=row["lesion_volume_ml"],
                subtypes=tuple(sorted(kinds)),
            )
        )
    return PreparedSet(
        studies=tuple(studies),
        study_of_slice=np.cumsum(numbers) - 1,
        labels=np.asarray([columns["label"][i] for i in rows], np.int64),
        lesion_area_mm2=np.asarray([columns["lesion_area_mm2"][i] for i in rows], np.float32),
        mask_known=np.asarray([columns["mask_known"][i] for i in rows], np.bool_),
        position_mm=np.asarray([columns["position_mm"][i] for i in rows], np.float64),
        seen=np.asarray([columns["seen"][i] for i in rows], np.bool_),
        shards=shards,
        place=place[np.asarray(rows, np.int64)],
    )
