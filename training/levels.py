"""A stack of slices as seen at even heights, so that a study means the same however finely it was sliced.

A recurrent network counts steps: the same head in 2.5 mm and in 5 mm slices is two different sequences to it, and its
probability moves with the protocol (SCREEN.md R14). Here what lies at a height is the mean of the slices around it,
near ones more; a thin slice is neither left out nor counted as much as a thick one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["LEVELS", "STEP_MM", "Levels", "to_levels"]

STEP_MM = 5.0
"""Between two levels: the usual thickness of head CT, whose slices so stay as they are."""

LEVELS = 48
"""Most levels of a study: 235 mm, more than any head. A taller stack gets wider steps, never an end cut off."""


class Levels(NamedTuple):
    """`height_mm` (B, 48) above the lowest slice, `mask` (B, 48), `share` (B, 48, T) of the slices in each level.

    The shares of a level add up to 1; padding has none, neither slices nor levels.
    """

    height_mm: torch.Tensor
    mask: torch.Tensor
    share: torch.Tensor


def to_levels(position_mm: torch.Tensor, mask: torch.Tensor) -> Levels:
    """Return which slices each level consists of.

    Parameters
    ----------
    position_mm
        (B, T) float32, ascending height above the study's lowest slice.
    mask
        (B, T) float32, 1 for a slice and 0 for padding; padding follows the slices.
    """
    position_mm = position_mm * mask
    top = position_mm.amax(dim=1, keepdim=True)
    step = (top / (LEVELS - 1)).clamp(min=STEP_MM)
    height = step * torch.arange(LEVELS, dtype=position_mm.dtype, device=position_mm.device)
    level_mask = (height <= top + step / 2).to(mask.dtype)
    # The first slice has none below it; written so, because a study of one slice has no difference at all.
    below = torch.cat([position_mm[:, :1], position_mm[:, :-1]], dim=1)
    reach = torch.maximum(step, ((position_mm - below) * mask).amax(dim=1, keepdim=True))
    near = torch.relu(1.0 - (height[:, :, None] - position_mm[:, None]).abs() / reach[:, :, None])
    near = near * mask[:, None] * level_mask[:, :, None]
    return Levels(height * level_mask, level_mask, near / near.sum(dim=2, keepdim=True).clamp(min=1e-6))
