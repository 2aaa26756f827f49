"""Makes a medium: the folder that is carried to a vehicle and installs without a network (deploy/README.md)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edge_app.core.errors import ConfigError, InputError, NetworkError, ProcessError
from edge_app.deploy.components import wheelhouse_components
from edge_app.deploy.constraints import Pin, file_of, gpu_file_of, read_pins
from edge_app.deploy.licences import refused
from edge_app.deploy.registry import Registry
from edge_app.deploy.sbom import Product, licence_table, sbom
from edge_app.deploy.targets import Target

__all__ = ["Medium", "make_medium"]

PACKAGE_PARTS = ("pyproject.toml", "README.md", "LICENSE", "edge_app", "export", "training", "calibration")
"""What a wheel of msu-triage is built from."""

_EPOCH = "946684800"
"""The time that stands in a wheel: the same source makes the same bytes."""


@dataclass(frozen=True, slots=True)
class Medium:
    """A finished one."""

    folder: Path
    name: str
    files: int


def make_medium(
    source: Path,
    out: Path,
    target: Target,
    registry: Registry,
    *,
    bundle: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Medium:
    """Write the medium for a target into the new folder `out`.

    Raises
    ------
    ConfigError
        If `out` is there already, or a licence does not allow a package on board.
    NetworkError
        If the registry cannot be asked, or gives other bytes than those listed.
    ProcessError
        If the wheel of this program cannot be built.
    """
    if out.exists():
        raise ConfigError(f"{out} is there already", remedy="Name a new folder.")
    beside = out.with_name(f".{out.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    wheels = beside / "wheels"
    wheels.mkdir(parents=True)
    own = _build_wheel(source, wheels)
    constraints = source / "deploy" / "constraints"
    pins = read_pins(file_of(constraints, target))
    gpu = read_pins(gpu_file_of(constraints, target)) if target.gpu else []
    say(f"{len(pins) + len(gpu)} files from the registry")
    _fetch([*pins, *gpu], wheels, registry)
    version = own.name.split("-")[1]
    own_pin = Pin("msu-triage", version, hashlib.sha256(own.read_bytes()).hexdigest())
    _write_lines(beside / "requirements.txt", [str(pin) for pin in (*pins, own_pin)])
    if gpu:
        _write_lines(beside / "requirements-gpu.txt", [str(pin) for pin in gpu])
    shutil.copytree(source / "deploy", beside / "deploy", ignore=shutil.ignore_patterns("pictures"))
    product = Product(version)
    if bundle is not None:
        product = _copy_bundle(bundle, beside / "bundle", version)
    components = wheelhouse_components(wheels)
    if problems := refused((one.name, one.licence) for one in components):
        raise ConfigError("; ".join(problems), remedy="Another package, or a decision in edge_app/deploy/licences.py.")
    (beside / "sbom.cdx.json").write_text(sbom(product, components), encoding="utf-8")
    (beside / "licences.md").write_text(licence_table(components), encoding="utf-8")
    name = f"{re.sub('[^0-9A-Za-z.-]', '-', version)}-{_hash_of(beside)}"
    about = {"schema": 1, "name": name, "version": version, "target": target.name, "python": target.python_text}
    (beside / "medium.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    beside.replace(out)
    return Medium(out, name, sum(1 for _ in _files(out)))


def _build_wheel(source: Path, wheels: Path) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        copy.mkdir()
        for part in PACKAGE_PARTS:
            path = source / part
            if path.is_dir():
                shutil.copytree(path, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(path, copy / part)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(copy)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProcessError(f"the wheel cannot be built: {done.stderr.strip()}", remedy="See pip's message.")
    return next(wheels.glob("msu_triage-*.whl"))


def _fetch(pins: Sequence[Pin], wheels: Path, registry: Registry) -> None:
    registry.look_up(pin.name for pin in pins)

    def fetch(pin: Pin) -> None:
        file = next((file for file in registry.files(pin.name) if file.sha256 == pin.sha256), None)
        if file is None:
            raise NetworkError(
                f"the registry has no {pin.name} {pin.version} with the listed hash",
                remedy="`msu deploy constraints` says what else is missing.",
            )
        registry.download(file, wheels)

    with ThreadPoolExecutor(4, "wheelhouse") as pool:
        list(pool.map(fetch, pins))


def _copy_bundle(bundle: Path, to: Path, version: str) -> Product:
    manifest = bundle / "manifest.json"
    if not manifest.is_file():
        raise InputError(f"{bundle} is no model bundle: it has no manifest.json", remedy="Name its folder, unpacked.")
    shutil.copytree(bundle, to)
    about = json.loads(manifest.read_text(encoding="utf-8"))
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    return Product(version, str(about["name"]), str(about["version"]), digest)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _hash_of(folder: Path) -> str:
    """Return eight characters that stand for everything in the folder but what tells the time of making."""
    digest = hashlib.sha256()
    for path in _files(folder):
        if path.name != "sbom.cdx.json":
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:8]
