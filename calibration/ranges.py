"""How large the values of a tensor are: histograms over slices, and three ways to choose a range from one.

``minmax`` keeps the largest value seen; ``percentile`` cuts off the rarest; ``entropy`` loses least information in the
sense of Kullback and Leibler (the method of TensorRT's calibrator: Migacz, "8-bit inference with TensorRT", 2017).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edge_app.core.errors import ExportError
from edge_app.core.types import FloatArray
from export.onnx_file import split_weights

__all__ = ["CALIBRATORS", "Calibrator", "Histogram", "observe"]

Calibrator = Literal["minmax", "entropy", "percentile"]

CALIBRATORS: tuple[Calibrator, ...] = ("minmax", "entropy", "percentile")

BINS = 2048
LEVELS = 128
"""Steps of INT8 on one side of zero."""

PERCENTILE = 99.99
SAMPLES = 1 << 16
"""Values of a tensor that one slice adds to its histogram; the largest value is taken over all."""


class Histogram:
    """Counts of |x| in `BINS` bins, whose range doubles when a larger value comes."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.range = 0.0
        self.largest = 0.0

    def add(self, values: NDArray[np.floating], offset: int = 0) -> None:
        """Count values.

        Raises
        ------
        ExportError
            If one is not finite.
        """
        flat = values.ravel()
        largest = float(max(flat.max(initial=0.0), -flat.min(initial=0.0)))
        if not np.isfinite(largest):
            raise ExportError("the FP32 network computes NaN or infinity", remedy="Look at its weights.")
        self.largest = max(self.largest, largest)
        if self.largest == 0.0:
            self.counts[0] += min(flat.size, SAMPLES)
            return
        if self.range == 0.0:
            self.range = self.largest
        while self.range < self.largest:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([pairs, np.zeros(BINS // 2, np.int64)])
            self.range *= 2
        step = max(1, flat.size // SAMPLES)
        index = np.abs(flat[offset % step :: step]) * (BINS / self.range)
        self.counts += np.bincount(np.minimum(index.astype(np.int64), BINS - 1), minlength=BINS)

    def limit(self, how: Calibrator) -> float:
        """Return the largest value that INT8 shall hold."""
        if self.largest == 0.0:
            return 1.0  # a tensor that is always zero
        if how == "minmax":
            return self.largest
        width = self.range / BINS
        if how == "percentile":
            share = np.cumsum(self.counts) / self.counts.sum()
            edge = (int(np.searchsorted(share, PERCENTILE / 100)) + 1) * width
        else:
            edge = _least_divergence(self.counts) * width
        return float(min(edge, self.largest))


def observe(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    slices: Iterable[FloatArray],
    *,
    on_slice: Callable[[], None] = lambda: None,
) -> dict[str, Histogram]:
    """Run the FP32 network over slices (3, 224, 224) and count the values of tensors.

    Raises
    ------
    ExportError
        If the network computes NaN or infinity.
    """
    wanted = list(dict.fromkeys(tensors))
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    own = {value.name for value in (*watched.graph.output, *watched.graph.input)}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in own)
    inputs = {value.name for value in watched.graph.input}
    outputs = [name for name in wanted if name not in inputs]
    found = {name: Histogram() for name in wanted}
    with tempfile.TemporaryDirectory(prefix="msu-calibrate-") as folder:
        session = onnxruntime.InferenceSession(
            split_weights(watched, Path(folder), "watched.onnx"), providers=["CPUExecutionProvider"]
        )
        del watched
        for number, image in enumerate(slices):
            values = session.run(outputs, {"image": image[None]}) if outputs else []
            for name, value in zip(outputs, values, strict=True):
                found[name].add(value, number)
            for name in inputs & set(wanted):
                found[name].add(image, number)
            on_slice()
        del session
    return found


def _least_divergence(counts: NDArray[np.int64]) -> int:
    """Return how many bins INT8 should span so that the distribution changes least."""
    counts = counts.astype(np.float64)
    counts[0] = 0.0  # zeros, which every scale holds exactly, would drown all else
    if not counts.any():
        return BINS
    best, least = BINS, np.inf
    for end in range(LEVELS, BINS + 1, 8):
        kept = counts[:end].copy()
        kept[-1] += counts[end:].sum()
        coarse = counts[:end]
        group = np.minimum(np.arange(end) * LEVELS // end, LEVELS - 1)
        filled = coarse > 0
        sums = np.bincount(group, weights=coarse, minlength=LEVELS)
        sizes = np.bincount(group, weights=filled.astype(np.float64), minlength=LEVELS)
        spread = np.where(filled, sums[group] / np.maximum(sizes[group], 1.0), 0.0)
        there = kept > 0
        p, q = kept / kept.sum(), spread / max(spread.sum(), 1e-12)
        divergence = float((p[there] * np.log(p[there] / np.maximum(q[there], 1e-9))).sum())
        if divergence < least:
            best, least = end, divergence
    return best
