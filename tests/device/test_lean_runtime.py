"""The real runtime's refusals, where only TensorRT's lean library is: it deserialises plans but builds none.

``pip install tensorrt-lean-cu13-libs tensorrt-lean-cu13-bindings`` is enough (46 MB); with the whole of TensorRT,
`test_tensorrt` shows more.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edge_app.core.errors import BackendError
from edge_app.inference.backend import TensorSpec
from edge_app.inference.tensorrt_backend import TensorRtBackend, tensorrt_version
from edge_app.inference.tensorrt_errors import make_logger, make_recorder

INPUTS = (TensorSpec("image", ("batch", 3, 224, 224), "float32"),)
OUTPUTS = (TensorSpec("logits", ("batch", 3), "float32"),)

NO_PLANS = {
    "nothing": b"",
    "a word": b"plan",
    "zeros": bytes(4096),
    "noise": np.random.default_rng(0).bytes(1 << 16),
    "a plan's first bytes, then noise": b"ptrt" + np.random.default_rng(1).bytes(1 << 16),
}


@pytest.fixture
def lean(monkeypatch: pytest.MonkeyPatch, cuda: Any) -> ModuleType:
    """Return the lean bindings, which stand for TensorRT: both have the names that the runtime backend uses."""
    try:
        module = importlib.import_module("tensorrt_lean_bindings")
    except (ImportError, OSError) as error:
        pytest.skip(f"no lean TensorRT: {error}")
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    return module


@pytest.mark.parametrize("plan", NO_PLANS.values(), ids=NO_PLANS.keys())
def test_what_is_no_plan_is_refused_in_tensorrts_own_words(lean: ModuleType, plan: bytes) -> None:
    with pytest.raises(BackendError, match="E-103") as refused:
        TensorRtBackend(plan, INPUTS, OUTPUTS)
    assert "is not one of this TensorRT and GPU: " in refused.value.message


def test_a_refusal_leaves_no_context_and_no_memory_behind(lean: ModuleType, cuda: Any, context: Any) -> None:
    free_before, _ = cuda.mem_get_info()
    for _ in range(5):
        with pytest.raises(BackendError):
            TensorRtBackend(NO_PLANS["noise"], INPUTS, OUTPUTS)
    free_after, _ = cuda.mem_get_info()
    assert cuda.Context.get_current() is not None
    assert free_before - free_after < 64 << 20


def test_the_version_is_read_and_not_too_old(lean: ModuleType) -> None:
    assert tensorrt_version() == lean.__version__


def test_recorder_and_logger_can_be_made_of_the_real_classes(lean: ModuleType) -> None:
    recorder, logger = make_recorder(lean), make_logger(lean)
    assert recorder.report_error(lean.ErrorCodeTRT.INTERNAL_ERROR, "why")
    assert recorder.num_errors() == 1 and recorder.take() == "[INTERNAL_ERROR] why" and recorder.num_errors() == 0
    logger.log(lean.ILogger.ERROR, "said")
    assert list(logger.lines) == ["said"]
