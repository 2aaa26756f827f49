"""Which calibrator and layers are chosen, told by a judge whose answers are made up."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from calibration.choose import choose_int8
from calibration.layers import Graph
from calibration.quantise import place
from calibration.ranges import CALIBRATORS, Histogram, observe
from edge_app.core.errors import ExportError
from export.gate import GateReport
from tests.unit.calibration.networks import detector

IMAGES = np.linspace(0.0, 1.0, 2 * 3 * 224 * 224, dtype=np.float32).reshape(2, 3, 224, 224)


class Judge:
    """Refuses a network as long as `spoilt` is INT8 in it."""

    def __init__(self, spoilt: str) -> None:
        self.spoilt, self.asked = spoilt, 0

    def __call__(self, model: onnx.ModelProto) -> GateReport:
        self.asked += 1
        quantised = any(node.op_type == "DequantizeLinear" and self.spoilt in node.name for node in model.graph.node)
        return GateReport(("spoilt",) if quantised else (), {"mean_slice_change": 0.01 * self.asked}, {})


@pytest.fixture(scope="module")
def network() -> tuple[onnx.ModelProto, dict[str, Histogram]]:
    model = onnx.load_from_string(detector())
    graph = Graph(model)
    return model, observe(model, place(graph, graph.layers(), "cpu").observed, IMAGES)


def test_a_network_that_keeps_the_budget_whole_is_judged_once_for_each_calibrator(
    network: tuple[onnx.ModelProto, dict[str, Histogram]],
) -> None:
    judge = Judge("nothing")
    found = choose_int8(*network, IMAGES, judge, target="cpu")
    assert found.excluded == () and len(found.placement.layers) == 3
    assert judge.asked == len(CALIBRATORS)
    assert found.calibrator == CALIBRATORS[0]  # the judge's first answer is the best


def test_layers_are_left_out_worst_first_until_the_budget_is_kept(
    network: tuple[onnx.ModelProto, dict[str, Histogram]],
) -> None:
    judge = Judge("detect/")
    found = choose_int8(*network, IMAGES, judge, target="cpu", calibrator="minmax")
    assert "detected" in found.excluded
    worst = sorted(found.effects, key=lambda e: (e.probability_change, e.logit_error), reverse=True)
    assert set(found.excluded) == {effect.layer for effect in worst[: len(found.excluded)]}
    assert judge.asked == 1 + len(found.excluded)


def test_a_network_that_never_keeps_the_budget_is_refused(
    network: tuple[onnx.ModelProto, dict[str, Histogram]],
) -> None:
    with pytest.raises(ExportError, match="no part of the network keeps the accuracy budget"):
        choose_int8(*network, IMAGES, Judge(""), target="cpu", calibrator="minmax")


def test_where_nothing_keeps_the_budget_the_whole_network_can_be_had_and_says_so(
    network: tuple[onnx.ModelProto, dict[str, Histogram]],
) -> None:
    found = choose_int8(*network, IMAGES, Judge(""), target="cpu", calibrator="minmax", whole_at_least=True)
    assert not found.judged.passed
    assert found.excluded == () and len(found.placement.layers) == 3


def test_layers_are_not_scanned_for_nothing(network: tuple[onnx.ModelProto, dict[str, Histogram]]) -> None:
    found = choose_int8(*network, IMAGES, Judge("nothing"), target="cpu", scan_always=False)
    assert found.judged.passed and found.effects == ()
    spoilt = choose_int8(*network, IMAGES, Judge("detect/"), target="cpu", calibrator="minmax", scan_always=False)
    assert spoilt.judged.passed and len(spoilt.effects) == 3
