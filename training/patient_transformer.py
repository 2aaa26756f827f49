"""Our Transformer over slice features: masks in every attention, positions in millimetres, attention pooling.

Same inputs, outputs and buffers as `training.patient_model.PatientModel`, of which it replaces the two GRU layers.
"""

from __future__ import annotations

import torch
from torch import nn

from edge_app.inference.manifest import Labels
from training.patient_model import PatientModel

__all__ = ["PatientTransformer"]


class PatientTransformer(PatientModel):
    """Slice features with their positions to one answer for the patient, by self-attention.

    Parameters
    ----------
    features
        F + 3, the length of a slice's features and logits together.
    width, heads, layers, dropout
        Of the encoder.
    labels
        As for `PatientModel`.
    """

    def __init__(
        self,
        features: int,
        *,
        width: int = 128,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.2,
        labels: Labels = "softmax",
    ) -> None:
        super().__init__(features, width=width, hidden=width // 2, dropout=dropout, labels=labels)
        self.layers = nn.ModuleList([_MaskedLayer(width, heads, dropout) for _ in range(layers)])
        self.head = nn.Linear(width, self.head.out_features)

    def through_layers(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (B, L, width): each level in the light of all others; `mask` (B, L) is 1 for a level."""
        x = self.drop(x)
        for layer in self.layers:
            x = layer(x, mask > 0.5)
        return x


class _MaskedLayer(nn.Module):
    """One encoder layer, norms first; written out, because torch's own bakes the number of slices into ONNX."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Return (B, T, width); padding is not attended to."""
        b, t, width = x.shape
        query, key, value = self.ask(self.before(x)).reshape(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        score = (query @ key.transpose(2, 3)) * (width // self.heads) ** -0.5
        weight = torch.softmax(score.masked_fill(~present[:, None, None], -1e9), dim=3)
        x = x + self.drop(self.out((weight @ value).transpose(1, 2).reshape(b, t, width)))
        return x + self.drop(self.feed(self.between(x)))
