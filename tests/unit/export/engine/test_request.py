from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.core.errors import EngineError
from export.engine.failures import kind_of
from export.engine.ladder import Tried, choose, rungs_for
from export.engine.machine import read_machine
from export.engine.request import plan_pools, profile_for
from tests.engines import CUDA


def test_pools_leave_room_for_the_system_and_the_weights() -> None:
    pools = plan_pools(available_mib=6000, device_mib=7680, onnx_mib=1200)
    assert pools.tactic_dram_mib == 6000 - 768 - 3 * 1200
    assert pools.workspace_mib == pools.tactic_dram_mib // 2


def test_the_smaller_of_host_and_device_memory_counts() -> None:
    assert plan_pools(64_000, 8_000, 100) == plan_pools(8_000, 64_000, 100)


def test_too_little_memory_is_told_with_what_is_needed() -> None:
    with pytest.raises(EngineError, match=r"3000 MiB of memory are free.* needs 4624 MiB.* Stop the worker"):
        plan_pools(3000, 8000, 1200)


def test_another_free_dimension_is_refused() -> None:
    with pytest.raises(EngineError, match="free dimension 'H'"):
        profile_for("image", {"image": ("N", 3, "H", "H")}, 80)


def test_want_of_memory_is_told_before_anything_else() -> None:
    assert kind_of(["Could not find any implementation for node X", "CUDA_ERROR_OUT_OF_MEMORY"]) == "memory"
    assert kind_of(["Could not find any implementation for node X"]) == "probably memory"
    assert kind_of([]) == "build"


@pytest.mark.parametrize(
    ("int8_ms", "fp16_ms", "fp32_ms", "kept"),
    [
        (4.4, 5.0, None, "int8"),
        (4.6, 5.0, None, "fp16"),
        (6.0, 5.0, None, "fp16"),
        (4.6, None, None, "int8"),
        (None, 5.0, 4.0, "fp32"),
        (None, None, 9.0, "fp32"),
        (None, None, None, None),
    ],
)
def test_int8_is_kept_only_where_it_is_ten_per_cent_faster_than_fp16(
    int8_ms: float | None, fp16_ms: float | None, fp32_ms: float | None, kept: str | None
) -> None:
    times = {"int8": int8_ms, "fp16": fp16_ms, "fp32": fp32_ms}
    tried = [
        Tried(precision, "passed" if time is not None else "gate refused", p50_ms=time)  # type: ignore[arg-type]
        for precision, time in times.items()
    ]
    assert choose(tried) == kept


def test_auto_tries_what_the_bundle_holds_and_a_named_precision_stands_alone() -> None:
    assert rungs_for("auto", ["fp32", "int8"]) == ("int8", "fp32")
    assert rungs_for("fp16", ["fp32"]) == ("fp16",)


def test_free_memory_and_power_mode_are_read_from_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from export.engine import machine as module

    monkeypatch.setattr(module, "tensorrt_version", lambda: "10.3.0")
    for name, text in (
        ("proc/meminfo", "MemTotal:        7620000 kB\nMemAvailable:    5242880 kB\n"),
        ("var/lib/nvpmodel/status", "pmode:0002"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = read_machine(root=tmp_path, cuda_device=lambda: CUDA)
    assert (found.available_mib, found.power_mode) == (5120, "0002")
    bare = read_machine(root=tmp_path / "nowhere", cuda_device=lambda: CUDA)
    assert (bare.available_mib, bare.power_mode) == (7680, "")
