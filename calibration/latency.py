"""Networks timed against each other in one run: they take turns, so that what else the machine does hits all alike."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime

from edge_app.core.clock import monotonic_s
from edge_app.core.types import FloatArray
from edge_app.inference.backend import Array

__all__ = ["Runner", "Speed", "by_operation", "race"]

TURN = 5
"""Calls that a network makes before it is the next one's turn.

The first of them is not counted: the other network's weights are in the cache then. In the vehicle one network runs
again and again; where each call was the other network's turn, ViT-L/16 in INT8, whose weights just fit, lost a sixth.
"""


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
    for first in range(0, runs, TURN):
        turn = min(TURN, runs - first)
        for name, backend in backends.items():
            backend.run({"image": image})
            for _ in range(turn):
                started_s = monotonic_s()
                backend.run({"image": image})
                times[name].append((monotonic_s() - started_s) * 1000)
                on_run()
    return {
        name: Speed(runs, float(np.median(t)), float(np.percentile(t, 95)), float(min(t))) for name, t in times.items()
    }


def by_operation(content: bytes, image: FloatArray, *, runs: int, most: int = 12) -> dict[str, float]:
    """Return milliseconds of one call by the kind of operation that ONNX Runtime made, on one thread, longest first."""
    spent: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="msu-profile-") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "calls")
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for _ in range(runs):
            session.run(None, {"image": image})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    longest = {name: round(us / runs / 1000, 1) for name, us in spent.most_common(most)}
    return {"all": round(sum(spent.values()) / runs / 1000, 1), **longest}
