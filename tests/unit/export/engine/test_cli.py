"""`msu engine …` from the command line, over the fakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_app.cli import NOT_AS_EXPECTED, main
from edge_app.inference.bundle import Bundle
from edge_app.inference.passport import Latency, engines_folder, passport_path
from export.engine import machine as machine_module
from export.engine import make, status
from tests.bundles import image_network
from tests.engines import SCALE, engine_bundle, machine
from tests.fake_tensorrt import Script

pytestmark = pytest.mark.usefixtures("gpu", "builds_here", "orin")


@pytest.fixture
def orin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_module, "read_machine", machine)
    for module in (make, status):
        monkeypatch.setattr(
            module, "measure", lambda *_: Latency(batch=1, runs=50, p50_ms=4.0, p95_ms=5.0), raising=True
        )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return engine_bundle(tmp_path / "bundle", fp16=image_network(scale=SCALE))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main(["engine", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_build_list_verify_and_bench_tell_of_both_engines(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--bundle", str(bundle.path))
    code, built = run(capsys, "build", *where)
    assert code == 0
    assert [(n["network"], n["passport"]["precision"]) for n in built["networks"]] == [
        ("image", "fp16"),
        ("patient", "fp32"),
    ]
    code, listed = run(capsys, "list", *where)
    assert code == 0 and [engine["state"] for engine in listed["engines"]] == ["ready", "ready"]
    assert listed["fingerprint"]["gpu"] == "Orin"
    code, verified = run(capsys, "verify", *where)
    assert code == 0 and all(engine["gate"]["passed"] for engine in verified["engines"])
    code, timed = run(capsys, "bench", *where, "--runs", "3")
    assert code == 0 and {row["backend"].split()[0] for row in timed["latencies"]} == {"tensorrt", "onnxruntime-cpu"}


def test_the_tables_name_every_rung_and_problem(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "build", "--bundle", str(bundle.path)]) == 0
    shown = capsys.readouterr().out
    assert "chosen" in shown and "a lower" in shown
    assert main(["engine", "list", "--bundle", str(bundle.path)]) == 0
    assert "ready" in capsys.readouterr().out


def test_a_build_that_nothing_passes_ends_with_its_own_exit_code(
    bundle: Bundle, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script.build_fails = True
    code, built = run(capsys, "build", "--bundle", str(bundle.path))
    assert code == NOT_AS_EXPECTED and all(n["passport"] is None for n in built["networks"])
    code, verified = run(capsys, "verify", "--bundle", str(bundle.path))
    assert code == NOT_AS_EXPECTED and all(engine["state"] == "missing" for engine in verified["engines"])
    assert run(capsys, "bench", "--bundle", str(bundle.path))[0] == NOT_AS_EXPECTED


def test_verify_finds_an_engine_that_has_become_wrong(
    bundle: Bundle, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "build", "--bundle", str(bundle.path))
    script.spoil = lambda answer: {name: -value for name, value in answer.items()}
    code, verified = run(capsys, "verify", "--bundle", str(bundle.path))
    assert code == NOT_AS_EXPECTED
    assert any("left haemorrhage" in failure for failure in verified["engines"][0]["gate"]["failures"])


def test_a_machine_without_tensorrt_is_told_what_to_do(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert main(["engine", "build", "--bundle", str(bundle.path)]) == 8
    assert "E-810 TensorRT or pycuda is not installed here" in capsys.readouterr().err
    code, listed = run(capsys, "list", "--bundle", str(bundle.path))
    assert code == 0 and listed["fingerprint"] is None


def test_the_matrix_shows_what_is_built_stale_and_missing(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--bundle", str(bundle.path))
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    names = ("bare", "good", "moved", "damaged")
    (fleet / "fleet.toml").write_text(
        "".join(f'[[device]]\nname = "MSU {name}"\nreport = "{name}.json"\n' for name in names)
    )
    main(["engine", "list", *where, "--json"])
    (fleet / "bare.json").write_text(capsys.readouterr().out)
    run(capsys, "build", *where)
    main(["engine", "list", *where, "--json"])
    good = capsys.readouterr().out
    (fleet / "good.json").write_text(good)
    (fleet / "moved.json").write_text(good.replace('"36.4.3"', '"36.4.4"', 1))
    path = passport_path(engines_folder(bundle.path, bundle.sha256), "image")
    path.write_text(path.read_text().replace("fp16", "fp32"))
    main(["engine", "list", *where, "--json"])
    (fleet / "damaged.json").write_text(capsys.readouterr().out)

    code, shown = run(capsys, "matrix", *where, str(fleet / "fleet.toml"))
    states = {(cell["device"].split()[1], cell["network"]): cell["state"] for cell in shown["cells"]}
    assert code == NOT_AS_EXPECTED
    assert [states[name, "image"] for name in names] == ["missing", "built", "stale", "stale"]
    assert states["damaged", "patient"] == "built"
    moved = next(cell for cell in shown["cells"] if cell["device"] == "MSU moved")
    assert "l4t is '36.4.3', not '36.4.4'" in moved["problems"][0]

    newer = engine_bundle(tmp_path / "newer")
    _, shown = run(capsys, "matrix", "--bundle", str(newer.path), str(fleet / "fleet.toml"))
    good_cells = [cell for cell in shown["cells"] if cell["device"] == "MSU good"]
    assert all("made from another bundle" in cell["problems"][0] for cell in good_cells)


@pytest.mark.parametrize(
    ("text", "named"),
    [("[[device]]\nname = 'A'\n", "device.0.report"), ("device = ", "fleet.toml"), ("", "'device'")],
)
def test_a_fleet_file_that_is_wrong_is_refused_by_key(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, named: str
) -> None:
    (tmp_path / "fleet.toml").write_text(text)
    assert main(["engine", "matrix", "--bundle", str(bundle.path), str(tmp_path / "fleet.toml")]) == 78
    assert named in capsys.readouterr().err


def test_a_missing_report_is_named(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fleet.toml").write_text("[[device]]\nname = 'A'\nreport = 'gone.json'\n")
    assert main(["engine", "matrix", "--bundle", str(bundle.path), str(tmp_path / "fleet.toml")]) == 78
    assert "gone.json" in capsys.readouterr().err


def test_the_engine_part_never_loads_torch_or_training() -> None:
    code = (
        "import importlib, pkgutil, sys, export.engine, export.cli, export.gate, export.golden\n"
        "for m in pkgutil.walk_packages(export.engine.__path__, 'export.engine.'):\n"
        "    importlib.import_module(m.name)\n"
        "print('\\n'.join(sys.modules))"
    )
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"torch", "torchvision", "training", "onnx", "tensorrt", "pycuda", "calibration"}
