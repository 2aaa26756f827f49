"""The exact packages of a vehicle, one file a target: name, version and the hash of the one file that runs there.

`deploy/constraints/TARGET.txt` holds wheels only; `TARGET-gpu.txt` what is compiled on the device.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from edge_app.core.errors import ConfigError, NetworkError
from edge_app.deploy.registry import Registry, RegistryFile
from edge_app.deploy.targets import Target
from edge_app.store.paths import write_atomically

__all__ = ["Pin", "check", "file_of", "gpu_file_of", "read_pins", "update"]

_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")


_NEWEST_GLIBC = 40
"""The newest that uv knows the name of."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One exact package."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def file_of(folder: Path, target: Target) -> Path:
    """Return where a target's wheels are listed."""
    return folder / f"{target.name}.txt"


def gpu_file_of(folder: Path, target: Target) -> Path:
    """Return where is listed what is compiled on the device."""
    return folder / f"{target.name}-gpu.txt"


def read_pins(path: Path) -> list[Pin]:
    """Return what a file lists.

    Raises
    ------
    ConfigError
        If it cannot be read, or a line is no exact package with its hash.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", remedy="Run this in the project's folder, or name it with --source."
        ) from error
    pins = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ConfigError(
                f"{path}, line {number}: '{line}' is no 'NAME==VERSION --hash=sha256:HASH'",
                remedy="`msu deploy constraints --update` writes the file.",
            )
        pins.append(Pin(**match.groupdict()))
    return pins


def check(pins: Iterable[Pin], target: Target, registry: Registry, *, source: bool = False) -> list[str]:
    """Return what is wrong with pins: no file, a withdrawn one, or one that does not run on the target.

    Raises
    ------
    NetworkError
        If the registry cannot be asked.
    """
    problems = []
    pins = list(pins)
    registry.look_up(pin.name for pin in pins)
    for pin in pins:
        named = f"{target.name}: {pin.name} {pin.version}"
        file = next((file for file in registry.files(pin.name) if file.sha256 == pin.sha256), None)
        if file is None or file.version != pin.version:
            problems.append(f"{named}: the registry has no file with that hash")
        elif file.yanked:
            problems.append(f"{named}: {file.name} was withdrawn")
        elif not (file.is_source_for(target) if source else file.rank(target) is not None):
            problems.append(
                f"{named}: {file.name} does not run on Python {target.python_text}, "
                f"glibc {'.'.join(map(str, target.glibc))}, {target.machine}"
            )
    return problems


def update(source: Path, folder: Path, target: Target, registry: Registry) -> list[Path]:
    """Resolve pyproject.toml for a target, and write its files.

    Raises
    ------
    ConfigError
        If uv is not installed, or finds no solution.
    NetworkError
        If the registry has no file that runs on the target.
    """
    extra = (*target.extra, *target.gpu)
    versions = _resolve(source / "pyproject.toml", extra, target)
    registry.look_up(name for name, _ in versions)
    gpu = {canonicalize_name(re.split(r"[<>=!~ ]", text)[0]) for text in target.gpu}
    head = (
        f"# {target.name} ({target.what}): Python {target.python_text}, glibc {'.'.join(map(str, target.glibc))}, "
        f"{target.machine}.\n# Made by `msu deploy constraints --update`; do not edit.\n"
    )
    wheels = [_pin(name, version, target, registry) for name, version in versions if name not in gpu]
    written = [_write(file_of(folder, target), head, wheels)]
    if gpu:
        sources = [_pin(name, version, target, registry, source=True) for name, version in versions if name in gpu]
        written.append(_write(gpu_file_of(folder, target), head + "# Source: compiled on the device.\n", sources))
    return written


def _write(path: Path, head: str, pins: Sequence[Pin]) -> Path:
    write_atomically(path, (head + "".join(f"{pin}\n" for pin in pins)).encode())
    return path


def _pin(name: str, version: str, target: Target, registry: Registry, *, source: bool = False) -> Pin:
    file: RegistryFile | None = registry.best(name, version, target, source=source)
    if file is None:
        raise NetworkError(
            f"{name} {version} has no file for {target.name}", remedy="Constrain it to a version that has one."
        )
    return Pin(name, version, file.sha256)


def _resolve(pyproject: Path, extra: Sequence[str], target: Target) -> list[tuple[str, str]]:
    """Return (name, version) of everything needed, as uv finds it for that platform (pip takes markers from here)."""
    uv = shutil.which("uv")
    if uv is None:
        raise ConfigError("uv is not installed", remedy="pip install uv")
    with tempfile.TemporaryDirectory() as folder:
        more = Path(folder) / "extra.in"
        more.write_text("\n".join(extra) + "\n", encoding="utf-8")
        command = [
            uv, "pip", "compile", str(pyproject), str(more), "--quiet", "--no-header", "--no-annotate", "--upgrade",
            "--python-platform", f"{target.machine}-manylinux_2_{min(target.glibc[1], _NEWEST_GLIBC)}",
            "--python-version", target.python_text, "--no-python-downloads",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(
            f"no set of packages fits {target.name}: {done.stderr.strip()}", remedy="Loosen what uv names."
        )
    pairs = [line.split(";")[0].strip().partition("==") for line in done.stdout.splitlines() if "==" in line]
    return [(name, version) for name, _, version in pairs]
