"""The command line's contract: output, exit codes, errors with code and remedy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_app.simulator import make_study, write_study
from tests.integration.conftest import Serving, dcmtk, run_msu, start_serving, stop_serving

pytestmark = pytest.mark.integration

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_demo_shows_the_expected_verdict_for_each_class(tmp_path: Path) -> None:
    done = run_msu("demo", "--headless", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["ok"] is True
    assert {s["case"]: s["verdict"] for s in summary["studies"]} == {
        "negative": "none_detected",
        "hemorrhage": "hemorrhage",
        "ischemic": "ischemic",
    }
    for study in summary["studies"]:
        assert (tmp_path / "out" / study["screenshot"]).read_bytes().startswith(PNG)
        assert study["model"]["synthetic"] is True
        assert study["case"] in done.stdout


def test_serve_ends_cleanly_on_sigterm(tmp_path: Path) -> None:
    serving = start_serving(tmp_path / "store")
    assert subprocess.run(
        [dcmtk("echoscu"), "-aec", serving.aet, serving.host, str(serving.port)], check=False
    ).returncode == 0  # fmt: skip
    assert stop_serving(serving) == 0


def test_send_fails_loudly_when_an_instance_is_not_accepted(tmp_path: Path) -> None:
    write_study(make_study(32_001, "negative"), tmp_path / "study")
    config = tmp_path / "full.toml"
    config.write_text(
        f"data = {json.dumps(str(tmp_path / 'store'))}\n[receiver]\nmin_free_bytes = {1 << 60}\n", encoding="utf-8"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_app", "receive", "--config", str(config), "--port", "0"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        peer = process.stdout.readline().split()[1]
        sent = run_msu("send", tmp_path / "study", "--to", peer)
        process.terminate()
        assert process.wait(30) == 0
    assert sent.returncode == 5
    assert "E-401" in sent.stderr
    assert "A700" in sent.stderr.upper()


def test_send_names_a_peer_that_does_not_answer(tmp_path: Path) -> None:
    write_study(make_study(32_001, "negative"), tmp_path)
    sent = run_msu("send", tmp_path, "--to", "NOBODY@127.0.0.1:9")
    assert sent.returncode == 5
    assert "127.0.0.1:9" in sent.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("analyse", "{empty}"), 6, "E-50"),
        (("analyse", "{empty}/nowhere"), 6, "E-50"),
        (("analyse", "{empty}", "--bundle", "{empty}"), 3, "E-101"),
        (("bundle", "verify", "{empty}"), 3, "E-101"),
        (("cases", "--data", "{empty}"), 4, "E-200"),
        (("serve", "--config", "{empty}/no.toml"), 78, "E-001"),
        (("send", "{empty}", "--to", "no address"), 78, "E-001"),
    ],
)
def test_errors_have_a_code_a_remedy_and_a_documented_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], exit_code: int, code: str
) -> None:
    done = run_msu(*(a.format(empty=tmp_path) for a in arguments))
    assert done.returncode == exit_code, done.stderr
    assert code in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_people_get_a_table(tmp_path: Path) -> None:
    write_study(make_study(32_002, "hemorrhage"), tmp_path)
    done = run_msu("analyse", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "HAEMORRHAGE" in done.stdout
    assert "not a diagnosis" in done.stdout
    assert "SYNTHETIC" in done.stdout


def test_doctor_finds_a_sound_installation_fit(tmp_path: Path) -> None:
    done = run_msu("doctor", "--data", tmp_path, "--json")
    report = json.loads(done.stdout)
    assert {f["check"] for f in report["findings"]} >= {"Model bundle", "Disk", "Image decoders", "Screen"}
    assert done.returncode == (0 if report["ok"] else 8)


def test_a_changed_byte_in_the_bundle_is_found(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "edge_app" / "bundles" / "demo"
    shutil.copytree(shipped, tmp_path / "bundle")
    weights = tmp_path / "bundle" / "image.onnx"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    done = run_msu("bundle", "verify", tmp_path / "bundle")
    assert done.returncode == 3
    assert "image.onnx" in done.stderr
    sound = run_msu("bundle", "verify", shipped)
    assert sound.returncode == 0, sound.stderr
    assert sound.stdout.startswith("OK ")


def test_cases_lists_what_a_store_holds(serving: Serving, tmp_path: Path) -> None:
    write_study(make_study(32_003, "negative"), tmp_path)
    assert run_msu("send", tmp_path, "--to", serving.peer).returncode == 0
    table = run_msu("cases", "--data", serving.data)
    assert table.returncode == 0
    assert "Patient ID" in table.stdout
