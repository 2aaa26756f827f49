"""All labelled slices of all sources in one Parquet file, one row a slice, studies together and from foot to head.

Paths in it are relative; the roots stand in the file's metadata, with the licence of each source. What is not in the
index is in ``<name>.rejects.csv``, file by file with the reason.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES
from training.data.atomic import replacing
from training.data.records import LICENCES, IndexedSlice, IndexedStudy, Reject

__all__ = ["Index", "build_index", "read_index", "rejects_path", "write_index"]

FORMAT = 2
"""Raise it when a column changes its meaning; older files are then refused."""

_META = b"msu-index"
_BATCH_ROWS = 20_000
_SCHEMA = pa.schema(
    [
        ("study_key", pa.string()),
        ("source", pa.dictionary(pa.int32(), pa.string())),
        ("patient_id", pa.string()),
        ("study_uid", pa.string()),
        ("series_uid", pa.string()),
        ("study_label", pa.int8()),
        ("manufacturer", pa.dictionary(pa.int32(), pa.string())),
        ("model", pa.dictionary(pa.int32(), pa.string())),
        ("kernel", pa.dictionary(pa.int32(), pa.string())),
        ("tilt_deg", pa.float64()),
        ("spacing_mm", pa.float64()),
        ("lesion_volume_ml", pa.float64()),
        ("stack_hash", pa.string()),
        ("reversed_stack_hash", pa.string()),
        ("fingerprint", pa.string()),
        ("mask_turn", pa.int8()),
        ("synthetic", pa.bool_()),
        ("sop_uid", pa.string()),
        ("path", pa.string()),
        ("label", pa.int8()),
        ("subtypes", pa.list_(pa.string())),
        ("lesion_area_mm2", pa.float64()),
        ("mask_values", pa.list_(pa.int8())),
        ("mask_path", pa.string()),
        ("position_mm", pa.float64()),
        ("image_position_mm", pa.list_(pa.float64())),
        ("image_orientation", pa.list_(pa.float64())),
        ("pixel_spacing_mm", pa.list_(pa.float64())),
        ("rows", pa.int32()),
        ("columns", pa.int32()),
        ("thickness_mm", pa.float64()),
        ("pixel_hash", pa.string()),
    ]
)
_SLICE_FIELDS = tuple(f.name for f in fields(IndexedSlice))
_STUDY_FIELDS = tuple(f.name for f in fields(IndexedStudy) if f.name not in ("label", "slices"))
_TUPLES = ("subtypes", "mask_values", "image_position_mm", "image_orientation", "pixel_spacing_mm")


@dataclass(frozen=True, slots=True)
class Index:
    """The studies of an index file, and where each source's files lie."""

    studies: tuple[IndexedStudy, ...]
    roots: dict[str, str]

    def classes(self) -> dict[str, int]:
        """Return the number of studies of each class."""
        counts = Counter(study.label for study in self.studies)
        return {name: counts[index] for index, name in enumerate(CLASSES)}


def build_index(
    found: Sequence[tuple[list[IndexedStudy], list[Reject]]], roots: Mapping[str, Path], path: Path
) -> tuple[Index, list[Reject]]:
    """Join what the readers found, and write it to `path`.

    Raises
    ------
    TrainingError
        If a source yielded no study at all (with its commonest reason), or one study came from two places.
    """
    studies = [study for part, _ in found for study in part]
    rejects = [reject for _, part in found for reject in part]
    for source in roots:
        if not any(study.source == source for study in studies):
            reasons = Counter(f"{r.reason}" for r in rejects if r.source == source).most_common(1)
            why = f"; {reasons[0][1]} times: {reasons[0][0]}" if reasons else ": no files"
            raise TrainingError(f"no study of {source} can be used{why}", remedy="Check that data set's folder.")
    for key, count in Counter(study.key for study in studies).items():
        if count > 1:
            raise TrainingError(f"study {key} came from {count} places", remedy="Give each study once.")
    index = Index(tuple(studies), {source: str(root.resolve()) for source, root in roots.items()})
    write_index(index, rejects, path)
    return index, rejects


def write_index(index: Index, rejects: Sequence[Reject], path: Path) -> None:
    """Write the index, and the rejects beside it."""
    meta = {
        "format": FORMAT,
        "roots": index.roots,
        "licences": {source: LICENCES.get(source, LICENCES["generic"]) for source in index.roots},
        "classes": index.classes(),
        "synthetic": any(study.synthetic for study in index.studies),
        "rejects": dict(Counter(reject.code for reject in rejects)),
    }
    schema = _SCHEMA.with_metadata({_META: json.dumps(meta).encode()})
    with replacing(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for rows in _batches(index.studies):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["source", "path", "code", "reason"])
    table.writerows([r.source, r.path, r.code, r.reason] for r in rejects)
    with replacing(rejects_path(path)) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))


def rejects_path(path: Path) -> Path:
    """Return where the rejects of an index are listed."""
    return path.with_name(f"{path.stem}.rejects.csv")


def read_index(path: Path) -> Index:
    """Read an index.

    Raises
    ------
    TrainingError
        If the file is missing, damaged, of another format, or empty.
    """
    try:
        with pq.ParquetFile(path) as file:
            meta = json.loads((file.schema_arrow.metadata or {}).get(_META, b"{}"))
            if meta.get("format") != FORMAT:
                raise TrainingError(
                    f"{path} is not an index of format {FORMAT}", remedy="Make it with this version's `msu data index`."
                )
            rows = (row for batch in file.iter_batches(_BATCH_ROWS) for row in batch.to_pylist())
            studies = tuple(_study(list(members)) for _, members in groupby(rows, key=lambda row: row["study_key"]))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise TrainingError(f"{path} cannot be read: {error}", remedy="Make it with `msu data index`.") from error
    if not studies:
        raise TrainingError(f"{path} holds no study", remedy="Make it again with `msu data index`.")
    return Index(studies, meta["roots"])


def _batches(studies: Sequence[IndexedStudy]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for study in studies:
        shared = {name: getattr(study, name) for name in _STUDY_FIELDS}
        shared |= {"study_key": study.key, "study_label": study.label}
        rows += [shared | {name: getattr(s, name) for name in _SLICE_FIELDS} for s in study.slices]
        if len(rows) >= _BATCH_ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _study(rows: list[dict[str, Any]]) -> IndexedStudy:
    slices = []
    for row in rows:
        body: dict[str, Any] = {name: tuple(row[name]) if name in _TUPLES else row[name] for name in _SLICE_FIELDS}
        slices.append(IndexedSlice(**body))
    return IndexedStudy(
        **{name: rows[0][name] for name in _STUDY_FIELDS}, label=rows[0]["study_label"], slices=tuple(slices)
    )
