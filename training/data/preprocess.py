"""Indexed studies → shards of model inputs, prepared by the vehicle's own code.

A shard holds a few whole studies: ``00007.npy`` (n, 3, 224, 224) uint8 or float16, ``00007.masks.npy`` (n, 28, 28)
uint8 and ``00007.parquet``, one row a slice, which is written last: a shard without it does not exist. A run that was
killed, ran out of disk or met a missing file goes on with the shards that are not there yet. A worker holds one study
at a time, and writes slice by slice; the cost is linear in the number of slices.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from edge_app.core.errors import InputError, TrainingError
from edge_app.core.types import FloatArray, SliceHeader, SliceImage
from edge_app.preprocessing import get_profile, prepare, profile_hash
from edge_app.series.geometry import order_slices
from edge_app.series.head import brain_range
from edge_app.series.measures import measure_slice
from edge_app.series.pixels import decode_slice
from edge_app.store.lock import hold_alone
from training.data.atomic import replacing
from training.data.files import load_header
from training.data.index import Index
from training.data.leakage import check_no_leak, members
from training.data.masks import lesion_share
from training.data.parallel import Workers
from training.data.records import LICENCES, IndexedStudy
from training.data.split import Split
from training.shards import INPUT_SHAPE, MASK_SIZE

__all__ = ["DESCRIPTION", "DTYPES", "FORMAT", "Preparation", "encode", "preprocess", "shard_names"]

FORMAT = 2
DESCRIPTION = "prepared.json"
"""What a folder of shards holds: profile and its hash, type, studies of each shard. One folder, one preparation."""

DTYPES = ("uint8", "float16")
"""uint8 has steps of 0.16 HU in the narrowest window, well below any scanner's noise; float16 is twice as large."""

_LOCK = "preprocess.lock"
_SPACE_MARGIN = 1.02
"""Row tables and the file system take their part."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """How slices are prepared and stored."""

    profile: str = "msu1"
    dtype: str = "uint8"
    studies_per_shard: int = 16
    max_slices: int = 80
    """Slices of a study that the patient network sees at most (`edge_app.series.brain_range`)."""


@dataclass(frozen=True, slots=True)
class _Task:
    folder: str
    number: int
    studies: tuple[IndexedStudy, ...]
    sides: tuple[str, ...]
    roots: Mapping[str, str]
    preparation: Preparation


def preprocess(
    index: Index, split: Split, folder: Path, workers: Workers, *, preparation: Preparation | None = None
) -> int:
    """Prepare all studies of a split; return the number of slices in `folder` afterwards.

    Parameters
    ----------
    index, split
        What to prepare; studies on no side of the split are left out.
    folder
        For the shards. On a Dask cluster all workers must see it, and the data sets, under the same name.
    workers
        Where to work.

    Raises
    ------
    LeakageError
        If the split leaks.
    TrainingError
        If the folder holds another preparation, a file is missing or changed, or the disk is full. What was finished
        stays, and the next run goes on from there.
    """
    how = preparation or Preparation()
    if how.dtype not in DTYPES or how.studies_per_shard < 1:
        raise TrainingError(
            f"{how} is not possible", remedy=f"Types are {' and '.join(DTYPES)}; a shard needs a study."
        )
    check_no_leak(members(index.studies, split))
    studies = [study for study in index.studies if study.key in split.sides]
    if not studies:
        raise TrainingError("no study of this index is in the split", remedy="Make the split from this index.")
    groups = [studies[i : i + how.studies_per_shard] for i in range(0, len(studies), how.studies_per_shard)]
    description = _describe(index, split, groups, how)
    folder.mkdir(parents=True, exist_ok=True)
    with hold_alone(folder / _LOCK):
        _claim(folder, description)
        tasks = []
        for number, group in enumerate(groups):
            if not shard_names(folder, number)[2].exists():
                sides = tuple(split.sides[study.key] for study in group)
                tasks.append(_Task(str(folder), number, tuple(group), sides, index.roots, how))
        _check_space(folder, tasks)
        sizes = [sum(len(study.slices) for study in task.studies) for task in tasks]
        for _ in workers.run(_write_shard, tasks, title="slices", sizes=sizes):
            pass
    return sum(len(study.slices) for study in studies)


def shard_names(folder: Path, number: int) -> tuple[Path, Path, Path]:
    """Return the inputs, masks and rows of a shard."""
    return folder / f"{number:05d}.npy", folder / f"{number:05d}.masks.npy", folder / f"{number:05d}.parquet"


def encode(image: FloatArray, dtype: str) -> NDArray[Any]:
    """Return a model input in [0, 1] as it is stored."""
    return np.rint(image * 255.0).astype(np.uint8) if dtype == "uint8" else image.astype(np.float16)


def _describe(index: Index, split: Split, groups: Sequence[Sequence[IndexedStudy]], how: Preparation) -> dict[str, Any]:
    content = hashlib.sha256(json.dumps([how.profile, how.dtype, how.max_slices]).encode())
    for group in groups:
        for study in group:
            content.update(json.dumps([split.sides[study.key], asdict(study)]).encode())
    sources = sorted({study.source for group in groups for study in group})
    return {
        "format": FORMAT,
        "preparation": asdict(how),
        "profile_sha256": profile_hash(get_profile(how.profile)),
        "content_sha256": content.hexdigest(),
        "split_seed": split.seed,
        "shards": len(groups),
        "studies": sum(len(group) for group in groups),
        "slices": sum(len(study.slices) for group in groups for study in group),
        "synthetic": any(study.synthetic for group in groups for study in group),
        "licences": {source: LICENCES.get(source, LICENCES["generic"]) for source in sources},
    }


def _claim(folder: Path, description: dict[str, Any]) -> None:
    """Write down what this folder is for; refuse one that is for something else."""
    path = folder / DESCRIPTION
    try:
        if json.loads(path.read_text(encoding="utf-8")) == description:
            return
    except FileNotFoundError:
        if not any(folder.glob("*.parquet")):
            with replacing(path) as file:
                file.write(json.dumps(description, indent=1).encode())
            return
    except ValueError:
        pass  # half a description is as foreign as another one
    raise TrainingError(
        f"{folder} holds slices of another index, split, profile or type", remedy="Give an empty folder, or delete it."
    )


def _check_space(folder: Path, tasks: Sequence[_Task]) -> None:
    if not tasks:
        return
    item = 1 if tasks[0].preparation.dtype == "uint8" else 2
    slice_bytes = item * int(np.prod(INPUT_SHAPE)) + MASK_SIZE**2
    needed = slice_bytes * sum(len(study.slices) for task in tasks for study in task.studies)
    free = shutil.disk_usage(folder).free
    if free < needed * _SPACE_MARGIN:
        raise TrainingError(
            f"{folder} needs {needed / 1e9:.1f} GB more and has {free / 1e9:.1f} GB free: the disk would be full",
            remedy="Free space, prepare fewer studies, or give a folder on another disk; what is there stays.",
        )


def _write_shard(task: _Task) -> int:
    folder = Path(task.folder)
    inputs_path, masks_path, rows_path = shard_names(folder, task.number)
    count = sum(len(study.slices) for study in task.studies)
    rows: list[dict[str, Any]] = []
    with replacing(inputs_path) as inputs, replacing(masks_path) as masks:
        _array_header(inputs, (count, *INPUT_SHAPE), np.dtype(task.preparation.dtype))
        _array_header(masks, (count, MASK_SIZE, MASK_SIZE), np.dtype(np.uint8))
        for study, side in zip(task.studies, task.sides, strict=True):
            rows += _write_study(study, side, Path(task.roots[study.source]), task.preparation, inputs, masks)
    with replacing(rows_path) as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=_ROWS), file, compression="zstd")
    return count


def _array_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Begin an .npy file that is filled slice by slice (a memory map would die of SIGBUS on a full disk)."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _write_study(
    study: IndexedStudy, side: str, root: Path, how: Preparation, inputs: BinaryIO, masks: BinaryIO
) -> list[dict[str, Any]]:
    headers, measures, abnormal = [], [], []
    for indexed in study.slices:
        try:
            header, image = _read(root / indexed.path, indexed.sop_uid)
            ready = prepare(image, get_profile(how.profile))
            mask = np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)
            if indexed.mask_path:
                mask = lesion_share(root / indexed.mask_path, study.mask_turn, image.hu.shape, ready)
        except InputError as error:
            raise TrainingError(
                f"{error.message}: it was sound when the index was made",
                remedy="Restore it and run the same command again, or index again.",
            ) from error
        headers.append(header)
        measures.append(measure_slice(image))
        abnormal.append(ready.abnormal)
        inputs.write(encode(ready.input, how.dtype).tobytes())
        masks.write(mask.tobytes())
    seen = set(brain_range(order_slices(headers), measures, max_slices=how.max_slices))
    return [
        {
            "side": side,
            "study_key": study.key,
            "source": study.source,
            "patient_id": study.patient_id,
            "study_uid": study.study_uid,
            "series_uid": study.series_uid,
            "study_label": study.label,
            "manufacturer": study.manufacturer,
            "model": study.model,
            "kernel": study.kernel,
            "lesion_volume_ml": study.lesion_volume_ml,
            "stack_hash": study.stack_hash,
            "reversed_stack_hash": study.reversed_stack_hash,
            "fingerprint": study.fingerprint,
            "sop_uid": indexed.sop_uid,
            "label": indexed.label,
            "subtypes": list(indexed.subtypes),
            "lesion_area_mm2": indexed.lesion_area_mm2,
            "mask_known": bool(indexed.mask_path) or indexed.label == 0,
            "position_mm": indexed.position_mm,
            "pixel_hash": indexed.pixel_hash,
            "seen": place in seen,
            "abnormal": abnormal[place],
        }
        for place, indexed in enumerate(study.slices)
    ]


def _read(path: Path, sop_uid: str) -> tuple[SliceHeader, SliceImage]:
    header, ds = load_header(path)
    if header.sop_uid != sop_uid:
        raise InputError(f"{path} is now another image", remedy="")
    return header, decode_slice(ds, header)


_ROWS = pa.schema(
    [
        *((name, pa.string()) for name in ("side", "study_key", "source", "patient_id", "study_uid", "series_uid")),
        ("study_label", pa.int8()),
        *((name, pa.string()) for name in ("manufacturer", "model", "kernel")),
        ("lesion_volume_ml", pa.float64()),
        *((name, pa.string()) for name in ("stack_hash", "reversed_stack_hash", "fingerprint", "sop_uid")),
        ("label", pa.int8()),
        ("subtypes", pa.list_(pa.string())),
        ("lesion_area_mm2", pa.float64()),
        ("mask_known", pa.bool_()),
        ("position_mm", pa.float64()),
        ("pixel_hash", pa.string()),
        ("seen", pa.bool_()),
        ("abnormal", pa.bool_()),
    ]
)
"""Columns of a shard's rows. `seen`: the patient network sees the slice; `mask_known`: its mask can be trusted."""
