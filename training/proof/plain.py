"""One plain training for networks that are compared, and the published GRU without its fault."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.feature_cache import best_device
from training.features import FeatureSet
from training.patient_model import PatientOutput
from training.published import BiGRUModel
from training.run_patient import PublishedRecipe, train_published
from training.train_patient import predict_patients

__all__ = ["MaskedGRU", "fit_plain", "right_of", "standardised"]


class MaskedGRU(nn.Module):
    """The published GRU's own layers, read at the ends of each study instead of the end of its padding."""

    def __init__(self, net: BiGRUModel) -> None:
        super().__init__()
        self.net = net

    def forward(self, features: torch.Tensor, position_mm: torch.Tensor, mask: torch.Tensor) -> PatientOutput:
        """Return logits, a uniform attention and a distance of 0 for (B, T, F + 3) features."""
        lengths = mask.sum(dim=1)
        packed = nn.utils.rnn.pack_padded_sequence(
            features, lengths.long().cpu(), batch_first=True, enforce_sorted=False
        )
        _, state = self.net.gru(packed)
        logits = self.net.fc(torch.cat([state[-2], state[-1]], dim=1))
        return PatientOutput(logits, mask / lengths[:, None], torch.zeros_like(position_mm[:, 0]))


def fit_plain(
    model: nn.Module, train: FeatureSet, validation: FeatureSet, *, rate: float, epochs: int, seed: int
) -> None:
    """Train a patient network in the plainest way; with one seed, all see the same batches."""
    recipe = PublishedRecipe(
        seed=seed, learning_rate=rate, batch=8, patience=epochs, epochs=epochs, reversed_twins=False
    )
    train_published(model.to(best_device()), train, validation, recipe)


def right_of(model: nn.Module, data: FeatureSet) -> NDArray[np.bool_]:
    """Return (studies,) whether the likeliest class is theirs."""
    logits, _ = predict_patients(model, data)  # type: ignore[arg-type]
    return np.asarray(logits.argmax(dim=1).numpy() == data.labels())


def standardised(train: FeatureSet, *others: FeatureSet, by_study: bool = False) -> list[FeatureSet]:
    """Return all sets with the training slices' mean taken off and their deviation divided out.

    Parameters
    ----------
    by_study
        Whether the deviation is that of the studies' means, not of single slices.
    """
    table = np.stack([rows.mean(axis=0) for rows in train.features]) if by_study else np.concatenate(train.features)
    mean, deviation = table.mean(axis=0), table.std(axis=0) + 1e-3
    return [
        FeatureSet(part.records, tuple(((rows - mean) / deviation).astype(np.float32) for rows in part.features))
        for part in (train, *others)
    ]
