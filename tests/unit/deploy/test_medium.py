"""The folder that is carried to a vehicle, its bill of materials and licences; registry and build are stood in for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from edge_app.core.errors import ConfigError
from edge_app.deploy import wheelhouse
from edge_app.deploy.audit import audit, read_answer
from edge_app.deploy.components import Component, installed_components, wheelhouse_components
from edge_app.deploy.constraints import Pin, read_pins
from edge_app.deploy.licences import licence_of, refused
from edge_app.deploy.registry import Registry
from edge_app.deploy.release import load_release
from edge_app.deploy.sbom import Product, sbom
from edge_app.deploy.targets import TARGETS
from edge_app.inference.signature import DEVELOPMENT_KEY, TrustedKeys
from export.release_make import make_release
from tests.unit.deploy.test_constraints import make_wheel

ROOT = Path(__file__).parents[3]


@pytest.fixture
def stood_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(_: Path, wheels: Path) -> Path:
        return make_wheel(wheels, "msu_triage-0.1.0-py3-none-any.whl", needs=("plain>=1", "pytest; extra == 'test'"))

    def fetch(_: list[Pin], wheels: Path, __: Registry) -> None:
        make_wheel(wheels, "plain-1.0-py3-none-any.whl")

    monkeypatch.setattr(wheelhouse, "_build_wheel", build)
    monkeypatch.setattr(wheelhouse, "_fetch", fetch)


def test_a_medium_has_all_that_the_installer_reads(tmp_path: Path, stood_in: None) -> None:
    bundle = ROOT / "edge_app" / "bundles" / "demo"
    medium = wheelhouse.make_medium(ROOT, tmp_path / "medium", TARGETS["jetpack6"], Registry(), bundle=bundle)
    about = json.loads((medium.folder / "medium.json").read_text())
    assert about == {
        "schema": 1, "name": medium.name, "version": "0.1.0", "target": "jetpack6", "python": "3.10",
    }  # fmt: skip
    assert read_pins(medium.folder / "requirements.txt")[-1].name == "msu-triage"
    assert [pin.name for pin in read_pins(medium.folder / "requirements-gpu.txt")] == ["pycuda"]
    for name in ("deploy/install.sh", "deploy/msu-release", "deploy/systemd/msu.target", "bundle/manifest.json"):
        assert (medium.folder / name).is_file()
    assert not list(tmp_path.glob(".*.part"))


def test_the_same_content_has_the_same_name_and_other_content_another(tmp_path: Path, stood_in: None) -> None:
    names = [
        wheelhouse.make_medium(ROOT, tmp_path / str(number), TARGETS[target], Registry()).name
        for number, target in enumerate(("debian12", "debian12", "ubuntu24"))
    ]
    assert names[0] == names[1] != names[2]


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, stood_in: None) -> None:
    with pytest.raises(ConfigError, match="is there already"):
        wheelhouse.make_medium(ROOT, tmp_path, TARGETS["debian12"], Registry())


def test_a_medium_with_a_licence_that_is_not_allowed_is_not_made(
    tmp_path: Path, stood_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(_: list[Pin], wheels: Path, __: Registry) -> None:
        make_wheel(wheels, "plain-1.0-py3-none-any.whl", licence="GPL-3.0-only")

    monkeypatch.setattr(wheelhouse, "_fetch", fetch)
    with pytest.raises(ConfigError, match="plain"):
        wheelhouse.make_medium(ROOT, tmp_path / "medium", TARGETS["debian12"], Registry())
    assert not (tmp_path / "medium").exists()


def test_the_bill_of_materials_names_every_file_its_hash_and_what_needs_it(tmp_path: Path) -> None:
    make_wheel(tmp_path, "msu_triage-0.1.0-py3-none-any.whl", needs=("plain>=1", "pytest; extra == 'test'"))
    wheel = make_wheel(tmp_path, "plain-1.0-py3-none-any.whl", needs=("missing",))
    bill = json.loads(sbom(Product("0.1.0", "demo", "1.0", "ab" * 32), wheelhouse_components(tmp_path)))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    plain, model = bill["components"]
    assert plain["purl"] == "pkg:pypi/plain@1.0"
    assert plain["hashes"][0]["content"] == wheelhouse_components(tmp_path)[1].sha256
    assert plain["properties"] == [{"name": "msu:file", "value": wheel.name}]
    assert model["type"] == "machine-learning-model"
    assert {"ref": "pkg:pypi/msu-triage@0.1.0", "dependsOn": ["pkg:pypi/plain@1.0"]} in bill["dependencies"]


@pytest.mark.parametrize(
    ("expression", "field", "classifiers", "licence"),
    [
        ("Apache-2.0 OR BSD-3-Clause", "", [], "Apache-2.0 OR BSD-3-Clause"),
        ("", "MPL-2.0 AND MIT", [], "MPL-2.0 AND MIT"),
        ("", "BSD license", [], "BSD"),
        ("", "", ["License :: OSI Approved :: MIT License"], "MIT"),
        ("", "", ["License :: OSI Approved :: MIT License", "License :: OSI Approved :: GNU GPL"], ""),
        ("", "Copyright 2020, all words of a text", [], ""),
    ],
)
def test_a_licence_is_read_as_it_is_written(expression: str, field: str, classifiers: list[str], licence: str) -> None:
    assert licence_of("plain", expression, field, classifiers) == licence


def test_gpl_and_what_cannot_be_told_are_refused() -> None:
    licences = [
        ("a", "MIT"),
        ("b", "GPL-3.0-only"),
        ("c", "MIT AND GPL-2.0-only"),
        ("d", "MIT OR GPL-2.0-only"),
        ("e", ""),
    ]
    assert [problem.split(":")[0] for problem in refused(licences)] == ["b", "c", "e"]


def test_everything_installed_for_the_vehicle_may_be_on_board() -> None:
    try:
        components: list[Component] = installed_components()
    except Exception as error:  # noqa: BLE001  an environment without the project's metadata
        pytest.skip(f"msu-triage is not installed here: {error}")
    assert {"numpy", "pydicom", "shiboken6"} <= {one.name for one in components}
    assert refused((one.name, one.licence) for one in components) == []


def test_an_audit_names_holes_and_never_takes_silence_for_their_absence() -> None:
    none = {"name": "a", "version": "1", "vulns": []}
    hole = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
    skipped = {"name": "c", "skip_reason": "not found"}
    found = read_answer(json.dumps({"dependencies": [none, hole, skipped]}))
    assert (found.looked_up, found.holes, found.skipped) == (2, ("b 2: CVE-1, mended in 2.1",), "")
    assert read_answer(json.dumps({"dependencies": [skipped]})).skipped
    assert read_answer("").skipped


def test_an_audit_is_skipped_where_its_program_is_not(tmp_path: Path) -> None:
    def missing(_: Path) -> str:
        raise FileNotFoundError("pip-audit")

    assert "not installed" in audit(tmp_path / "list.txt", missing).skipped


def test_a_medium_becomes_a_signed_release_and_comes_out_of_it_the_same(tmp_path: Path, stood_in: None) -> None:
    bundle = ROOT / "edge_app" / "bundles" / "demo"
    medium = wheelhouse.make_medium(ROOT, tmp_path / "medium", TARGETS["debian12"], Registry(), bundle=bundle)
    path, manifest = make_release(medium.folder, DEVELOPMENT_KEY)
    assert path.name == f"{medium.name}.msu" and manifest.bundle is not None and manifest.bundle.synthetic
    out = tmp_path / "out"
    out.mkdir()
    load_release(path, TrustedKeys(development=True)).unpack(out)
    for folder in (medium.folder, out):
        assert os.access(folder / "deploy" / "install.sh", os.X_OK)
        assert os.access(folder / "deploy" / "msu-release", os.X_OK)
    content = [{p.relative_to(f).as_posix(): p.read_bytes() for p in f.rglob("*") if p.is_file()}
               for f in (medium.folder, out)]  # fmt: skip
    assert content[0] == content[1]


def test_a_medium_installs_from_a_stick_whose_name_has_blanks(tmp_path: Path) -> None:
    script = (ROOT / "deploy" / "install.sh").read_text(encoding="utf-8")
    part = script[script.index("pip_install() {") : script.index("prove_release() {")]
    stick, release, asked = tmp_path / "USB DISK 1", tmp_path / "release", tmp_path / "asked"
    python = tmp_path / "python3"
    # Stands for the system's Python, and for that of the environment which it makes.
    python.write_text(
        f'#!/bin/sh\nif [ "$2" = venv ]; then mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; exit; fi\n'
        f'for word in "$@"; do echo "$word" >>"{asked}"; done\n'
    )
    python.chmod(0o755)
    values = (
        f'source="{stick}" requirements="{stick}/requirements.txt" release="{release}" offline=yes jetson=yes target=x'
    )
    subprocess.run(
        ["sh", "-euc", f"{values}\n{part}\nmake_environment"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True,
    )
    said = asked.read_text().splitlines()
    assert [said[n + 1] for n, word in enumerate(said) if word == "--find-links"] == 2 * [f"{stick}/wheels"]
    assert [said[n + 1] for n, word in enumerate(said) if word == "-r"] == [
        f"{stick}/requirements.txt", f"{stick}/requirements-gpu.txt",
    ]  # fmt: skip
