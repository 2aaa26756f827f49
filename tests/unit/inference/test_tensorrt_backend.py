"""Order, memory and errors of the TensorRT backend, against strict fakes; no engine is proven here."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edge_app.core.errors import BackendError
from edge_app.inference.backend import TensorSpec
from edge_app.inference.onnx_backend import OnnxBackend
from edge_app.inference.tensorrt_backend import TensorRtBackend, tensorrt_version
from tests import fake_pycuda as fakes
from tests.bundles import FEATURES, image_network, patient_network
from tests.fake_pycuda import FakeGpu, fake_pycuda
from tests.fake_tensorrt import Script, fake_tensorrt
from tests.fake_tensorrt_behaviour import plan_of

VERSION = "10.3.0"
IMAGE = (1, 3, 224, 224)
PROFILE = {"image": [IMAGE, IMAGE, (4, 3, 224, 224)]}


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, script: Script) -> Iterator[FakeGpu]:
    gpu = FakeGpu()
    for name, module in fake_pycuda(gpu).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(VERSION, gpu, script))
    yield gpu
    assert gpu.clean, "memory, page-locked memory or a context was left behind"


def image_backend(**changes: Any) -> TensorRtBackend:
    network = OnnxBackend(image_network(), threads=1)
    parts = {
        "plan": plan_of(image_network(), VERSION, PROFILE),
        "inputs": network.inputs,
        "outputs": network.outputs,
        **changes,
    }
    return TensorRtBackend(parts["plan"], parts["inputs"], parts["outputs"], label="fp16")


def images(count: int) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(count).random((count, 3, 224, 224), np.float32)}


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_a_batch_of_any_length_is_answered_as_by_onnx_runtime(gpu: FakeGpu, count: int) -> None:
    inputs = images(count)
    with image_backend() as backend:
        answer = backend.run(inputs)
    for name, value in OnnxBackend(image_network(), threads=1).run(inputs).items():
        np.testing.assert_allclose(answer[name], value, atol=1e-6)


def test_a_patient_network_takes_every_number_of_slices_of_its_profile(gpu: FakeGpu) -> None:
    network = OnnxBackend(patient_network(), threads=1)
    profile = {
        "features": [(1, 1, FEATURES + 3), (1, 40, FEATURES + 3), (1, 80, FEATURES + 3)],
        "position_mm": [(1, 1), (1, 40), (1, 80)],
        "mask": [(1, 1), (1, 40), (1, 80)],
    }
    with TensorRtBackend(plan_of(patient_network(), VERSION, profile), network.inputs, network.outputs) as backend:
        for slices in (1, 40, 80):
            inputs = {
                "features": np.random.default_rng(slices).random((1, slices, FEATURES + 3), np.float32),
                "position_mm": np.arange(slices, dtype=np.float32)[None],
                "mask": np.ones((1, slices), np.float32),
            }
            answer = backend.run(inputs)
            for name, value in network.run(inputs).items():
                np.testing.assert_allclose(answer[name], value, atol=1e-6)
        too_long = {name: np.repeat(array, 2, axis=1)[:, :81] for name, array in inputs.items()}
        with pytest.raises(BackendError, match="the plan takes"):
            backend.run(too_long)


def test_buffers_are_allocated_once_and_copies_go_up_before_the_answer_before_is_fetched(gpu: FakeGpu) -> None:
    with image_backend() as backend:
        allocated = gpu.calls.count("mem_alloc"), gpu.calls.count("pagelocked_empty")
        gpu.calls.clear()
        backend.run(images(6))
        assert "mem_alloc" not in gpu.calls and "pagelocked_empty" not in gpu.calls
    assert allocated == (8, 8)  # two slots of one input and three outputs
    flow = [call for call in gpu.calls if call in ("memcpy_htod_async", "Event.synchronize")]
    assert flow[:3] == ["memcpy_htod_async", "memcpy_htod_async", "Event.synchronize"]


def test_the_context_is_current_only_while_the_backend_works(gpu: FakeGpu) -> None:
    with image_backend() as backend:
        assert gpu.stack == [] and gpu.retained == 1
        backend.run(images(1))
        assert gpu.stack == []
    assert gpu.retained == 0


def test_addresses_and_shapes_are_set_before_every_launch(gpu: FakeGpu, script: Script) -> None:
    with image_backend() as backend:
        script.calls.clear()
        backend.run(images(1))
    names = [call.split(".")[1] for call in script.calls if "get_tensor_shape" not in call]
    assert names == ["set_input_shape", *["set_tensor_address"] * 4, "execute_async_v3"]


def test_another_thread_is_refused(gpu: FakeGpu) -> None:
    caught: list[BackendError] = []
    with image_backend() as backend:

        def use() -> None:
            try:
                backend.run(images(1))
            except BackendError as error:
                caught.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    assert "another thread" in str(caught[0])


@pytest.mark.parametrize(
    ("knob", "named"),
    [
        ("deserialise_fails", r"E-103 .*\[FAILED_INITIALIZATION\] Version tag does not match"),
        ("context_fails", r"\[FAILED_ALLOCATION\] Requested amount"),
        ("no_gpu", "cannot use this machine"),
        ("shape_fails", r"\[INVALID_ARGUMENT\]"),
    ],
)
def test_what_fails_at_opening_is_told_with_tensorrts_own_code(
    gpu: FakeGpu, script: Script, knob: str, named: str
) -> None:
    setattr(script, knob, True)
    with pytest.raises(BackendError, match=named):
        image_backend()


def test_a_launch_that_fails_is_told_with_a_code_and_the_next_one_works(gpu: FakeGpu, script: Script) -> None:
    with image_backend() as backend:
        script.execute_fails = True
        with pytest.raises(BackendError, match=r"E-103 TensorRT refused execute_async_v3: \[FAILED_EXECUTION\]"):
            backend.run(images(5))
        script.execute_fails = False
        assert len(backend.run(images(5))["logits"]) == 5


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("mem_alloc", fakes.MemoryError("cuMemAlloc failed: out of memory")),
        ("pagelocked_empty", fakes.MemoryError("cuMemHostAlloc failed: out of memory")),
        ("Stream", fakes.LogicError("cuStreamCreate failed")),
    ],
)
def test_a_cuda_error_at_opening_frees_what_was_taken(gpu: FakeGpu, call: str, error: fakes.Error) -> None:
    gpu.fail[call] = error
    with pytest.raises(BackendError, match="E-103 the TensorRT network cannot be opened: CUDA: cu"):
        image_backend()


@pytest.mark.parametrize("call", ["memcpy_htod_async", "memcpy_dtoh_async", "Event.synchronize"])
def test_a_cuda_error_while_running_is_a_backend_error(gpu: FakeGpu, call: str) -> None:
    with image_backend() as backend:
        gpu.fail[call] = fakes.LaunchError("unspecified launch failure")
        with pytest.raises(BackendError, match="cannot run: CUDA: unspecified launch failure"):
            backend.run(images(3))


def test_a_plan_of_another_network_is_refused(gpu: FakeGpu) -> None:
    network = OnnxBackend(image_network(), threads=1)
    with pytest.raises(BackendError, match="logits"):
        image_backend(outputs=network.outputs[:1])
    wider = TensorSpec("features", "float32", ("N", FEATURES + 1))
    with pytest.raises(BackendError, match="features"):
        image_backend(outputs=(wider, *network.outputs[1:]))
    with pytest.raises(BackendError, match="first dimension"):
        image_backend(inputs=(TensorSpec("image", "float32", (1, 3, 224, 224)),))


def test_bytes_that_are_no_plan_are_refused(gpu: FakeGpu) -> None:
    with pytest.raises(BackendError, match="E-103 the plan is not one of this TensorRT and GPU"):
        image_backend(plan=b"a plan of somebody else")


def test_tensorrt_8_is_refused_with_the_way_out(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "8.5.2")
    with pytest.raises(BackendError, match=r"8\.5\.2 is too old.* Upgrade JetPack"):
        image_backend()
    with pytest.raises(BackendError, match="Upgrade JetPack"):
        tensorrt_version()


def test_a_machine_without_tensorrt_has_no_version_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert tensorrt_version() is None
    with pytest.raises(BackendError, match=r"TensorRT cannot be used.*new-device"):
        image_backend()
