"""What each slice, and each study, may teach: targets with a weight of 0 wherever its source says nothing.

RSNA labels haemorrhage and not ischaemia; AISD labels infarcts and not haemorrhage. In label mode ``findings`` a slice
teaches only the finding that its source labels, so that no source can be told by a label; so does a study in the
patient network's. In ``softmax``, the published design, every labelled slice is one of three classes. Label −1 teaches
nothing in either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES, FINDINGS
from edge_app.inference.manifest import Labels
from training.data.prepared import PreparedSet
from training.shards import StudyRecord

__all__ = [
    "LABEL_MODES",
    "TEACHES",
    "Targets",
    "default_labels",
    "loss_sum",
    "make_targets",
    "map_loss_sum",
    "right_sum",
    "study_targets",
    "targets_of",
]

LABEL_MODES: tuple[Labels, ...] = ("softmax", "findings")

TEACHES = {"rsna": ("hemorrhage",), "aisd": ("ischemic",)}
"""Findings that a source labels; any other source labels both."""


@dataclass(frozen=True, eq=False, slots=True)
class Targets:
    """`values` (N,) class or (N, 2) findings in {0, 1}, and `weight` of the same shape, 0 where unknown."""

    mode: str
    values: NDArray[np.float32]
    weight: NDArray[np.float32]

    def usable(self) -> NDArray[np.int64]:
        """Return the numbers of slices, or studies, that teach anything."""
        return np.flatnonzero(self.weight.reshape(len(self.weight), -1).any(axis=1))


def default_labels(recipe: str) -> Labels:
    """Return the label mode of a recipe: findings, but for what is as published."""
    return "softmax" if recipe == "seed2023" else "findings"


def make_targets(data: PreparedSet, mode: str, *, balanced: bool = False) -> Targets:
    """Return the targets of a prepared set's slices; see `targets_of`."""
    sources = [study.source for study in data.studies]
    return targets_of(data.labels, [sources[i] for i in data.study_of_slice], mode, "slice", balanced=balanced)


def study_targets(records: Sequence[StudyRecord], mode: str, *, balanced: bool = False) -> Targets:
    """Return the targets of studies; see `targets_of`."""
    labels = np.asarray([record.label for record in records], np.int64)
    return targets_of(labels, [record.source for record in records], mode, "study", balanced=balanced)


def targets_of(
    labels: NDArray[np.int64], sources: Sequence[str], mode: str, what: str, *, balanced: bool = False
) -> Targets:
    """Return targets and weights.

    Parameters
    ----------
    labels, sources
        (N,) class of each, and the data set that it is from.
    mode
        One of `LABEL_MODES`.
    what
        ``slice`` or ``study``, for the words of an error.
    balanced
        Whether classes (for findings: presence and absence) weigh the same in sum.

    Raises
    ------
    TrainingError
        If a class, or the presence or absence of a finding, has none; naming it.
    """
    if mode == "softmax":
        values = labels.astype(np.float32)
        known = (labels >= 0).astype(np.float32)
        groups = [(name, values == index) for index, name in enumerate(CLASSES)]
        weight = _balance(known, groups) if balanced else known
        _demand(groups, what)
        return Targets(mode, np.maximum(values, 0), weight)
    columns, weights = [], []
    for finding in FINDINGS:
        taught = np.asarray([finding in TEACHES.get(source, FINDINGS) for source in sources], bool)
        known = (taught & (labels >= 0)).astype(np.float32)
        present = (labels == CLASSES.index(finding)).astype(np.float32)
        groups = [
            (f"{finding} (from a source that labels it)", (known > 0) & (present > 0)),
            (f"no-{finding} (from a source that labels it)", (known > 0) & (present == 0)),
        ]
        _demand(groups, what)
        columns.append(present)
        weights.append(_balance(known, groups) if balanced else known)
    return Targets(mode, np.stack(columns, axis=1), np.stack(weights, axis=1))


def loss_sum(raw: torch.Tensor, values: torch.Tensor, weight: torch.Tensor, *, smoothing: float = 0.0) -> torch.Tensor:
    """Return the weighted sum of cross-entropies; dividing by the weights of the whole step makes it a mean.

    The sum is what devices can share: each divides its part by the weight of all parts together.
    """
    if values.ndim == 1:
        each = nn.functional.cross_entropy(raw, values.long(), reduction="none", label_smoothing=smoothing)
    else:
        soft = values * (1.0 - smoothing) + 0.5 * smoothing
        each = nn.functional.binary_cross_entropy_with_logits(raw, soft, reduction="none")
    return (each * weight).sum()


def map_loss_sum(
    where: torch.Tensor, masks: torch.Tensor, values: torch.Tensor, weight: torch.Tensor, known: torch.Tensor
) -> torch.Tensor:
    """Return the sum over slices of the mean cross-entropy of the map's cells, cells with lesion weighted up.

    Parameters
    ----------
    where
        (N, C, h, w) what the second head says of each cell: 3 classes, or 2 findings.
    masks
        (N, 28, 28) share of lesion in [0, 1].
    values, weight
        As in `Targets`; a finding of weight 0 is not taught its place either, nor that it has none.
    known
        (N,) 1 where the mask can be taught.
    """
    share = nn.functional.adaptive_avg_pool2d(masks[:, None], where.shape[2:])[:, 0]
    share = (share * 2.0).clamp(max=1.0)  # half a cell of lesion is a cell with a lesion
    if values.ndim == 1:
        kind = nn.functional.one_hot(values.long(), len(CLASSES)).to(where.dtype)[:, :, None, None]
        share = share * (values > 0)[:, None, None]
        target = kind * share[:, None]
        target[:, 0] = 1.0 - share
        each = -(target * nn.functional.log_softmax(where, dim=1)).sum(dim=1)
    else:
        target = values[:, :, None, None] * share[:, None]
        each = nn.functional.binary_cross_entropy_with_logits(where, target, reduction="none")
        each = (each * (weight > 0)[:, :, None, None]).sum(dim=1)
    emphasis = 1.0 + 4.0 * share
    return ((each * emphasis).sum(dim=(1, 2)) / emphasis.sum(dim=(1, 2)) * known).sum()


def right_sum(raw: torch.Tensor, values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted number of right answers."""
    said = raw.argmax(dim=1) if values.ndim == 1 else (raw > 0).float()
    return ((said == values).float() * weight).sum()


def _balance(known: NDArray[np.float32], groups: list[tuple[str, NDArray[np.bool_]]]) -> NDArray[np.float32]:
    weight = np.zeros_like(known)
    for _, members in groups:
        weight[members] = known.sum() / (len(groups) * max(1, int(members.sum())))
    return weight


def _demand(groups: list[tuple[str, NDArray[np.bool_]]], what: str) -> None:
    for name, members in groups:
        if not members.any():
            raise TrainingError(
                f"there is no {name} {what} to train or choose by",
                remedy="Add a source with this class, or take another label mode (--labels).",
            )
