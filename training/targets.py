"""What each slice may teach: targets with a weight of 0 wherever its source says nothing.

RSNA labels haemorrhage and not ischaemia; AISD labels infarcts and not haemorrhage. In label mode ``findings`` a slice
teaches only the finding that its source labels, so that no source can be told by a label. In ``softmax``, the published
design, every labelled slice is one of three classes. Label −1 teaches nothing in either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES
from training.data.prepared import PreparedSet
from training.families import FINDINGS

__all__ = ["LABEL_MODES", "TEACHES", "Targets", "loss_sum", "make_targets", "map_loss_sum", "right_sum"]

LABEL_MODES = ("softmax", "findings")

TEACHES = {"rsna": ("hemorrhage",), "aisd": ("ischemic",)}
"""Findings that a source labels; any other source labels both."""


@dataclass(frozen=True, eq=False, slots=True)
class Targets:
    """`values` (N,) class or (N, 2) findings in {0, 1}, and `weight` of the same shape, 0 where unknown."""

    mode: str
    values: NDArray[np.float32]
    weight: NDArray[np.float32]

    def usable(self) -> NDArray[np.int64]:
        """Return the numbers of slices that teach anything."""
        return np.flatnonzero(self.weight.reshape(len(self.weight), -1).any(axis=1))


def make_targets(data: PreparedSet, mode: str, *, balanced: bool = False) -> Targets:
    """Return the targets of a prepared set.

    Parameters
    ----------
    data
        Slices with labels and sources.
    mode
        One of `LABEL_MODES`.
    balanced
        Whether classes (for findings: presence and absence) weigh the same in sum.

    Raises
    ------
    TrainingError
        If a class, or the presence or absence of a finding, has no slice; naming it.
    """
    if mode == "softmax":
        values = data.labels.astype(np.float32)
        known = (data.labels >= 0).astype(np.float32)
        groups = [(name, values == index) for index, name in enumerate(CLASSES)]
        weight = _balance(known, groups) if balanced else known
        _demand(groups)
        return Targets(mode, np.maximum(values, 0), weight)
    sources = np.asarray([study.source for study in data.studies])[data.study_of_slice]
    columns, weights = [], []
    for finding in FINDINGS:
        taught = np.asarray([finding in TEACHES.get(source, FINDINGS) for source in sources], bool)
        known = (taught & (data.labels >= 0)).astype(np.float32)
        present = (data.labels == CLASSES.index(finding)).astype(np.float32)
        groups = [
            (f"{finding} (from a source that labels it)", (known > 0) & (present > 0)),
            (f"no-{finding} (from a source that labels it)", (known > 0) & (present == 0)),
        ]
        _demand(groups)
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


def _demand(groups: list[tuple[str, NDArray[np.bool_]]]) -> None:
    for name, members in groups:
        if not members.any():
            raise TrainingError(
                f"there is no {name} slice to train or choose by",
                remedy="Add a source with this class, or take another label mode.",
            )
