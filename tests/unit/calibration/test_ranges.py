from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.largest import largest_values
from calibration.ranges import BINS, CALIBRATORS, Histogram, observe
from edge_app.core.errors import ExportError
from tests.unit.calibration.networks import detector


def filled(*parts: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


def test_a_histogram_widens_without_losing_counts() -> None:
    rng = np.random.default_rng(0)
    small, large = rng.random(5000), 10 * rng.random(5000)
    histogram = filled(small, large)
    assert histogram.counts.sum() == 10000 and len(histogram.counts) == BINS
    assert histogram.largest == large.max() and histogram.range >= large.max()
    width = histogram.range / BINS
    both = np.concatenate([small, large])
    below = int(3.0 / width)
    assert abs(histogram.counts[:below].sum() - (both < below * width).sum()) <= 20


def test_the_three_calibrators_treat_an_outlier_differently() -> None:
    rng = np.random.default_rng(0)
    histogram = filled(rng.standard_normal(60000), np.array([80.0]))
    limits = {how: histogram.limit(how) for how in CALIBRATORS}
    assert limits["minmax"] == 80.0
    assert 3.0 < limits["percentile"] < 8.0
    assert 2.0 < limits["entropy"] < 20.0


def test_even_values_keep_their_whole_range() -> None:
    histogram = filled(np.random.default_rng(0).random(60000))
    assert all(histogram.limit(how) > 0.93 for how in CALIBRATORS)


def test_a_tensor_that_is_always_zero_has_a_range() -> None:
    assert filled(np.zeros(10)).limit("entropy") == 1.0


def test_nan_is_refused() -> None:
    with pytest.raises(ExportError, match="NaN or infinity"):
        filled(np.array([1.0, np.nan]))


def test_tensors_inside_a_network_and_its_input_are_seen() -> None:
    images = np.zeros((2, 3, 224, 224), np.float32)
    images[1, 0] = 1.0
    seen = observe(onnx.load_from_string(detector()), ["image", "bright"], images)
    assert seen["image"].largest == 1.0 and seen["bright"].largest == pytest.approx(10.0, abs=1e-3)


def test_nan_inside_a_network_is_refused() -> None:
    nodes = [helper.make_node("Sub", ["image", "two"], ["below"]), helper.make_node("Sqrt", ["below"], ["root"])]
    border = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 3, 224, 224)) for name in ("image", "root")]
    two = numpy_helper.from_array(np.array(2.0, np.float32), "two")
    graph = helper.make_graph(nodes, "root", border[:1], border[1:], [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    with pytest.raises(ExportError, match="'root' is NaN or infinite"):
        largest_values(model, ["root"], np.zeros((1, 3, 224, 224), np.float32))
