"""All processes under one supervisor (laptop, demo, tests); in the vehicle systemd does this.

A process that dies is started again for ever, with a growing pause, except when its settings were refused (exit 78).
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_app.core.clock import monotonic_s
from edge_app.core.config import Settings
from edge_app.core.errors import ConfigError, ProcessError
from edge_app.core.logs import get_logger
from edge_app.processes.frozen import is_frozen
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths, write_atomically

__all__ = ["PROCESSES", "Supervisor", "run"]

PROCESSES = ("receive", "work", "screen", "deliver", "watch")

STOP_S = 3.0
"""How long a process may take to end by itself before it is killed; `msu serve` promises 5 s for all."""

RESTART_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pause before each restart; the last one repeats. A process that lived a minute starts again from the first."""

HEALTHY_S = 60.0

LOOK_S = 1.0
"""How often the supervisor looks whether the screen is frozen."""

_log = get_logger(__name__)


@dataclass(slots=True)
class _Child:
    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    failures: int = 0
    restart_at_s: float = 0.0
    reader: threading.Thread | None = None

    def close(self) -> None:
        """Let go of the pipes of a process that has ended."""
        if self.process and self.process.stdin:
            self.process.stdin.close()
        if self.reader:
            self.reader.join()
        self.process = None


class Supervisor:
    """Starts the processes, keeps them running, and ends them; use as a context manager.

    Parameters
    ----------
    settings
        What every process gets; written to a settings file in the store's folder, so that all read the same.
    ready
        Called once with (AE title, host, port) when the receiver accepts associations.
    headless, screenshots
        For the screen: draw offscreen; save a picture of each finished case in this folder.
    log
        Where the processes' logs go; None for our own stderr.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ready: Callable[[str, str, int], None] | None = None,
        headless: bool = False,
        screenshots: Path | None = None,
        log: IO[bytes] | None = None,
    ) -> None:
        settings.data.mkdir(parents=True, exist_ok=True)
        self._settings_file = settings.data / "serve.toml"
        self._settings = settings
        self._write_settings(settings)
        self._ready = ready
        self._log = log
        self._address: tuple[str, str, int] | None = None
        self._is_ready = threading.Event()
        extra = {"screen": [*(["--headless"] if headless else []), *_option("--screenshots", screenshots)]}
        common = ("--config", str(self._settings_file), "--supervised")
        self._children = [
            _Child(name, [sys.executable, "-m", "edge_app", name, *common, *extra.get(name, ())]) for name in PROCESSES
        ]

    def __enter__(self) -> Supervisor:
        for child in self._children:
            self._start(child)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """Return the process id of each process that runs."""
        running = [(child.name, child.process) for child in self._children]  # another thread may let go of one
        return {name: process.pid for name, process in running if process and process.poll() is None}

    def wait_ready(self, timeout_s: float) -> tuple[str, str, int]:
        """Return (AE title, host, port) once the receiver accepts associations.

        Raises
        ------
        ProcessError
            If that takes longer than `timeout_s`.
        """
        if not self._is_ready.wait(timeout_s) or self._address is None:
            raise ProcessError(f"the receiver was not ready after {timeout_s:.0f} s", remedy="Read its log on stderr.")
        return self._address

    def watch(self, stop: threading.Event, period_s: float = 0.1) -> None:
        """Keep the processes running until `stop` is set.

        Raises
        ------
        ConfigError
            If a process refuses its settings: starting it again would change nothing.
        """
        look_s = monotonic_s() + LOOK_S
        with Ledger(StorePaths(self._settings.data), "serve") as ledger:
            while not stop.wait(period_s):
                now_s = monotonic_s()
                for child in self._children:
                    self._check(child, now_s)
                if now_s >= look_s:
                    look_s = now_s + LOOK_S
                    self._wake_screen(ledger)

    def _wake_screen(self, ledger: Ledger) -> None:
        """Kill a frozen screen; it is started again like one that died, and comes back in the same state (R48)."""
        screen = next(child for child in self._children if child.name == "screen")
        process = screen.process
        if process is None or process.poll() is not None:
            return
        if is_frozen(ledger, screen.name, process.pid, screen.started_s):
            _log.event(602, "screen is frozen, killing it", process_name=screen.name)
            process.kill()

    def stop(self) -> None:
        """Ask all processes to end and kill those that do not; returns when none is left."""
        running = [(child, child.process) for child in self._children if child.process]
        for _, process in running:
            process.terminate()
        deadline_s = monotonic_s() + STOP_S
        for child, process in running:
            try:
                process.wait(max(0.0, deadline_s - monotonic_s()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            child.close()

    def _start(self, child: _Child) -> None:
        child.started_s = monotonic_s()
        child.process = process = subprocess.Popen(
            child.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        child.reader = threading.Thread(
            target=self._read_output, args=(child.name, process.stdout), name=f"output-{child.name}", daemon=True
        )
        child.reader.start()

    def _check(self, child: _Child, now_s: float) -> None:
        if child.process is None:
            if now_s >= child.restart_at_s:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        if code == ConfigError.exit_code:
            raise ConfigError(f"process {child.name} refused its settings", remedy="Its message stands above.")
        child.failures = 1 if now_s - child.started_s > HEALTHY_S else child.failures + 1
        pause_s = RESTART_PAUSES_S[min(child.failures, len(RESTART_PAUSES_S)) - 1]
        _log.event(601, "process ended, starting it again", process_name=child.name, exit_code=code, pause_s=pause_s)
        child.close()
        child.restart_at_s = now_s + pause_s

    def _read_output(self, name: str, output: IO[bytes]) -> None:
        """Pass on what a process prints; the receiver's READY line is ours to announce, once."""
        with output:
            for raw in output:
                line = raw.decode("utf-8", "replace").strip()
                if name == "receive" and line.startswith("READY "):
                    self._on_ready(line.removeprefix("READY "))

    def _on_ready(self, address: str) -> None:
        aet, _, peer = address.rpartition("@")
        host, _, port = peer.rpartition(":")
        if self._is_ready.is_set():
            return
        self._address = (aet, host, int(port))
        key = "port" if self._settings.receiver.plain else "tls_port"
        # A receiver that is started again must come back on the port that the scanner knows.
        self._write_settings(self._settings.replaced(receiver={key: int(port)}))
        self._is_ready.set()
        if self._ready:
            self._ready(*self._address)

    def _write_settings(self, settings: Settings) -> None:
        write_atomically(self._settings_file, settings.to_toml().encode())


def _option(name: str, value: Path | None) -> list[str]:
    return [] if value is None else [name, str(value)]


def run(
    settings: Settings,
    *,
    stop: threading.Event,
    ready: Callable[[str, str, int], None] | None = None,
    headless: bool = False,
    screenshots: Path | None = None,
) -> None:
    """Run all processes until `stop` is set; returns when all have ended (at most 5 s later)."""
    with Supervisor(settings, ready=ready, headless=headless, screenshots=screenshots) as supervisor:
        supervisor.watch(stop)
