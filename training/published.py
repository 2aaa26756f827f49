"""The published patient networks, as they are: padding is read like slices, and positions are never told.

They are here so that published weights and numbers can be reproduced. `training.patient_model` and
`training.patient_transformer` are what the vehicle uses. Input is (B, 80, F), features with their logits behind, in
ascending z and padded with zeros.
"""

from __future__ import annotations

import torch
from torch import nn

from edge_app.core.types import CLASSES
from training.patient_model import PatientOutput

__all__ = ["PUBLISHED_LENGTH", "BiGRUModel", "CNNTransformer", "PublishedPatient"]

PUBLISHED_LENGTH = 80
"""Slices every study is padded to."""


class BiGRUModel(nn.Module):
    """Two bidirectional GRU layers of 150; the answer is read at the last step, which usually is padding."""

    def __init__(self, features: int, hidden: int = 150, layers: int = 2) -> None:
        super().__init__()
        self.gru = nn.GRU(features, hidden, layers, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * hidden, len(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, 3) logits of (B, T, F)."""
        return self.fc(self.gru(x)[0][:, -1])


class CNNTransformer(nn.Module):
    """One encoder layer over the features, then the mean over all steps, padding included."""

    def __init__(self, features: int, heads: int = 8, feed_forward: int = 2048, dropout: float = 0.05) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(features, heads, feed_forward, dropout, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.fc = nn.Linear(features, len(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, 3) logits of (B, T, F)."""
        return self.fc(self.transformer_encoder(x).mean(dim=1))


class PublishedPatient(nn.Module):
    """A published network behind the interface of ours: pads to 80 as it was trained, and tells no distance.

    Parameters
    ----------
    net
        `BiGRUModel`, which reads features and logits, or `CNNTransformer`, whose width is that of the features alone.
    width
        How many of a slice's values it reads.
    """

    def __init__(self, net: nn.Module, width: int) -> None:
        super().__init__()
        self.net, self.width = net, width

    def forward(self, features: torch.Tensor, position_mm: torch.Tensor, mask: torch.Tensor) -> PatientOutput:
        """Return logits, a uniform attention and a distance of 0 for (B, T, F + 3) features."""
        x = features[..., : self.width] * mask[..., None]
        if x.shape[1] < PUBLISHED_LENGTH:
            x = nn.functional.pad(x, (0, 0, 0, PUBLISHED_LENGTH - x.shape[1]))
        attention = mask / mask.sum(dim=1, keepdim=True)
        return PatientOutput(self.net(x), attention, torch.zeros_like(position_mm[:, 0]))
