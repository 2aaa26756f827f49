"""Penultimate features and logits of every slice: what the patient-level network sees of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from edge_app.core.types import FloatArray
from training.image_model import ImageModel
from training.shards import StudyRecord, StudySet
from training.train_image import load_batch

__all__ = ["FeatureSet", "Sequences", "extract_features", "pad"]


@dataclass(frozen=True, eq=False, slots=True)
class Sequences:
    """A padded batch of studies: `features` (B, T, F + 3), `position_mm` (B, T), `mask` (B, T), `labels` (B,)."""

    features: torch.Tensor
    position_mm: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor

    def to(self, device: torch.device | str) -> Sequences:
        """Return the batch on a device."""
        return Sequences(*(part.to(device) for part in (self.features, self.position_mm, self.mask, self.labels)))


@dataclass(frozen=True, eq=False, slots=True)
class FeatureSet:
    """Features of studies; `features[i]` (T_i, F + 3) float32 belongs to `records[i]`."""

    records: tuple[StudyRecord, ...]
    features: tuple[FloatArray, ...]

    def labels(self) -> NDArray[np.int64]:
        """Return (studies,) class of each study."""
        return np.asarray([record.label for record in self.records], np.int64)

    def heights_mm(self, study: int) -> FloatArray:
        """Return (T,) height of a study's slices above its lowest."""
        positions = np.asarray(self.records[study].positions_mm)
        return np.asarray(positions - positions.min(), np.float32)

    def subset(self, studies: NDArray[np.int64]) -> FeatureSet:
        """Return the studies with these numbers."""
        return FeatureSet(tuple(self.records[i] for i in studies), tuple(self.features[i] for i in studies))


@torch.no_grad()
def extract_features(model: ImageModel, data: StudySet, *, batch: int = 128) -> FeatureSet:
    """Run the image network over all slices, in float32 as the vehicle does."""
    model.eval()
    rows = []
    for first in tqdm(range(0, len(data), batch), desc="features"):
        images, _ = load_batch(data, np.arange(first, min(first + batch, len(data))))
        output = model(images.to(memory_format=torch.channels_last))
        rows.append(torch.cat([output.features, output.logits], dim=1).numpy())
    table = np.concatenate(rows)
    ends = np.cumsum([len(record.slice_labels) for record in data.records])
    return FeatureSet(tuple(data.records), tuple(np.split(table, ends[:-1])))


def pad(features: list[FloatArray], heights_mm: list[FloatArray], labels: NDArray[np.int64]) -> Sequences:
    """Return studies of different length as one batch; padding follows the slices."""
    longest = max(len(f) for f in features)
    batch = Sequences(
        torch.zeros(len(features), longest, features[0].shape[1]),
        torch.zeros(len(features), longest),
        torch.zeros(len(features), longest),
        torch.from_numpy(labels),
    )
    for i, (rows, heights) in enumerate(zip(features, heights_mm, strict=True)):
        batch.features[i, : len(rows)] = torch.from_numpy(rows)
        batch.position_mm[i, : len(rows)] = torch.from_numpy(heights)
        batch.mask[i, : len(rows)] = 1.0
    return batch
