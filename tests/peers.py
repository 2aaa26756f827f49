"""Real DICOM peers on free ports: dcmtk's storescp and Orthanc. Each skips its test where it is not installed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

__all__ = ["Orthanc", "free_port", "orthanc", "program", "storescp"]


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def program(*names: str) -> str:
    """Return the first of these programs that is installed, or skip the test."""
    for name in names:
        found = name if Path(name).is_file() else shutil.which(name)
        if found:
            return found
    pytest.skip(f"{names[-1]} is not installed (deploy/system-packages.sh test)")


@contextmanager
def storescp(folder: Path, port: int, *options: str) -> Iterator[Path]:
    """Run dcmtk's storescp (AE title CSC), which writes what it gets byte by byte into `folder`."""
    executable = program("/usr/bin/storescp", "storescp")
    folder.mkdir(exist_ok=True)
    command = [
        executable,
        "--aetitle",
        "CSC",
        "--bit-preserving",
        "-od",
        str(folder),
        *(options or ("+xa",)),
        str(port),
    ]
    process = subprocess.Popen(command, env={**os.environ, "TCP_NODELAY": "1"})
    try:
        wait_until(lambda: _listens(port), "storescp listens")
        yield folder
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running Orthanc (AE title ORTHANC) and its REST interface."""

    dicom_port: int
    http_port: int

    def get(self, path: str) -> Any:
        """Return the JSON answer to a GET."""
        return json.loads(self.raw(path))

    def raw(self, path: str) -> bytes:
        """Return the answer to a GET."""
        return self._request("GET", path)

    def delete(self, path: str) -> None:
        """Take something away from it."""
        self._request("DELETE", path)

    def send(self, method: str, path: str, body: object) -> Any:
        """Return the JSON answer to a POST or PUT of bytes, or of anything else as JSON."""
        answer = self._request(method, path, body if isinstance(body, bytes) else json.dumps(body).encode())
        return json.loads(answer) if answer else None

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=body, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(b"test:test").decode())
        with urllib.request.urlopen(request) as answer:
            content: bytes = answer.read()
        return content

    def files(self) -> dict[str, bytes]:
        """Return every instance it holds as a Part 10 file, by SOP Instance UID."""
        return {
            self.get(f"/instances/{uid}")["MainDicomTags"]["SOPInstanceUID"]: self.raw(f"/instances/{uid}/file")
            for uid in self.get("/instances")
        }


@contextmanager
def orthanc(folder: Path, **settings: object) -> Iterator[Orthanc]:
    """Run Orthanc with an empty database in `folder`."""
    executable = program("/usr/sbin/Orthanc", "Orthanc")
    folder.mkdir(exist_ok=True)
    peer = Orthanc(free_port(), free_port())
    config = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "DicomPort": peer.dicom_port,
        "HttpPort": peer.http_port,
        "DicomAet": "ORTHANC",
        "DicomAlwaysAllowStore": True,
        "RegisteredUsers": {"test": "test"},
        "Plugins": [],
        **settings,
    }
    (folder / "orthanc.json").write_text(json.dumps(config))
    process = subprocess.Popen(
        [executable, str(folder / "orthanc.json")],
        env={**os.environ, "TCP_NODELAY": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _listens(peer.dicom_port) and _listens(peer.http_port), "Orthanc listens")
        yield peer
    finally:
        process.terminate()
        process.wait()
