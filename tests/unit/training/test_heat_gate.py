"""Heat maps are released only if they find lesions, and only if a network that knows nothing draws other ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from training.heat_gate import FEWEST_SLICES, judge_heat_maps
from training.image_model import ImageOutput

pytestmark = pytest.mark.requirement("R38")


class Drawn:
    """Slices that are bright where the lesion is, and say so in their masks."""

    def __init__(self, count: int) -> None:
        self.labels = np.arange(count) % 2 + 1
        rng = np.random.default_rng(5)
        self._corner = rng.integers(3, 21, (count, 2))

    def masks(self, slices: NDArray[np.int64]) -> NDArray[np.uint8]:
        masks = np.zeros((len(slices), 28, 28), np.uint8)
        for mask, (row, column) in zip(masks, self._corner[slices], strict=True):
            mask[row : row + 4, column : column + 4] = 255
        return masks

    def inputs(self, slices: NDArray[np.int64]) -> NDArray[Any]:
        bright = self.masks(slices).repeat(8, axis=1).repeat(8, axis=2)
        return np.repeat(bright[:, None], 3, axis=1)


class Looks(nn.Module):
    """Maps of both findings: the slice's brightness times a weight that is learnt, its darkness if that is negative."""

    def __init__(self, weight: float, *, drawn_anew: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self._drawn_anew = drawn_anew

    def reset_parameters(self) -> None:
        nn.init.constant_(self.weight, self._drawn_anew)

    def forward(self, image: torch.Tensor) -> ImageOutput:
        seen = nn.functional.adaptive_avg_pool2d(image[:, :1], 14) * self.weight - self.weight.clamp(max=0.0)
        maps = torch.cat([torch.zeros_like(seen), seen, seen], dim=1)
        # What adds the same to all classes changes no probability, and must change no verdict here.
        return ImageOutput(maps.mean(dim=(2, 3)), maps.mean(dim=(2, 3)), maps + torch.arange(14.0) * 9)


def judge(model: nn.Module, count: int = 60) -> dict[str, Any]:
    return judge_heat_maps(model, Drawn(count), np.arange(count), [f"P{i // 3}" for i in range(count)])


def test_maps_that_find_lesions_by_what_was_learnt_are_released() -> None:
    judged = judge(Looks(1.0, drawn_anew=-1.0))
    assert judged["passed"]
    assert judged["hit_rate"]["value"] == 1.0 and judged["hit_rate"]["n"] == 60
    assert judged["ssim_randomised"]["value"] < 0.5


def test_maps_that_miss_are_not_released() -> None:
    judged = judge(Looks(-1.0, drawn_anew=1.0))
    assert judged["hit_rate"]["value"] == 0.0
    assert not judged["passed"]


def test_maps_that_a_network_without_knowledge_draws_as_well_are_not_released() -> None:
    judged = judge(Looks(1.0, drawn_anew=0.3))
    assert judged["hit_rate"]["value"] == 1.0 and judged["ssim_randomised"]["value"] > 0.9
    assert not judged["passed"]


@pytest.mark.parametrize("count", [0, FEWEST_SLICES - 1])
def test_too_few_slices_release_nothing(count: int) -> None:
    assert not judge(Looks(1.0, drawn_anew=-1.0), count)["passed"]
