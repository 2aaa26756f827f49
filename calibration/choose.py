"""Choose calibrator and layers: what keeps the accuracy budget on patients set apart.

The calibrator that changes slices least is taken. Of the layers the worst are left out, one, two, four … of them,
until the budget is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import onnx

from calibration.layers import Graph, Layer
from calibration.quantise import Placement, Target, place, quantise
from calibration.ranges import CALIBRATORS, Calibrator, Histogram
from calibration.sensitivity import LayerEffect, scan_layers
from edge_app.core.errors import ExportError
from edge_app.core.types import FloatArray
from edge_app.inference.manifest import Labels
from export.gate import GateLimits, GateReport

__all__ = ["BUDGET", "Chosen8", "choose_int8"]

BUDGET = GateLimits(max_flip_fraction=0.005, max_patient_change=0.025, max_slice_change=0.10)
"""Half of what the gate allows in probability: the golden set is other patients."""

Judge = Callable[[onnx.ModelProto], GateReport]


@dataclass(frozen=True, eq=False, slots=True)
class Chosen8:
    """A network in INT8 that keeps the budget, and how it was found."""

    model: onnx.ModelProto
    placement: Placement
    scales: dict[str, float]
    calibrator: Calibrator
    tried: dict[str, dict[str, float]]
    """Measured on the patients set apart, by calibrator."""
    effects: tuple[LayerEffect, ...]
    excluded: tuple[str, ...]
    judged: GateReport


def choose_int8(
    model: onnx.ModelProto,
    histograms: Mapping[str, Histogram],
    images: FloatArray,
    judge: Judge,
    *,
    target: Target,
    calibrator: Calibrator | Literal["auto"] = "auto",
    labels: Labels = "softmax",
    scan_always: bool = True,
    whole_at_least: bool = False,
    say: Callable[[str], None] = lambda _: None,
    on_layer: Callable[[], None] = lambda: None,
) -> Chosen8:
    """Quantise a network within the budget.

    Parameters
    ----------
    model
        FP32, after `calibration.layers.plain_products`.
    histograms
        Of every tensor of `calibration.quantise.observable`.
    images
        A few slices for the scan of layers.
    labels
        How the network's logits are read.
    judge
        Compares a network with FP32 on the patients set apart, against `BUDGET`.
    scan_always
        Scan the layers, for whoever reads the report, even where the whole network keeps the budget.
    whole_at_least
        Where nothing keeps the budget, return the whole network in INT8, whose `judged` says so, instead of raising.

    Raises
    ------
    ExportError
        If nothing can be quantised within the budget.
    """
    graph = Graph(model)
    layers = graph.layers()
    if not layers:
        raise ExportError("the network has no layer to quantise", remedy="Leave INT8 out for it.")

    def make(kept: Sequence[Layer], how: Calibrator) -> tuple[onnx.ModelProto, Placement, dict[str, float]]:
        placement = place(graph, kept, target)
        limits = {name: histograms[name].limit(how) for name in placement.observed}
        made, scales = quantise(model, placement, limits)
        return made, placement, scales

    tried: dict[str, dict[str, float]] = {}
    best: tuple[float, Calibrator, GateReport] | None = None
    for how in CALIBRATORS if calibrator == "auto" else (calibrator,):
        report = judge(make(layers, how)[0])
        tried[how] = report.measured
        change = report.measured.get("mean_slice_change", float("inf"))
        say(f"{how}: slices change by {change:.5f} on average, {'; '.join(report.failures) or 'within the budget'}")
        if best is None or change < best[0]:
            best = change, how, report
    assert best is not None  # CALIBRATORS is not empty
    _, chosen, whole = best
    if whole.passed and not scan_always:
        return Chosen8(*make(layers, chosen), chosen, tried, (), (), whole)
    limits = {layer.activation: histograms[layer.activation].limit(chosen) for layer in layers}
    say(f"scan of {len(layers)} layers, {len(images)} slices each")
    effects = scan_layers(model, layers, limits, images, labels=labels, on_layer=on_layer)
    worst_first = [e.layer for e in sorted(effects, key=lambda e: (e.probability_change, e.logit_error), reverse=True)]
    left_out = 0
    while left_out < len(layers):
        gone = set(worst_first[:left_out])
        made, placement, scales = make([layer for layer in layers if layer.name not in gone], chosen)
        report = judge(made) if gone else whole
        if report.passed:
            return Chosen8(made, placement, scales, chosen, tried, tuple(effects), tuple(sorted(gone)), report)
        say(f"{left_out} layers left out: {'; '.join(report.failures)}")
        left_out = max(1, left_out * 2)
    if whole_at_least:
        return Chosen8(*make(layers, chosen), chosen, tried, tuple(effects), (), whole)
    raise ExportError(
        f"no part of the network keeps the accuracy budget in INT8: {'; '.join(report.failures)}",
        remedy="Calibrate on more slices, or leave INT8 out for it.",
    )
