"""Networks timed against each other in one run: calls take turns, so that what else the machine does hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_app.core.clock import monotonic_s
from edge_app.core.types import FloatArray
from edge_app.inference.backend import Array

__all__ = ["Runner", "Speed", "race"]

WARM_UP = 2


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds of one call with one slice."""

    runs: int
    p50_ms: float
    p95_ms: float
    least_ms: float


class Runner(Protocol):
    """What can be timed: a backend, or a session of one's own."""

    def run(self, inputs: Mapping[str, Array]) -> object:
        """Run the network once."""


def race(
    backends: Mapping[str, Runner], image: FloatArray, *, runs: int, on_run: Callable[[], None] = lambda: None
) -> dict[str, Speed]:
    """Time networks on one slice (1, 3, 224, 224), in turns."""
    times: dict[str, list[float]] = {name: [] for name in backends}
    for number in range(WARM_UP + runs):
        for name, backend in backends.items():
            started_s = monotonic_s()
            backend.run({"image": image})
            if number >= WARM_UP:
                times[name].append((monotonic_s() - started_s) * 1000)
        on_run()
    return {
        name: Speed(runs, float(np.median(t)), float(np.percentile(t, 95)), float(min(t))) for name, t in times.items()
    }
