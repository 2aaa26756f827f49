"""Changes of a batch of slices that a scanner or a patient could have made; on the fly, the whole batch at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["augment_slices", "warp"]

MAX_TURN_DEG = 12.0
MAX_SHIFT = 0.06
"""Of the image's side; the preprocessing centres every head, so little is left."""
MAX_SCALE = 0.12
MAX_WINDOW_SHIFT = 0.04
MAX_WINDOW_GAIN = 0.10
MAX_NOISE_HU = 3.0
"""Standard deviation of the noise added, per 1 mm pixel."""


def augment_slices(
    images: torch.Tensor, masks: torch.Tensor, widths_hu: Sequence[float], generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirror, turn, shift, scale, change windows and add noise.

    Parameters
    ----------
    images
        (N, 3, H, W) float32 in [0, 1].
    masks
        (N, 1, h, w) float32, moved along with the images.
    widths_hu
        Width of the window behind each channel: the noise comes from one picture in HU.
    generator
        Source of chance, so that a run can be repeated.
    """
    n = len(images)

    def draw(limit: float) -> torch.Tensor:
        return (torch.rand(n, generator=generator) * 2.0 - 1.0) * limit

    turn = draw(math.radians(MAX_TURN_DEG))
    scale = torch.exp(draw(MAX_SCALE))
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    theta = torch.stack(
        [
            torch.stack([mirror * torch.cos(turn) * scale, -torch.sin(turn) * scale, draw(2 * MAX_SHIFT)], dim=1),
            torch.stack([mirror * torch.sin(turn) * scale, torch.cos(turn) * scale, draw(2 * MAX_SHIFT)], dim=1),
        ],
        dim=1,
    )
    images, masks = warp(images, theta), warp(masks, theta)
    gain = 1.0 + draw(MAX_WINDOW_GAIN)
    shift = draw(MAX_WINDOW_SHIFT)
    images = images * gain[:, None, None, None] + shift[:, None, None, None]
    noise_hu = torch.randn(images[:, :1].shape, generator=generator)
    noise_hu *= torch.rand(n, generator=generator)[:, None, None, None] * MAX_NOISE_HU
    images = images + noise_hu / torch.tensor(widths_hu)[:, None, None]
    return images.clamp(0.0, 1.0), masks


def warp(images: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Return images (N, C, H, W) moved by affine maps (N, 2, 3); what comes from outside is 0."""
    grid = nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, align_corners=False)
