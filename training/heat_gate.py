"""Whether heat maps may be shown at all (SCREEN.md R38): they must find lesions, and must come from what was learnt.

- *Pointing game* (Zhang et al., ECCV 2016): on slices with a lesion, how often the map's maximum lies on it.
- *Randomised network* (Adebayo et al., NeurIPS 2018): a map that looks alike when every weight is drawn anew shows the
  edges of the picture, and nothing of what the network knows.

A bundle whose maps fail, or were never measured, shows none: then there is only the slice-probability strip.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import nn

from edge_app.core.saliency import evidence
from edge_app.core.types import CLASSES, FloatArray
from training.bootstrap import PatientBootstrap
from training.slice_batches import to_unit

__all__ = ["Slices", "judge_heat_maps", "randomised"]

LEAST_HIT_RATE = 0.7
MOST_SSIM = 0.5

FEWEST_SLICES = 50
"""Fewer slices with a lesion mask decide nothing."""

MAX_SLICES = 500
BATCH = 32
NEAR = np.ones((5, 5), np.uint8)
"""Two cells of the mask, 16 pixels, beside the lesion still are a hit: the pointing game itself allows 15."""


class Slices(Protocol):
    """Prepared slices with lesion masks: `training.shards.StudySet` or `training.data.prepared.PreparedSet`."""

    labels: NDArray[np.int64]

    def inputs(self, slices: NDArray[np.int64]) -> NDArray[Any]:
        """Return (n, 3, 224, 224) as stored."""

    def masks(self, slices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (n, 28, 28) share of lesion, times 255."""


def judge_heat_maps(
    model: nn.Module, data: Slices, candidates: NDArray[np.int64], patients: Sequence[str], *, seed: int = 2023
) -> dict[str, Any]:
    """Return ``hit_rate``, ``ssim_randomised`` (both with n and interval), what is asked of them, and ``passed``.

    Parameters
    ----------
    model
        Image network with an output ``saliency`` (N, 3, h, w); it is left in evaluation mode.
    candidates
        Numbers of slices that show a lesion and whose masks are known; `MAX_SLICES` are drawn from them.
    patients
        Of each slice of `candidates`.
    """
    drawn = np.sort(np.random.default_rng(seed).permutation(len(candidates))[:MAX_SLICES])
    chosen = np.asarray(candidates)[drawn]
    masks = data.masks(chosen) if len(chosen) else np.zeros((0, 28, 28), np.uint8)
    lesion = masks.any(axis=(1, 2))
    chosen, masks = chosen[lesion], masks[lesion]
    bootstrap = PatientBootstrap([patients[i] for i in drawn[lesion]])
    side = masks.shape[1]
    hits, alike = np.zeros(len(chosen), bool), np.zeros(len(chosen))
    other = randomised(model, seed)
    for first in range(0, len(chosen), BATCH):
        part = slice(first, first + BATCH)
        images, labels = to_unit(torch.from_numpy(data.inputs(chosen[part]))), data.labels[chosen[part]]
        learnt, drawn_anew = _maps(model, images, labels, side), _maps(other, images, labels, side)
        for i, (seen, random, mask) in enumerate(zip(learnt, drawn_anew, masks[part], strict=True), start=first):
            near = cv2.dilate((mask > 0).astype(np.uint8), NEAR)
            hits[i] = seen.max() > 0 and bool(near.flat[int(seen.argmax())])
            alike[i] = structural_similarity(seen, random, data_range=1.0)
    hit_rate, ssim = bootstrap.rate(hits), bootstrap.mean(alike)
    enough = len(chosen) >= FEWEST_SLICES
    return {
        "hit_rate": hit_rate,
        "ssim_randomised": ssim,
        "asked": {"hit_rate": LEAST_HIT_RATE, "ssim_randomised": MOST_SSIM, "slices": FEWEST_SLICES},
        "passed": bool(enough and hit_rate["value"] >= LEAST_HIT_RATE and ssim["value"] <= MOST_SSIM),
    }


def randomised(model: nn.Module, seed: int) -> nn.Module:
    """Return a copy whose layers are all drawn anew, as before any training."""
    other = deepcopy(model).eval()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for module in other.modules():
            for name in ("reset_parameters", "_reset_parameters"):
                if callable(reset := getattr(module, name, None)):
                    reset()
    return other


@torch.no_grad()
def _maps(model: nn.Module, images: torch.Tensor, labels: NDArray[np.int64], side: int) -> list[FloatArray]:
    """Return the positive part of each slice's map of its own class, as the screen paints it, its maximum being 1."""
    device = next(model.parameters()).device
    saliency = model.eval()(images.to(device)).saliency.cpu().numpy()
    shown = np.stack([evidence(maps, CLASSES[label]) for maps, label in zip(saliency, labels, strict=True)])
    positive = torch.from_numpy(np.maximum(shown, 0.0))[:, None]
    fine = nn.functional.interpolate(positive, (side, side), mode="bilinear")[:, 0].numpy()
    return [np.asarray(m / m.max() if m.max() > 0 else m, np.float32) for m in fine]
