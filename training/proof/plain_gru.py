"""The published GRU with its fault and without it, and one plain training for both: nothing else differs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from training.feature_cache import best_device
from training.features import FeatureSet
from training.patient_model import PatientOutput
from training.published import BiGRUModel, PublishedPatient
from training.run_patient import PublishedRecipe, train_published
from training.train_patient import predict_patients

__all__ = ["MaskedGRU", "accuracy_of", "fit_plain", "standardised"]


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


def fit_plain(train: FeatureSet, validation: FeatureSet, *, masked: bool, epochs: int, seed: int) -> nn.Module:
    """Train the published GRU, masked or as it was; both begin with the same weights and see the same batches."""
    torch.manual_seed(seed)
    width = train.features[0].shape[1]
    net = BiGRUModel(width)
    model: nn.Module = (MaskedGRU(net) if masked else PublishedPatient(net, width)).to(best_device())
    recipe = PublishedRecipe(seed=seed, learning_rate=1e-3, batch=8, patience=epochs, epochs=epochs)
    train_published(model, train, validation, replace(recipe, reversed_twins=False))
    return model


def accuracy_of(model: nn.Module, data: FeatureSet) -> float:
    """Return the share of studies whose likeliest class is theirs."""
    logits, _ = predict_patients(model, data)  # type: ignore[arg-type]
    return float((logits.argmax(dim=1).numpy() == data.labels()).mean())


def standardised(train: FeatureSet, *others: FeatureSet) -> list[FeatureSet]:
    """Return all sets with the training slices' mean taken off and their deviation divided out."""
    table = np.concatenate(train.features)
    mean, deviation = table.mean(axis=0), table.std(axis=0) + 1e-3
    return [
        FeatureSet(part.records, tuple(((rows - mean) / deviation).astype(np.float32) for rows in part.features))
        for part in (train, *others)
    ]
