"""Record the API of the real TensorRT bindings: ``python -m export.engine.api.record [VERSION …]``.

Downloads the bindings' wheels from PyPI (1.3 MB each), builds empty stand-ins for the libraries they load, imports
each version in a process of its own and writes ``<version>.json`` beside this file. Needs gcc and the network, but no
GPU and no TensorRT; run with Python 3.10 to 3.12, for which all these wheels exist. It shows names, not behaviour.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edge_app.core.errors import ExportError

__all__ = ["WHEELS", "main", "record"]

WHEELS = {
    "10.3.0": "tensorrt-cu12-bindings",
    "10.13.3.9": "tensorrt-cu12-bindings",
    "10.16.1.11": "tensorrt-cu13-bindings",
    "11.0.0.114": "tensorrt-cu13-bindings",
    "11.4.0.106": "tensorrt-cu13-bindings",
}
"""The recorded versions: JetPack 6.1/6.2, 7.0/7.1, 7.2, and the first and last seen of 11."""

SYMBOLS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
"""The C functions that the bindings take from the libraries; the stand-ins return null from each."""

LIBRARIES = ("libnvinfer", "libnvonnxparser", "libnvinfer_plugin")


def record(version: str, folder: Path) -> Path:
    """Record one version and return the file written.

    Raises
    ------
    ExportError
        If the wheel cannot be fetched, or the bindings cannot be imported.
    """
    with tempfile.TemporaryDirectory(prefix="msu-trt-api-") as scratch:
        work = Path(scratch)
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        _run([*fetch, "--dest", str(work), f"{WHEELS[version]}=={version}"])
        for wheel in work.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(work / "bindings")
        _build_stand_ins(work / "libraries", version.split(".", 1)[0])
        printed = _run(
            [sys.executable, str(Path(__file__).with_name("dump.py"))],
            PYTHONPATH=str(work / "bindings"),
            LD_LIBRARY_PATH=str(work / "libraries"),
        )
    surface = json.loads(printed)
    if surface["version"] != version:
        raise ExportError(f"the wheel of {version} calls itself {surface['version']}", remedy="Correct WHEELS.")
    target = folder / f"{version}.json"
    # One class to a line: small, and a change of the API shows as a readable difference.
    lines = [
        f"{json.dumps(part)}: {{\n"
        + ",\n".join(
            f"{json.dumps(name)}: {json.dumps(surface[part][name], separators=(',', ':'))}" for name in surface[part]
        )
        + "\n}"
        for part in ("classes", "enums", "functions")
    ]
    lines = [f'"version": {json.dumps(version)}', f'"values": {json.dumps(surface["values"])}', *lines]
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the versions named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"any of {', '.join(WHEELS)}")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.versions) - set(WHEELS)):
        parser.error(f"unknown version {unknown[0]}")
    for version in options.versions or WHEELS:
        sys.stdout.write(f"{record(version, options.out)}\n")
    return 0


def _build_stand_ins(folder: Path, major: str) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise ExportError("no C compiler found", remedy="Install gcc.")
    folder.mkdir()
    source = folder / "empty.c"
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in SYMBOLS), encoding="utf-8")
    for library in LIBRARIES:
        name = f"{library}.so.{major}"
        _run([compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name), str(source)])


def _run(command: list[str], **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode:
        raise ExportError(
            f"'{' '.join(command[:4])} …' failed: {done.stderr.strip()[-500:]}",
            remedy="Check the network, the compiler and the Python version (3.10 to 3.12).",
        )
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
