"""Every fault that makes a vehicle unfit, put in while the watch runs: the screen says NOT READY and why, and READY
again when it is mended. The self-test has its own test (`test_fitness.py`).
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_app.core.clock import monotonic_s, utc_now
from edge_app.core.config import Settings
from edge_app.inference.bundle import demo_bundle_path, load_bundle
from edge_app.inference.passport import engines_folder, passport_path
from edge_app.processes import watch
from edge_app.receiver.certificates import make_certificates
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.ui.facts import Moment
from edge_app.ui.rules import state_of
from edge_app.ui.snapshot import SnapshotSource
from edge_app.ui.states import ScreenState
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

LIVES_S = 0.2
HEALTHY = '{"smart_status": {"passed": true}}'
FAILING = '{"smart_status": {"passed": false}}'


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What a fault can be put into: the files of the machine, of the model, the keys, and the processes' life."""

    root: Path
    bundle: Path
    engines: Path
    keys: Path
    smart: Path
    ailing: set[str]
    """Processes that are dead, "canary" while slices that are run again differ, "clock" while it is an hour ahead, and
    "disk" while it is full."""


@pytest.fixture
def vehicle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vehicle:
    root = tmp_path / "root"
    write(root / "proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n")
    zone = root / "sys/class/thermal/thermal_zone0"
    for name, value in (("temp", "50000"), ("trip_point_0_type", "passive"), ("trip_point_0_temp", "95000")):
        write(zone / name, value)
    write(root / "sys/block/mmcblk0/device/pre_eol_info", "0x01")
    (root / "sys/block/nvme0n1").mkdir(parents=True)
    smart = write(tmp_path / "smart.json", HEALTHY)
    program = write(tmp_path / "bin/smartctl", f"#!/bin/sh\ncat {smart}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("edge_app.watch.watch.SMART_S", 0.1)
    monkeypatch.setattr(watch, "ROUND_S", 0.1)
    monkeypatch.setattr(watch, "EAGER_S", 0.1)
    make_certificates(tmp_path / "keys", ["msu"])
    bundle = Path(shutil.copytree(demo_bundle_path(), tmp_path / "bundle"))
    return Vehicle(root, bundle, tmp_path / "engines", tmp_path / "keys", smart, set())


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@contextmanager
def replaced(path: Path, content: bytes) -> Iterator[None]:
    """Leave a file with another content, or none, for a while."""
    before = path.read_bytes()
    path.write_bytes(content)
    yield
    path.write_bytes(before)


@contextmanager
def taken_away(path: Path) -> Iterator[None]:
    hidden = path.rename(path.with_name("elsewhere"))
    yield
    hidden.rename(path)


@contextmanager
def an_engine_that_is_none(vehicle: Vehicle) -> Iterator[None]:
    folder = engines_folder(vehicle.bundle, load_bundle(vehicle.bundle).sha256, vehicle.engines)
    write(passport_path(folder, "image"), "{}")
    yield
    shutil.rmtree(vehicle.engines)


@contextmanager
def ailing(vehicle: Vehicle, what: str) -> Iterator[None]:
    vehicle.ailing.add(what)
    yield
    vehicle.ailing.remove(what)


@contextmanager
def full_disk(vehicle: Vehicle) -> Iterator[None]:
    """Room for 1000 bytes: the receiver refuses images and says so itself, which is what the screen shows."""
    with ailing(vehicle, "disk"), pytest.MonkeyPatch.context() as patched:
        usage = shutil._ntuple_diskusage(1 << 40, 1 << 40, 1000)  # type: ignore[attr-defined]
        patched.setattr("edge_app.watch.machine.shutil.disk_usage", lambda _: usage)
        yield


@contextmanager
def in_service(vehicle: Vehicle, settings: Settings) -> Iterator[Ledger]:
    """Run the watch, and the four processes as far as it sees them."""
    stop = threading.Event()
    paths = StorePaths(settings.data)

    def live() -> None:
        with ExitStack() as opened:
            ledgers = {name: opened.enter_context(Ledger(paths, name)) for name in watch.WATCHED}
            while not stop.is_set():
                late_s = 3600 if "clock" in vehicle.ailing else 0
                write(vehicle.root / "sys/class/rtc/rtc0/since_epoch", str(int(utc_now().timestamp()) - late_s))
                for name, ledger in ledgers.items():
                    if name in vehicle.ailing:
                        with ledger.transaction() as db:
                            db.execute("UPDATE heartbeats SET at_s = at_s - 60 WHERE process = ?", (name,))
                    else:
                        drifts = "canary" in vehicle.ailing
                        canary = {"difference": 0.4 * drifts, "limit": 0.05, "ok": not drifts}
                        ledger.beat({"canary": canary, "low_disk": "disk" in vehicle.ailing})
                stop.wait(LIVES_S)

    threads = [
        threading.Thread(target=live),
        threading.Thread(target=watch.run, args=(settings,), kwargs={"stop": stop, "root": vehicle.root}),
    ]
    with Ledger(paths, "test") as ledger:
        for thread in threads:
            thread.start()
        try:
            yield ledger
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@pytest.mark.requirement("R39", "R45")
def test_every_fault_turns_ready_into_its_named_state_and_back(vehicle: Vehicle, tmp_path: Path) -> None:
    key = vehicle.keys / "msu.key.pem"
    settings = Settings(data=tmp_path / "store").replaced(
        receiver={"min_free_bytes": 1 << 20},
        analysis={"bundle": str(vehicle.bundle), "engines": str(vehicle.engines)},
        delivery={"tls_certificate": str(vehicle.keys / "msu.pem"), "tls_key": str(key)},
    )
    zone, image = vehicle.root / "sys/class/thermal/thermal_zone0", vehicle.bundle / "image.onnx"
    whole = image.read_bytes()
    faults = {
        "F-03 a byte of the model": ("F-03", replaced(image, whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])),
        "F-04 an engine": ("F-04", an_engine_that_is_none(vehicle)),
        "F-05 the disk is full": ("F-05", full_disk(vehicle)),
        "F-06 the clock": ("F-06", ailing(vehicle, "clock")),
        "F-07 a key": ("F-07", taken_away(key)),
        "F-08 a process": ("F-08", ailing(vehicle, "deliver")),
        "F-09 heat": ("F-09", replaced(zone / "temp", b"97000")),
        "F-10 eMMC": ("F-10", replaced(vehicle.root / "sys/block/mmcblk0/device/pre_eol_info", b"0x03")),
        "F-10 SMART": ("F-10", replaced(vehicle.smart, FAILING.encode())),
        "F-12 drift": ("F-12", ailing(vehicle, "canary")),
        "F-11 memory": ("F-11", replaced(vehicle.root / "proc/meminfo", b"MemTotal: 8000000 kB\nMemAvailable: 9 kB\n")),
    }
    with in_service(vehicle, settings) as ledger:
        source = SnapshotSource(ledger)

        def seen() -> tuple[ScreenState, set[str]]:
            snapshot = source.read()
            state = state_of(snapshot, None, Moment(monotonic_s(), utc_now()))
            beat = ledger.heartbeats().get("watch")
            findings = beat.detail["findings"] if beat else []
            return state, {finding["code"] for finding in findings if not finding["ok"]}

        for name, (code, fault) in faults.items():
            wait_until(lambda: seen() == (ScreenState.READY, set()), f"READY before {name}")
            with fault:
                wait_until(lambda code=code: code in seen()[1], f"{code} with {name}")
                wait_until(lambda: seen()[0] is not ScreenState.READY, f"another state with {name}")
        wait_until(lambda: seen() == (ScreenState.READY, set()), "READY at the end")
