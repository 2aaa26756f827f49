"""Which files run where, the lists of exact packages, and the registry, with one made of files."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edge_app.core.errors import ConfigError, NetworkError
from edge_app.deploy import registry as registry_module
from edge_app.deploy.constraints import Pin, check, file_of, gpu_file_of, read_pins
from edge_app.deploy.registry import Registry
from edge_app.deploy.targets import TARGETS, Target, target_named

LISTS = Path(__file__).parents[3] / "deploy" / "constraints"
ROOT = Path(__file__).parents[3]


def make_wheel(folder: Path, filename: str, *, licence: str = "MIT", needs: tuple[str, ...] = ()) -> Path:
    """Write a wheel with nothing but metadata."""
    name, version = filename.split("-")[:2]
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", f"License: {licence}"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / filename, "w") as wheel:
        # Without a time of day: the same content is the same file.
        wheel.writestr(zipfile.ZipInfo(f"{name}-{version}.dist-info/METADATA"), "\n".join(lines) + "\n")
    return folder / filename


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry with three projects; pages are JSON files."""
    files = tmp_path / "files"
    for name in (
        "plain-1.0-py3-none-any.whl",
        "native-2.0-cp310-cp310-manylinux_2_34_aarch64.whl",
        "native-2.0-cp312-abi3-manylinux_2_39_aarch64.whl",
        "native-2.0-cp310-cp310-manylinux2014_x86_64.whl",
        "newer-3.0-cp310-cp310-manylinux_2_39_aarch64.whl",
    ):
        make_wheel(files, name)
    (files / "native-2.0.tar.gz").write_bytes(b"source")
    pages = {}
    for project in ("plain", "native", "newer"):
        entries = [
            {
                "filename": path.name,
                "url": path.as_uri(),
                "hashes": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
                "requires-python": ">=3.8",
                "yanked": project == "newer",
            }
            for path in sorted(files.glob(f"{project}-*"))
        ]
        pages[f"https://registry.test/simple/{project}/"] = json.dumps({"files": entries}).encode()
    real = registry_module._read

    def read(url: str, *, accept: str = "*/*") -> bytes:
        if url in pages:
            return pages[url]
        if url.startswith("file:"):
            return real(url, accept=accept)
        raise NetworkError(f"{url} cannot be read: 404", remedy="Try another.")

    monkeypatch.setattr(registry_module, "_read", read)
    return Registry("https://registry.test/simple")


@pytest.mark.parametrize(
    ("target", "file"),
    [
        ("jetpack6", "native-2.0-cp310-cp310-manylinux_2_34_aarch64.whl"),
        ("jetpack7", "native-2.0-cp312-abi3-manylinux_2_39_aarch64.whl"),
        ("ubuntu22", "native-2.0-cp310-cp310-manylinux2014_x86_64.whl"),
        ("debian12", None),
    ],
)
def test_each_target_takes_the_wheel_of_its_python_machine_and_c_library(
    target: str, file: str | None, registry: Registry
) -> None:
    best = registry.best("native", "2.0", TARGETS[target])
    assert (best.name if best else None) == file


def test_source_is_taken_only_where_it_is_asked_for(registry: Registry) -> None:
    best = registry.best("native", "2.0", TARGETS["jetpack6"], source=True)
    assert best is not None and best.name == "native-2.0.tar.gz"


def test_the_check_names_what_is_missing_withdrawn_or_for_another_machine(registry: Registry) -> None:
    jetpack6 = TARGETS["jetpack6"]
    plain = registry.best("plain", "1.0", jetpack6)
    for_others = registry.best("native", "2.0", TARGETS["ubuntu22"])
    assert plain is not None and for_others is not None
    withdrawn = registry.files("newer")[0]
    pins = [
        Pin("plain", "1.0", plain.sha256),
        Pin("plain", "1.0", "0" * 64),
        Pin("native", "2.0", for_others.sha256),
        Pin("newer", "3.0", withdrawn.sha256),
    ]
    assert check(pins, jetpack6, registry) == [
        "jetpack6: plain 1.0: the registry has no file with that hash",
        "jetpack6: native 2.0: native-2.0-cp310-cp310-manylinux2014_x86_64.whl does not run on Python 3.10, "
        "glibc 2.35, aarch64",
        "jetpack6: newer 3.0: newer-3.0-cp310-cp310-manylinux_2_39_aarch64.whl was withdrawn",
    ]


def test_a_file_with_other_bytes_than_listed_is_not_kept(tmp_path: Path, registry: Registry) -> None:
    file = registry.best("plain", "1.0", TARGETS["jetpack6"])
    assert file is not None
    Path(file.url.removeprefix("file://")).write_bytes(b"other")
    with pytest.raises(NetworkError, match="has the hash"):
        registry.download(file, tmp_path)
    assert not (tmp_path / file.name).exists()


def test_a_line_without_hash_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# a comment\nnumpy==1.26.4\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"list\.txt, line 2"):
        read_pins(tmp_path / "list.txt")


def test_an_unknown_target_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="jetpack5"):
        target_named("jetpack5")


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_lists_hold_what_pyproject_asks_for(target: Target) -> None:
    pins = {pin.name: pin.version for pin in read_pins(file_of(LISTS, target))}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = project.split("dependencies = [")[1].split("\n]")[0]
    wanted = [Requirement(text) for text in re.findall(r'^    "(.+?)",', block, re.MULTILINE)]
    assert len(wanted) > 15
    machine = {"python_version": target.python_text, "platform_machine": target.machine}
    for requirement in wanted:
        if requirement.marker is None or requirement.marker.evaluate(machine):
            name = canonicalize_name(requirement.name)
            assert name in pins, "renew the lists: msu deploy constraints --update (needs uv)"
            assert pins[name] in requirement.specifier
    assert not {"torch", "pytest", "lightning-fabric"} & pins.keys()
    assert gpu_file_of(LISTS, target).is_file() == bool(target.gpu)


def test_jetpack6_has_the_versions_that_it_can_take() -> None:
    pins = {pin.name: pin.version for pin in read_pins(file_of(LISTS, TARGETS["jetpack6"]))}
    assert pins["pyside6-essentials"] == "6.8.0.2"
    assert pins["numpy"].startswith("1.")


def test_the_installer_knows_the_same_targets() -> None:
    script = (ROOT / "deploy" / "install.sh").read_text(encoding="utf-8")
    for name in TARGETS:
        assert name in script
