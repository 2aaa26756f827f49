"""What every inference backend promises, run over each of them and over the fake one of the tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType

import numpy as np
import pytest

from edge_app.core.errors import BackendError
from edge_app.inference.backend import Array, Backend, TensorSpec, check_arrays
from edge_app.inference.onnx_backend import OnnxBackend
from edge_app.inference.tensorrt_backend import TensorRtBackend
from export.engine.api.surface import recorded_versions
from tests.bundles import FEATURES, image_network, patient_network
from tests.fake_pycuda import FakeGpu, fake_pycuda
from tests.fake_tensorrt import fake_tensorrt
from tests.fake_tensorrt_behaviour import plan_of


class FakeBackend:
    """The tiny image network in plain numpy; lives here so that a vehicle can never load it."""

    name = "fake"
    inputs = (TensorSpec("image", "float32", ("N", 3, 224, 224)),)
    outputs = (
        TensorSpec("features", "float32", ("N", FEATURES)),
        TensorSpec("logits", "float32", ("N", 3)),
        TensorSpec("saliency", "float32", ("N", 3, 7, 7)),
    )

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        check_arrays(self.inputs, inputs)
        image = inputs["image"]
        means = image.mean(axis=(2, 3), dtype=np.float32)
        head = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0], [0.5, 0.5, 1.0]], np.float32)
        saliency = image.reshape(len(image), 3, 7, 32, 7, 32).mean(axis=(3, 5), dtype=np.float32)
        return {"features": means, "logits": means @ head, "saliency": saliency}

    def __enter__(self) -> FakeBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def tensorrt_on_a_fake(version: str) -> Callable[[], Backend]:
    """Open the TensorRT backend over the names of a real version: no GPU, so nothing is proven of engines."""

    def make() -> Backend:
        sys.modules["tensorrt"] = fake_tensorrt(version, GPU)
        shapes = [
            (1, 3, 224, 224),
            (1, 3, 224, 224),
            (4, 3, 224, 224),
        ]  # parts of two: a batch of three needs both slots
        plan = plan_of(image_network(), version, {"image": shapes})
        return TensorRtBackend(plan, FakeBackend.inputs, FakeBackend.outputs)

    return make


GPU = FakeGpu()

BACKENDS: dict[str, Callable[[], Backend]] = {
    "fake": FakeBackend,
    "onnxruntime": lambda: OnnxBackend(image_network(), threads=1),
    **{f"tensorrt-{version}-fake": tensorrt_on_a_fake(version) for version in recorded_versions()},
}


@pytest.fixture(autouse=True)
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, module in fake_pycuda(GPU).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    yield
    assert GPU.clean


@pytest.fixture
def images() -> Array:
    return np.random.default_rng(7).random((3, 3, 224, 224), np.float32)


@pytest.mark.parametrize("make", BACKENDS.values(), ids=BACKENDS)
class TestEveryBackend:
    def test_describes_its_network_by_name_type_and_shape(self, make: Callable[[], Backend]) -> None:
        with make() as backend:
            assert backend.name
            assert backend.inputs == FakeBackend.inputs
            assert {spec.name: spec.shape[1:] for spec in backend.outputs} == {
                "features": (FEATURES,),
                "logits": (3,),
                "saliency": (3, 7, 7),
            }

    def test_answers_as_the_network_computed_by_hand(self, make: Callable[[], Backend], images: Array) -> None:
        with make() as backend:
            answer = backend.run({"image": images})
        expected = FakeBackend().run({"image": images})
        assert set(answer) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(answer[name], value, atol=1e-5)

    def test_gives_the_same_bits_every_time(self, make: Callable[[], Backend], images: Array) -> None:
        with make() as backend:
            first, second = backend.run({"image": images}), backend.run({"image": images})
        assert all(first[name].tobytes() == second[name].tobytes() for name in first)

    def test_hands_out_arrays_that_a_later_call_does_not_change(
        self, make: Callable[[], Backend], images: Array
    ) -> None:
        with make() as backend:
            first = backend.run({"image": images})
            before = {name: value.copy() for name, value in first.items()}
            backend.run({"image": np.zeros_like(images)})
        for name, value in first.items():
            assert value.flags.owndata and value.flags.writeable
            np.testing.assert_array_equal(value, before[name])

    def test_takes_arrays_that_are_not_contiguous(self, make: Callable[[], Backend], images: Array) -> None:
        with make() as backend:
            whole = backend.run({"image": np.ascontiguousarray(images[:, ::-1])})
            view = backend.run({"image": images[:, ::-1]})
        np.testing.assert_array_equal(whole["logits"], view["logits"])

    @pytest.mark.parametrize(
        ("inputs", "named"),
        [
            ({}, "image"),
            ({"picture": np.zeros((1, 3, 224, 224), np.float32)}, "picture"),
            ({"image": np.zeros((1, 3, 224, 224), np.float64)}, "float64"),
            ({"image": np.zeros((3, 224, 224), np.float32)}, r"\(3, 224, 224\)"),
            ({"image": np.zeros((1, 1, 224, 224), np.float32)}, r"\(1, 1, 224, 224\)"),
            ({"image": np.zeros((0, 3, 224, 224), np.float32)}, r"\(0, 3, 224, 224\)"),
        ],
    )
    def test_refuses_inputs_that_are_not_the_networks_and_names_what_differs(
        self, make: Callable[[], Backend], inputs: dict[str, Array], named: str
    ) -> None:
        with make() as backend, pytest.raises(BackendError, match=named):
            backend.run(inputs)


def test_free_dimensions_of_one_name_must_agree_within_a_call() -> None:
    with OnnxBackend(patient_network(), threads=1) as backend, pytest.raises(BackendError, match="position_mm"):
        backend.run(
            {
                "features": np.zeros((1, 5, FEATURES + 3), np.float32),
                "position_mm": np.zeros((1, 4), np.float32),
                "mask": np.ones((1, 5), np.float32),
            }
        )


def test_bytes_that_are_no_network_are_refused_with_a_code() -> None:
    with pytest.raises(BackendError, match="E-103"):
        OnnxBackend(b"not an onnx file")


def test_a_closed_network_does_not_run() -> None:
    with OnnxBackend(image_network(), threads=1) as backend:
        pass
    with pytest.raises(BackendError, match="closed"):
        backend.run({"image": np.zeros((1, 3, 224, 224), np.float32)})
