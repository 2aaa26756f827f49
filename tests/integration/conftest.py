"""The real product on free ports, and real DICOM peers beside it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import DEADLINE_S, wait_until

MSU = (sys.executable, "-m", "edge_app")


def run_msu(*arguments: object, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Run one `msu` command as a person would and return what it printed."""
    return subprocess.run(
        [*MSU, *(str(a) for a in arguments)], capture_output=True, text=True, timeout=timeout_s, check=False
    )


def dcmtk(tool: str) -> str:
    """Return dcmtk's own tool (pynetdicom puts namesakes on PATH), or skip."""
    path = f"/usr/bin/{tool}"
    if shutil.which(path) is None:
        pytest.skip(f"dcmtk's {tool} is not installed (deploy/system-packages.sh test)")
    return path


@dataclass(frozen=True)
class Serving:
    """A running `msu serve`."""

    process: subprocess.Popen[str]
    data: Path
    aet: str
    host: str
    port: int

    @property
    def peer(self) -> str:
        return f"{self.aet}@{self.host}:{self.port}"

    def cases(self) -> list[dict[str, Any]]:
        done = run_msu("cases", "--data", self.data, "--json")
        assert done.returncode == 0, done.stderr
        studies: list[dict[str, Any]] = json.loads(done.stdout)["studies"]
        return studies

    def outcome(self, study_uid: str, slices: int | None = None) -> dict[str, Any]:
        """Wait until a study has come to its end, with so many slices if they are given, and return it."""

        def look() -> dict[str, Any] | None:
            ended = [c for c in self.cases() if c["status"] in ("result", "no_result", "failed")]
            of_study = (case for case in ended if case["study_uid"] == study_uid)
            return next((case for case in of_study if slices in (None, len(case["slices"]))), None)

        return wait_until(look, f"an outcome for study {study_uid}")

    def storescu(self, files: Sequence[Path], *options: str) -> subprocess.CompletedProcess[str]:
        """Push files with dcmtk, the scanner of these tests."""
        command = [dcmtk("storescu"), *options, "-aec", self.aet, self.host, str(self.port), *map(str, files)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def start_serving(data: Path, *options: str, config: Path | None = None) -> Serving:
    """Start `msu serve` headless on a free port, or with settings, and wait for its READY line."""
    where = ("--config", str(config)) if config else ("--data", str(data), "--port", "0")
    process = subprocess.Popen([*MSU, "serve", *where, "--headless", *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("READY "), f"msu serve said {line!r}"
    aet, _, address = line.split()[1].partition("@")
    host, _, port = address.rpartition(":")
    return Serving(process, data, aet, host, int(port))


def stop_serving(serving: Serving) -> int:
    """End `msu serve` as systemd would and return its exit code."""
    if serving.process.poll() is None:
        serving.process.send_signal(signal.SIGTERM)
    code = serving.process.wait(DEADLINE_S)
    assert serving.process.stdout is not None
    serving.process.stdout.close()
    return code


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Run the whole product once for a module."""
    running = start_serving(tmp_path_factory.mktemp("serve") / "store")
    try:
        yield running
    finally:
        stop_serving(running)
