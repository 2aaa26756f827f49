"""The systemd units: no mistakes in them, and as little allowed as LAYOUT's process table says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[3] / "deploy"
UNITS = DEPLOY / "systemd"
PROCESSES = ("receive", "work", "screen", "deliver", "watch")
MOST_EXPOSED = {"receive": 2.5, "deliver": 2.5, "watch": 3.0, "work": 4.0, "screen": 4.0, "kiosk": 9.0, "engines@": 4.0,
                "smart": 4.0}  # fmt: skip
"""Of 10. The kiosk's compositor owns display and input, and sees no patient data but what is painted."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here (deploy/system-packages.sh test)"
)


def _lines(process: str) -> list[str]:
    return (UNITS / f"msu-{process}.service").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def vehicle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root as an installed vehicle's, as far as systemd-analyze looks: units, and what they start."""
    root = tmp_path_factory.mktemp("vehicle")
    system = root / "etc" / "systemd" / "system"
    system.mkdir(parents=True)
    for unit in UNITS.glob("msu*.*"):
        if unit.suffix in (".service", ".target", ".path"):
            shutil.copy(unit, system)
    programs = {
        line.split("=", 1)[1].lstrip("+-").split()[0]
        for unit in UNITS.glob("*.service")
        for line in unit.read_text(encoding="utf-8").splitlines()
        if line.startswith("Exec")
    }
    for program in programs:
        path = root / program.lstrip("/").replace("%i", "x")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    for name in ("sysinit", "basic", "shutdown", "multi-user", "local-fs", "umount", "paths"):
        (system / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    (system / "system.slice").write_text("[Unit]\nDefaultDependencies=no\n")
    (system / "-.slice").write_text("[Unit]\nDefaultDependencies=no\n")
    return root


@needs_systemd
@pytest.mark.parametrize(
    "unit", sorted(path.name for path in UNITS.glob("msu*.*") if path.suffix in (".service", ".target", ".path"))
)
def test_a_unit_is_free_of_mistakes(unit: str, vehicle: Path) -> None:
    name = unit.replace("@.", "@x.")
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={vehicle}", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.requirement("LAYOUT")
@pytest.mark.parametrize("process", MOST_EXPOSED)
def test_a_unit_is_no_more_exposed_than_allowed(process: str) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", str(UNITS / f"msu-{process}.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED[process]


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_is_restarted_for_ever_but_not_with_refused_settings(process: str) -> None:
    lines = _lines(process)
    assert "Restart=always" in lines
    assert "StartLimitIntervalSec=0" in lines
    assert "RestartPreventExitStatus=78" in lines
    assert "Type=notify" in lines
    assert any(line.startswith("WatchdogSec=") for line in lines)


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_ends_within_three_seconds_of_the_ignition(process: str) -> None:
    assert "TimeoutStopSec=3" in _lines(process)


@pytest.mark.parametrize("process", ["work", "screen"])
def test_analysis_and_screen_have_no_network_and_no_keys(process: str) -> None:
    lines = _lines(process)
    assert "PrivateNetwork=yes" in lines
    assert not any("AF_INET" in line for line in lines)
    assert any(line.startswith("InaccessiblePaths=-/etc/msu-triage/tls") for line in lines)


@pytest.mark.parametrize("process", ["receive", "deliver", "screen"])
def test_only_the_worker_sees_devices(process: str) -> None:
    lines = _lines(process)
    assert "PrivateDevices=yes" in lines
    assert not any(line.startswith("DeviceAllow=") for line in lines)


def test_every_process_has_a_user_of_its_own() -> None:
    users = [line for process in PROCESSES for line in _lines(process) if line.startswith("User=")]
    assert len(set(users)) == len(PROCESSES)
    declared = (UNITS / "msu-triage.sysusers").read_text(encoding="utf-8")
    for user in users:
        assert re.search(rf"^u {user.removeprefix('User=')} ", declared, re.MULTILINE)


def test_the_target_starts_all_processes() -> None:
    target = (UNITS / "msu.target").read_text(encoding="utf-8")
    for process in PROCESSES:
        assert f"msu-{process}.service" in target
        assert "PartOf=msu.target" in _lines(process)


@pytest.mark.parametrize("process", PROCESSES)
def test_mended_settings_start_every_process_that_they_kept_down(process: str) -> None:
    (start,) = (line for line in _lines("settings") if line.startswith("ExecStart="))
    assert f"msu-{process}.service" in start.split()


@pytest.mark.parametrize("process", PROCESSES)
def test_the_release_is_chosen_before_any_process_starts(process: str) -> None:
    before = [line for line in _lines("settle") if line.startswith("Before=")]
    assert any(f"msu-{process}.service" in line for line in before)
