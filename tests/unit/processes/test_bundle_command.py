"""`msu bundle …` from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edge_app.cli import main
from edge_app.core.config import Settings
from edge_app.inference import tensorrt_backend
from edge_app.inference.installed import BundleStore
from edge_app.inference.manifest import IMAGE_FILE
from edge_app.processes import bundle_command
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.worker.changeover import Changeover
from tests.bundles import image_network, patient_network, write_tiny_bundle, zip_bundle
from tests.engines import SCALE, golden_set
from tests.unit.export.test_bundle_make import EVALUATION


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["bundle", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def start_worker(data: Path) -> None:
    """Let a worker start in the store and end again."""
    settings = Settings(data=data)
    with Ledger(StorePaths(data), "work") as ledger:
        changeover = Changeover(settings, ledger)
        changeover.start()
        if changeover.due(1e9):
            changeover.take_up()
        changeover.close()


def test_a_bundle_goes_from_its_parts_to_the_vehicle_with_a_key_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    networks = {"image": image_network(scale=SCALE), "patient": patient_network()}
    base = write_tiny_bundle(tmp_path / "base", evaluation=EVALUATION, **networks)
    (tmp_path / "golden.npz").write_bytes(golden_set().to_bytes())
    (tmp_path / "fp16.onnx").write_bytes(image_network(scale=SCALE))
    code, _, _ = run(capsys, "key", "release", "--out", tmp_path / "keys")
    assert code == 0
    config = tmp_path / "settings.toml"
    config.write_text(
        'data = "store"\n[analysis]\ntrusted_keys = ["keys/release.pub.pem"]\ndevelopment_key = false\nthreads = 1\n'
    )
    parts = ("--golden", tmp_path / "golden.npz", "--image-fp16", tmp_path / "fp16.onnx", "--version", "2.0")
    code, out, _ = run(capsys, "make", "--from", base, *parts, "--out", tmp_path / "made")
    assert code == 0 and "unsigned" in out
    code, _, err = run(capsys, "install", tmp_path / "made", "--config", config)
    assert code == 3 and "is not signed" in err
    code, out, _ = run(capsys, "sign", tmp_path / "made", "--key", tmp_path / "keys" / "release.key.pem")
    assert code == 0
    code, out, _ = run(capsys, "verify", tmp_path / "made", "--config", config)
    assert code == 0 and "signed by release, 3 golden patients" in out
    packed = zip_bundle(tmp_path / "made", tmp_path / "made.zip")
    code, out, _ = run(capsys, "install", packed, "--config", config)
    assert code == 0 and "3 golden patients answered" in out and "between cases" in out
    code, out, _ = run(capsys, "list", "--config", config, "--json")
    assert json.loads(out)["next"].startswith("tiny-2.0-")


def test_the_vehicle_goes_back_and_refuses_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "store"
    where = ("--data", data)
    for version in ("1.0", "2.0"):
        folder = write_tiny_bundle(tmp_path / version, version=version)
        assert run(capsys, "install", folder, *where)[0] == 0
        start_worker(data)
    store = BundleStore(data / "bundles")
    assert store.name("current").startswith("tiny-2.0-")
    assert run(capsys, "install", tmp_path / "2.0", *where)[1].endswith("runs already\n")
    code, out, _ = run(capsys, "rollback", *where)
    assert code == 0 and "tiny-1.0-" in out
    start_worker(data)
    assert store.name("current").startswith("tiny-1.0-")
    code, out, _ = run(capsys, "list", *where)
    assert "current   tiny-1.0-" in out and "previous  tiny-2.0-" in out


def test_a_damaged_bundle_never_reaches_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tiny_bundle(tmp_path / "bundle")
    (folder / IMAGE_FILE).write_bytes(b"damaged")
    code, _, err = run(capsys, "install", folder, "--data", tmp_path / "store")
    assert code == 3 and IMAGE_FILE in err and not (tmp_path / "store").exists()


def test_a_bundle_that_does_not_answer_is_not_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tiny_bundle(tmp_path / "bundle", patient=b"no network")
    code, _, err = run(capsys, "install", folder, "--data", tmp_path / "store")
    assert code == 3 and "E-103" in err
    assert not BundleStore(tmp_path / "store" / "bundles").has("next")


def test_where_there_is_tensorrt_engines_are_built_first_or_the_install_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_backend, "tensorrt_version", lambda: "10.3.0")
    monkeypatch.setattr(bundle_command.sys, "executable", "/bin/false")
    folder, data = write_tiny_bundle(tmp_path / "bundle"), tmp_path / "store"
    code, _, err = run(capsys, "install", folder, "--data", data)
    assert code == 3 and "engines" in err and not BundleStore(data / "bundles").has("next")
    monkeypatch.undo()
    assert run(capsys, "install", folder, "--data", data, "--without-engines")[0] == 0


def test_waiting_ends_with_the_worker_that_does_not_come(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tiny_bundle(tmp_path / "bundle")
    code, out, _ = run(capsys, "install", folder, "--data", tmp_path / "store", "--wait", "0.01")
    assert code == 8 and "when the worker starts" in out


def test_settings_that_name_a_bundle_install_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('[analysis]\nbundle = "elsewhere"\n')
    code, _, err = run(capsys, "install", tmp_path, "--config", config)
    assert code == 78 and "analysis.bundle" in err
    code, out, _ = run(capsys, "list", "--config", config)
    assert code == 0 and str(tmp_path / "elsewhere") in out


def test_inspect_shows_the_signature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "inspect", write_tiny_bundle(tmp_path / "bundle"))
    assert json.loads(out)["signature"]["algorithm"] == "ed25519"
    code, out, _ = run(capsys, "verify", write_tiny_bundle(tmp_path / "unsigned", key=None), "--unsigned")
    assert code == 0 and "signature not checked" in out


def test_the_workshops_part_says_what_the_vehicle_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "export.bundle_make", None)
    code, _, err = run(capsys, "make", "--from", tmp_path, "--out", tmp_path / "out")
    assert code == 78 and "`msu bundle make` needs" in err
