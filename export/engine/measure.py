"""How long a call of a network takes, host to host."""

from __future__ import annotations

import numpy as np

from edge_app.core.clock import monotonic_s
from edge_app.inference.backend import Backend
from edge_app.inference.passport import Latency, ProfileRange

__all__ = ["measure"]

WARM_UP = 10
RUNS = 50


def measure(backend: Backend, profile: dict[str, ProfileRange], batch: int | None = None, runs: int = RUNS) -> Latency:
    """Time a network at the shape its engine is tuned for.

    Parameters
    ----------
    profile
        Shapes by input; the best one is used.
    batch
        Another first dimension, if not None.
    runs
        Calls that are timed, after `WARM_UP` others.
    """
    rng = np.random.default_rng(0)
    shapes = {name: (batch or shapes.best[0], *shapes.best[1:]) for name, shapes in profile.items()}
    inputs = {
        spec.name: rng.random(shapes[spec.name]).astype(spec.dtype)
        if spec.name != "mask"
        else np.ones(shapes[spec.name], spec.dtype)
        for spec in backend.inputs
    }
    times_ms = []
    for number in range(WARM_UP + runs):
        started_s = monotonic_s()
        backend.run(inputs)
        if number >= WARM_UP:
            times_ms.append((monotonic_s() - started_s) * 1e3)
    p50_ms, p95_ms = np.percentile(times_ms, (50, 95))
    return Latency(batch=next(iter(shapes.values()))[0], runs=runs, p50_ms=float(p50_ms), p95_ms=float(p95_ms))
