"""Features and logits of slices, kept by what they follow from: the slice's pixels and the network's weights.

One SQLite file for a network's weights, one row a slice under the hash of its prepared pixels. A slice that was seen
before, in whatever study, split or preparation, is not computed again; a run that was killed keeps what it wrote.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from edge_app.core.errors import TrainingError
from edge_app.core.types import FloatArray
from training.data.prepared import PreparedSet
from training.experiment import check_preprocessing, load_image_network
from training.families import Classifier
from training.features import FeatureSet
from training.shards import StudyRecord
from training.slice_batches import to_unit
from training.weights import weights_hash

__all__ = ["FeatureCache", "best_device", "open_cache", "slice_hashes", "study_features", "study_records"]


class FeatureCache:
    """Features of one network's slices in a file under `folder`.

    Attributes
    ----------
    computed
        Slices this object had to run through the network.
    """

    def __init__(self, folder: Path, model: Classifier, *, device: str = "cpu") -> None:
        self.model, self.device = model.to(device).eval(), device
        self.path = folder / f"features-{weights_hash(model)[:16]}.sqlite"
        self.computed = 0

    def rows(
        self,
        data: PreparedSet,
        slices: NDArray[np.int64],
        *,
        batch: int = 64,
        title: str = "features",
        quiet: bool = False,
    ) -> FloatArray:
        """Return (n, F + 3) float32 for slice numbers (n,), computing what is missing; `quiet` shows no progress.

        Raises
        ------
        TrainingError
            If the cache cannot be written or read.
        """
        rows = np.empty((len(slices), self.model.features + 3), np.float32)
        with self._open() as table:
            for first in tqdm(range(0, len(slices), batch), desc=title, unit="batch", disable=quiet):
                part = slices[first : first + batch]
                images = data.inputs(part)
                rows[first : first + len(part)] = self._batch(table, images, rows.shape[1])
        return rows

    def compute(self, images: NDArray[np.generic]) -> FloatArray:
        """Return (n, F + 3) float32 of stored slices (n, 3, 224, 224), by the network alone."""
        with torch.no_grad():
            features, raw = self.model.scores(to_unit(torch.from_numpy(images)).to(self.device))
            logits = torch.nn.functional.pad(raw, (3 - raw.shape[1], 0))
            self.computed += len(images)
            return np.asarray(torch.cat([features, logits], dim=1).float().cpu().numpy())

    def _batch(self, table: sqlite3.Connection, images: NDArray[np.generic], width: int) -> FloatArray:
        keys = slice_hashes(images)
        marks = ",".join("?" * len(keys))
        known = {
            key: np.frombuffer(row, np.float32)
            for key, row in table.execute(f"SELECT slice, row FROM features WHERE slice IN ({marks})", keys)
        }
        missing = [i for i, key in enumerate(keys) if key not in known or len(known[key]) != width]
        if missing:
            made = self.compute(images[missing])
            known |= {keys[i]: row for i, row in zip(missing, made, strict=True)}
            table.executemany(
                "INSERT OR REPLACE INTO features VALUES (?, ?)", [(keys[i], known[keys[i]].tobytes()) for i in missing]
            )
            table.commit()
        return np.stack([known[key] for key in keys])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as table:
                table.execute("CREATE TABLE IF NOT EXISTS features (slice BLOB PRIMARY KEY, row BLOB) WITHOUT ROWID")
                yield table
        except sqlite3.Error as error:
            raise TrainingError(
                f"the features in {self.path} cannot be used: {error}",
                remedy="Free space if the disk is full; delete the file if it is damaged.",
            ) from error


def best_device(wanted: str = "") -> str:
    """Return the device that is wanted, or the best there is."""
    return wanted or ("cuda" if torch.cuda.is_available() else "cpu")


def open_cache(image: Path, data: Path, device: str = "") -> FeatureCache:
    """Return the cache of the image network in a folder, for prepared slices.

    Parameters
    ----------
    image, data
        From `msu train image` and `msu data preprocess`.
    device
        "" for the best there is.

    Raises
    ------
    TrainingError
        If the network cannot be read, or was trained on another preprocessing.
    """
    model, description = load_image_network(image)
    check_preprocessing(image, description, data)
    return FeatureCache(image, model, device=best_device(device))


def slice_hashes(images: NDArray[np.generic]) -> list[bytes]:
    """Return the hash of each stored slice (n, 3, 224, 224); type and pixels count."""
    kind = str(images.dtype).encode()
    return [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, person=kind).digest() for image in images]


def study_records(data: PreparedSet) -> tuple[StudyRecord, ...]:
    """Return a record of each study, with the slices that the patient network sees, foot to head."""
    records = []
    for number, study in enumerate(data.studies):
        members = _seen(data, number)
        records.append(
            StudyRecord(
                seed=number,
                label=study.label,
                personality=f"{study.source} {study.manufacturer} {study.model}".strip(),
                lesion="+".join(study.subtypes)
                or ("" if study.label == 0 else "ischaemia" if study.label == 2 else "any"),
                volume_ml=study.lesion_volume_ml if study.lesion_volume_ml is not None else float("nan"),
                delta_hu=float("nan"),
                positions_mm=tuple(data.position_mm[members].tolist()),
                slice_labels=tuple(data.labels[members].tolist()),
                lesion_area_mm2=tuple(data.lesion_area_mm2[members].tolist()),
                source=study.source,
            )
        )
    return tuple(records)


def study_features(cache: FeatureCache, data: PreparedSet, *, title: str = "features") -> FeatureSet:
    """Return the features of all studies, slices foot to head as the vehicle orders them."""
    members = [_seen(data, number) for number in range(len(data.studies))]
    rows = cache.rows(data, np.concatenate(members), title=title)
    ends = np.cumsum([len(slices) for slices in members])
    return FeatureSet(study_records(data), tuple(np.split(rows, ends[:-1])))


def _seen(data: PreparedSet, study: int) -> NDArray[np.int64]:
    """Return the slices of a study that the patient network sees; all of them where no brain was found."""
    members = np.flatnonzero(data.study_of_slice == study)
    seen = members[data.seen[members]]
    return seen if len(seen) else members
