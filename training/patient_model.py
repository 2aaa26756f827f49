"""The patient-level network: a stack of slice features to the patient's logits, with lengths and masks everywhere.

What the published design reads from padding (its GRU reads its last step after up to 80 zero slices) is impossible
here: the backward direction starts at the highest true level, the pooling never sees padding, and the answer of a study
does not depend on the batch it is in. Positions enter in millimetres, and the layers see the head at even heights
(`training.levels`), so that 1.25 mm and 5 mm stacks mean the same.

Instead of packed sequences, which only the old exporter understands, the backward direction is a forward GRU over
levels gathered in reverse, within each study's own height.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from edge_app.core.types import CLASSES, FINDINGS
from edge_app.inference.manifest import Labels
from training.levels import Levels, to_levels

__all__ = ["PERIODS_MM", "PatientModel", "PatientOutput"]

PERIODS_MM = (25.0, 50.0, 100.0, 200.0, 400.0)
"""Wavelengths of the position encoding: from the height of a ventricle to twice that of a head."""

COMPONENTS = 16
"""Principal components of the distance to the training data."""


class PatientOutput(NamedTuple):
    """`logits` (B, 3), `attention` (B, T) with sum 1, and `distance` (B,), how unlike the training data a study is.

    With labels ``findings`` the first logit is 0.
    """

    logits: torch.Tensor
    attention: torch.Tensor
    distance: torch.Tensor


class PatientModel(nn.Module):
    """Slice features with their positions to one answer for the patient.

    Parameters
    ----------
    features
        F + 3, the length of a slice's features and logits together.
    width
        Size of the projection in front of the GRU.
    hidden
        Size of one direction of the GRU.
    dropout
        Share dropped after the projection, between the layers and before the head in training.
    labels
        ``softmax``: one answer out of `CLASSES`; ``findings``: each of `FINDINGS` for itself.
    """

    feature_mean: torch.Tensor
    feature_std: torch.Tensor
    study_mean: torch.Tensor
    study_std: torch.Tensor
    components: torch.Tensor
    component_std: torch.Tensor
    residual: torch.Tensor

    def __init__(
        self, features: int, *, width: int = 128, hidden: int = 64, dropout: float = 0.3, labels: Labels = "softmax"
    ) -> None:
        super().__init__()
        self.labels = labels
        self.register_buffer("feature_mean", torch.zeros(features))
        self.register_buffer("feature_std", torch.ones(features))
        self.register_buffer("study_mean", torch.zeros(features))
        self.register_buffer("study_std", torch.ones(features))
        self.register_buffer("components", torch.zeros(features, min(COMPONENTS, features)))
        self.register_buffer("component_std", torch.ones(min(COMPONENTS, features)))
        self.register_buffer("residual", torch.ones(()))
        self.project = nn.Linear(features, width)
        self.place = nn.Linear(4 * len(PERIODS_MM), width)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)
        self.layers = nn.ModuleList([_Bidirectional(width, hidden), _Bidirectional(2 * hidden, hidden)])
        self.score = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.head = nn.Linear(2 * hidden, len(CLASSES) if labels == "softmax" else len(FINDINGS))

    def forward(self, features: torch.Tensor, position_mm: torch.Tensor, mask: torch.Tensor) -> PatientOutput:
        """Return logits, attention and distance.

        Parameters
        ----------
        features
            (B, T, F + 3) float32, foot to head; what lies in padding is not read.
        position_mm
            (B, T) float32, height above the study's lowest slice.
        mask
            (B, T) float32, 1 for a slice and 0 for padding; padding follows the slices.
        """
        features = torch.where(mask[..., None] > 0.5, features, self.feature_mean)
        levels = to_levels(position_mm, mask)
        x = self.through_layers(self.enter(levels.share @ features, levels), levels.mask)
        score = self.score(x)[..., 0].masked_fill(levels.mask < 0.5, -1e9)
        attention = torch.softmax(score, dim=1) * levels.mask
        pooled = (attention[..., None] * x).sum(dim=1)
        logits = self.head(self.drop(pooled))
        return PatientOutput(
            logits if self.labels == "softmax" else nn.functional.pad(logits, (1, 0)),
            (attention[:, None] @ levels.share)[:, 0],
            self.distance(features, mask),
        )

    def enter(self, x: torch.Tensor, levels: Levels) -> torch.Tensor:
        """Return (B, L, width), features and place of each level together, normed."""
        place = self.place(encode_position(levels.height_mm, levels.mask))
        return self.norm(self.project((x - self.feature_mean) / self.feature_std) + place)

    def through_layers(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (B, L, 2 × hidden): each level in the light of all others; `mask` (B, L) is 1 for a level."""
        x = self.drop(torch.relu(x))
        mirror = _mirror(mask)
        for layer in self.layers:
            x = self.drop(layer(x, mirror))
        return x

    def distance(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (B,) how far a study's mean features lie from the training studies', 1 being usual.

        Mahalanobis distance within the leading principal components, with what lies outside them as one more
        component (Lee et al., NeurIPS 2018, in the reduced form that survives few studies).
        """
        mean = (features * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        x = (mean - self.study_mean) / self.study_std
        z = x @ self.components
        outside = ((x * x).sum(dim=1) - (z * z).sum(dim=1)).clamp(min=0.0) / self.residual
        inside = ((z / self.component_std) ** 2).sum(dim=1)
        return torch.sqrt((inside + outside) / (self.component_std.shape[0] + 1))


class _Bidirectional(nn.Module):
    """One GRU layer in both directions, the backward one starting at each study's last true slice."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.GRU(inputs, hidden, batch_first=True)
        self.down = nn.GRU(inputs, hidden, batch_first=True)

    def forward(self, x: torch.Tensor, mirror: torch.Tensor) -> torch.Tensor:
        """Return (B, T, 2 × hidden); `mirror` (B, T) is the slice to read at each step of the way down."""
        up, _ = self.up(x)
        down, _ = self.down(_take(x, mirror))
        return torch.cat([up, _take(down, mirror)], dim=2)


def _take(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return torch.gather(x, 1, index[..., None].expand(-1, -1, x.shape[2]))


def _mirror(mask: torch.Tensor) -> torch.Tensor:
    """Return (B, T) indices that reverse each study within its own length and leave padding in place."""
    step = torch.cumsum(torch.ones_like(mask), dim=1) - 1.0
    turned = mask.sum(dim=1, keepdim=True) - 1.0 - step
    return torch.where(mask > 0.5, turned, step).long()


def encode_position(position_mm: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return (B, T, 4 × periods) sines and cosines of the height above the lowest slice and below the highest."""
    top = (position_mm * mask).amax(dim=1, keepdim=True)
    height = torch.stack([position_mm, top - position_mm], dim=2) * mask[..., None]
    angle = torch.cat([height * (2 * math.pi / period) for period in PERIODS_MM], dim=2)
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=2)
