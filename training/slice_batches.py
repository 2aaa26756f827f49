"""Slices in steps: which ones, loaded ahead, and changed as another scanner or patient would have changed them.

All of it is a function of seed, epoch and step. A run that goes on after a kill, or on another number of devices, sees
the same slices, changed in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.augment import MAX_NOISE_HU, MAX_SCALE, MAX_SHIFT, MAX_TURN_DEG, MAX_WINDOW_GAIN, MAX_WINDOW_SHIFT, warp
from training.data.prepared import PreparedSet
from training.targets import Targets

__all__ = ["Augmentation", "Step", "load_ahead", "plan_steps", "to_unit"]

AHEAD = 6
"""Steps loaded, or being loaded, while the device computes."""

READERS = 3
"""Threads that load: a disk answers several questions sooner than one after the other."""

NOISE_PICTURES = 64


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One device's part of one step, on the CPU; totals are those of all devices' parts together."""

    slices: NDArray[np.int64]
    images: torch.Tensor
    values: torch.Tensor
    weight: torch.Tensor
    masks: torch.Tensor
    """(n, 28, 28) uint8 share of lesion."""
    mask_known: torch.Tensor
    """(n,) float32, 1 where the mask can be taught."""
    total_weight: float
    total_masks: float


def plan_steps(usable: NDArray[np.int64], batch: int, *, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Return the slices of each step of an epoch; a last step that is not full is left out, if it is not the only one.

    A step of one slice or two would upset every batch norm.
    """
    order = np.random.default_rng([seed, epoch]).permutation(usable)
    steps = max(1, len(order) // batch)
    return [order[i * batch : (i + 1) * batch] for i in range(steps)]


def load_ahead(
    data: PreparedSet,
    targets: Targets,
    steps: list[NDArray[np.int64]],
    *,
    rank: int = 0,
    devices: int = 1,
    pin: bool = False,
) -> Iterator[Step]:
    """Yield this device's share of each step, read by threads while the last ones are computed.

    Parameters
    ----------
    pin
        Whether images lie in pinned memory, from where a GPU fetches them while it computes.
    """
    known = (data.mask_known & (data.labels >= 0)).astype(np.float32)

    def load(slices: NDArray[np.int64]) -> Step:
        mine = slices[rank::devices]
        images = torch.from_numpy(data.inputs(mine))
        return Step(
            mine,
            images.pin_memory() if pin else images,
            torch.from_numpy(targets.values[mine]),
            torch.from_numpy(targets.weight[mine]),
            torch.from_numpy(data.masks(mine)),
            torch.from_numpy(known[mine]),
            float(targets.weight[slices].sum()),
            float(known[slices].sum()),
        )

    with ThreadPoolExecutor(READERS, thread_name_prefix="slices") as reader:
        waiting: list[Future[Step]] = []
        try:
            for slices in steps:
                waiting.append(reader.submit(load, slices))
                if len(waiting) > AHEAD:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def to_unit(images: torch.Tensor) -> torch.Tensor:
    """Return stored slices (uint8 0-255, or float16 in [0, 1]) as float32 in [0, 1]."""
    return images.float() / 255.0 if images.dtype == torch.uint8 else images.float()


class Augmentation:
    """Mirror, small turn, shift, scale, window jitter and noise, for each slice by its own chance.

    Parameters
    ----------
    widths_hu
        Width of the window behind each channel: the noise comes from one picture in HU.
    seed
        Of the run.
    """

    def __init__(self, widths_hu: tuple[float, ...], seed: int, device: torch.device) -> None:
        self._seed = seed
        self._widths = torch.tensor(widths_hu, device=device)[:, None, None]
        generator = torch.Generator().manual_seed(seed)
        self._noise = torch.randn(NOISE_PICTURES, 1, 224, 224, generator=generator).to(device)

    def __call__(
        self, images: torch.Tensor, masks: torch.Tensor, slices: NDArray[np.int64], epoch: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (N, 3, 224, 224) in [0, 1] changed, and masks (N, 28, 28) moved along."""
        drawn = torch.from_numpy(np.stack([self._draw(int(number), epoch) for number in slices])).to(images.device)
        turn, scale, mirror = drawn[:, 0], drawn[:, 1], drawn[:, 2]
        theta = torch.stack(
            [
                torch.stack([mirror * torch.cos(turn) * scale, -torch.sin(turn) * scale, drawn[:, 3]], dim=1),
                torch.stack([mirror * torch.sin(turn) * scale, torch.cos(turn) * scale, drawn[:, 4]], dim=1),
            ],
            dim=1,
        )
        images, masks = warp(images, theta), warp(masks[:, None], theta)[:, 0]
        each = drawn[:, :, None, None, None]
        images = images * each[:, 5] + each[:, 6]
        images = images + self._noise[drawn[:, 8].long()] * each[:, 7] / self._widths
        return images.clamp(0.0, 1.0), masks

    def _draw(self, number: int, epoch: int) -> NDArray[np.float32]:
        rng = np.random.default_rng([self._seed, epoch, number])
        turn, scale, dx, dy, gain, shift = rng.uniform(-1.0, 1.0, 6)
        return np.asarray(
            [
                turn * math.radians(MAX_TURN_DEG),
                math.exp(scale * MAX_SCALE),
                rng.choice((-1.0, 1.0)),
                dx * 2 * MAX_SHIFT,
                dy * 2 * MAX_SHIFT,
                1.0 + gain * MAX_WINDOW_GAIN,
                shift * MAX_WINDOW_SHIFT,
                rng.choice((-1.0, 1.0)) * rng.uniform() * MAX_NOISE_HU,
                rng.integers(NOISE_PICTURES),
            ],
            np.float32,
        )
