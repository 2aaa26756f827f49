"""One build over a strict fake of every supported version: order, flags, refusals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_app.core.errors import EngineError
from edge_app.inference.passport import ProfileRange
from export.engine.api.surface import recorded_versions
from export.engine.builder import build_plan
from export.engine.request import BuildReport, BuildRequest, MemoryPools
from export.engine.worker import make_monitor
from tests.bundles import image_network
from tests.fake_pycuda import FakeGpu
from tests.fake_tensorrt import Script, fake_tensorrt
from tests.fake_tensorrt_behaviour import MAGIC

RANGE = ProfileRange(smallest=(1, 3, 224, 224), best=(1, 3, 224, 224), largest=(16, 3, 224, 224))


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    content = image_network()
    (tmp_path / "image.onnx").write_bytes(content)
    return BuildRequest(
        network="image",
        precision="fp16",
        onnx=str(tmp_path / "image.onnx"),
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        plan=str(tmp_path / "image.plan"),
        timing_cache=str(tmp_path / "cache"),
        profile={"image": RANGE},
        pools=MemoryPools(workspace_mib=512, tactic_dram_mib=1024),
    )


def build(
    request: BuildRequest,
    script: Script,
    *,
    version: str = "10.3.0",
    cancelled: Callable[[], bool] = lambda: False,
    events: list[dict[str, Any]] | None = None,
) -> BuildReport:
    seen: list[dict[str, Any]] = [] if events is None else events
    trt = fake_tensorrt(version, FakeGpu(), script)
    return build_plan(trt, request, lambda trt: make_monitor(trt, seen.append, cancelled), cancelled)


def header(request: BuildRequest) -> dict[str, Any]:
    head = Path(request.plan).read_bytes().partition(b"\n")[0]
    body: dict[str, Any] = json.loads(head.removeprefix(MAGIC))
    return body


@pytest.mark.parametrize("version", recorded_versions())
def test_every_supported_version_builds_strongly_typed_without_precision_flags(
    request_: BuildRequest, version: str
) -> None:
    script = Script()
    report = build(request_, script, version=version)
    plan = header(request_)
    assert (report.typing, report.flags, plan["strong"], plan["flags"]) == ("strong", ("-TF32",), True, [])
    assert plan["profile"] == {"image": [list(RANGE.smallest), list(RANGE.best), list(RANGE.largest)]}
    assert plan["pools"] == {"WORKSPACE": 512 << 20, "TACTIC_DRAM": 1024 << 20}
    order = [call for call in script.calls if call.startswith(("Builder.", "OnnxParser.parse"))]
    assert order == [
        "Builder.create_network",
        "OnnxParser.parse_from_file",
        "Builder.create_builder_config",
        "Builder.create_optimization_profile",
        "Builder.build_serialized_network",
    ]


def test_every_parser_error_is_listed(request_: BuildRequest) -> None:
    script = Script(parser_errors=["no importer for Gelu", "unsupported type"])
    with pytest.raises(EngineError, match=r"E-810 .*node 0 '/node0' \(Gelu\): no importer for Gelu; node 1 .*type"):
        build(request_, script)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Cuda Runtime (out of memory)", "Memory did not suffice"),
        ("NvMapMemAllocInternalTagged: 1075072515 error 12", "Memory did not suffice"),
        ("Requested amount of GPU memory (1073741824 bytes) could not be allocated", "Memory did not suffice"),
        ("10: Could not find any implementation for node {ForeignNode[/blocks.0]}", "Most often this is memory"),
        ("Error Code 4: Internal Error (kOPT values)", "Read the lines named"),
    ],
)
def test_no_engine_is_told_with_tensorrts_words_and_what_they_mean(
    request_: BuildRequest, said: str, remedy: str
) -> None:
    with pytest.raises(EngineError) as refused:
        build(request_, Script(build_fails=True, build_log=[said]), version="10.13.3.9")
    assert said in refused.value.message
    assert refused.value.remedy.startswith(remedy)
    assert not Path(request_.plan).exists()


def test_only_10_3_falls_back_to_weak_typing_and_says_why(request_: BuildRequest) -> None:
    script = Script(strong_build_fails=True, build_log=["Error Code 9: strong typing"])
    report = build(request_, script, version="10.3.0")
    assert report.typing == "weak" and "Error Code 9: strong typing" in report.typing_reason
    assert report.flags == ("-TF32", "FP16") and header(request_)["flags"] == ["FP16"]
    with pytest.raises(EngineError):
        build(request_, Script(strong_build_fails=True), version="10.13.3.9")


def test_a_node_without_an_implementation_in_its_type_is_tried_weakly_typed(request_: BuildRequest) -> None:
    said = "10: Could not find any implementation for node {ForeignNode[/blocks.0]}"
    report = build(request_, Script(strong_build_fails=True, build_log=[said]), version="10.3.0")
    assert report.typing == "weak" and said in report.typing_reason


def test_want_of_memory_is_no_reason_for_weak_typing(request_: BuildRequest) -> None:
    script = Script(strong_build_fails=True, build_log=["out of memory"])
    with pytest.raises(EngineError, match="out of memory"):
        build(request_, script, version="10.3.0")


def test_int8_on_weak_typing_allows_both_precisions(request_: BuildRequest) -> None:
    report = build(request_.model_copy(update={"precision": "int8"}), Script(strong_build_fails=True))
    assert report.flags == ("-TF32", "FP16", "INT8")


def test_progress_is_told_step_by_step_and_a_cancelled_build_leaves_no_plan(request_: BuildRequest) -> None:
    events: list[dict[str, Any]] = []
    with pytest.raises(EngineError, match="cancelled"):
        build(request_, Script(steps=5), cancelled=lambda: len(events) >= 5, events=events)
    assert events[0] == {"event": "phase", "name": "Building", "parent": "", "steps": 5}
    assert events[1] == {"event": "phase", "name": "Tactics", "parent": "Building", "steps": 1}
    assert [event["step"] for event in events if event["event"] == "step" and event["name"] == "Building"] == [0]
    assert not Path(request_.plan).exists()


@pytest.mark.parametrize("script", [Script(cache_refused=True), Script(cache_damaged=True)])
def test_the_timing_cache_is_kept_and_one_that_is_refused_begins_anew(request_: BuildRequest, script: Script) -> None:
    cache = Path(request_.timing_cache)
    build(request_, Script())
    assert cache.read_bytes().startswith(b"cache of")
    cache.write_bytes(b"of another device, or cut off")
    build(request_, script)
    assert cache.read_bytes().startswith(b"cache of")


def test_another_file_than_the_one_asked_for_is_not_built(request_: BuildRequest) -> None:
    Path(request_.onnx).write_bytes(image_network(scale=2.0))
    with pytest.raises(EngineError, match=r"not the file that was asked for.* make the bundle again"):
        build(request_, Script())


def test_a_profile_for_other_inputs_is_refused(request_: BuildRequest) -> None:
    with pytest.raises(EngineError, match=r"\['image'\] are not \['picture'\]"):
        build(request_.model_copy(update={"profile": {"picture": RANGE}}), Script())


def test_a_machine_without_a_gpu_is_told_in_words(request_: BuildRequest) -> None:
    with pytest.raises(EngineError, match=r"cannot use this machine.* Check the GPU driver"):
        build(request_, Script(no_gpu=True))


def test_tensorrt_8_is_refused_with_the_way_out(request_: BuildRequest) -> None:
    trt = fake_tensorrt("10.3.0", FakeGpu())
    trt.__version__ = "8.6.2"  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match=r"8\.6\.2 is too old.* Upgrade JetPack"):
        build_plan(trt, request_, lambda trt: None, lambda: False)
