"""`deploy/msu-release` on a folder of its own, with a systemctl whose processes the test makes healthy or not."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy" / "msu-release"

SYSTEMCTL = """#!/bin/sh
# Healthy unless the current release has a file `sick`; what was asked is noted, with the release that was current.
now=$(basename "$(readlink "$MSU_ROOT/current")")
echo "$now $*" >>"$MSU_ROOT/asked"
case "$1" in
is-active) [ -e "$MSU_ROOT/current/deploy/systemd/$3" ] && [ ! -e "$MSU_ROOT/current/sick" ] ;;
show) echo 0 ;;
esac
"""

pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="util-linux's flock is not here")


@dataclass(frozen=True)
class Vehicle:
    """What lies in /opt/msu-triage and /etc/systemd/system of a vehicle."""

    root: Path
    units: Path

    def release(self, name: str, *, units: tuple[str, ...] = ("msu.target", "msu-work.service")) -> Path:
        folder = self.root / "releases" / name
        systemd = folder / "deploy" / "systemd"
        systemd.mkdir(parents=True)
        for unit in units:
            (systemd / unit).write_text("[Unit]\n")
        (folder / "release.json").write_text("{}")
        return folder

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "MSU_ROOT": str(self.root),
            "MSU_UNITS": str(self.units),
            "MSU_SYSTEMCTL": str(self.root / "systemctl"),
            "MSU_STEADY_S": "0",
        }
        return subprocess.run([str(SCRIPT), *words], env=environment, capture_output=True, text=True, check=False)

    def leads_to(self, link: str) -> str:
        return (self.root / link).readlink().name

    def asked(self) -> list[str]:
        return (self.root / "asked").read_text().splitlines()


@pytest.fixture
def vehicle(tmp_path: Path) -> Vehicle:
    root, units = tmp_path / "opt", tmp_path / "units"
    (root / "releases").mkdir(parents=True)
    units.mkdir()
    (root / "systemctl").write_text(SYSTEMCTL)
    (root / "systemctl").chmod(0o755)
    return Vehicle(root, units)


def test_a_healthy_release_becomes_current_and_the_one_before_is_kept(vehicle: Vehicle) -> None:
    vehicle.release("0.1-aa")
    vehicle.release("0.2-bb")
    assert vehicle.run("activate", "0.1-aa").returncode == 0
    assert vehicle.run("activate", "0.2-bb").returncode == 0
    assert (vehicle.leads_to("current"), vehicle.leads_to("previous")) == ("0.2-bb", "0.1-aa")
    assert not (vehicle.root / "trial").exists()
    assert vehicle.run("list").stdout.splitlines() == ["0.1-aa previous", "0.2-bb current"]


def test_a_release_that_is_not_ready_makes_room_for_the_one_before(vehicle: Vehicle) -> None:
    vehicle.release("0.1-aa")
    (vehicle.release("0.2-bb") / "sick").touch()
    vehicle.run("activate", "0.1-aa")
    tried = vehicle.run("activate", "0.2-bb")
    assert tried.returncode == 1
    assert "0.2-bb was not taken; 0.1-aa runs again" in tried.stderr
    assert vehicle.leads_to("current") == "0.1-aa"
    assert not (vehicle.root / "trial").exists()
    assert "0.1-aa start msu.target" in vehicle.asked()[-6:]


def test_a_release_that_fails_its_check_makes_room_for_the_one_before(vehicle: Vehicle) -> None:
    vehicle.release("0.1-aa")
    vehicle.release("0.2-bb")
    vehicle.run("activate", "0.1-aa")
    assert vehicle.run("activate", "0.2-bb", "--check", "false").returncode == 1
    assert vehicle.leads_to("current") == "0.1-aa"
    assert vehicle.run("activate", "0.2-bb", "--check", "true").returncode == 0
    assert vehicle.leads_to("current") == "0.2-bb"


def test_the_processes_of_the_old_release_are_stopped_by_name_before_the_new_ones_start(vehicle: Vehicle) -> None:
    vehicle.release("0.1-aa")
    vehicle.run("activate", "0.1-aa")
    asked = [line.split(" ", 1)[1] for line in vehicle.asked()]
    stop = next(number for number, line in enumerate(asked) if line.startswith("stop"))
    for process in ("receive", "work", "screen", "deliver", "watch"):
        assert f"msu-{process}.service" in asked[stop]
    assert asked.index("daemon-reload") < stop < asked.index("start msu.target")


def test_an_unfinished_release_is_never_run(vehicle: Vehicle) -> None:
    (vehicle.release("0.1-aa") / "release.json").unlink()
    tried = vehicle.run("activate", "0.1-aa")
    assert tried.returncode == 1 and "no complete release" in tried.stderr
    assert not (vehicle.root / "current").is_symlink()


def test_after_power_cuts_a_trial_gets_two_starts_and_then_the_one_before_runs(vehicle: Vehicle) -> None:
    vehicle.release("0.1-aa")
    vehicle.release("0.2-bb")
    vehicle.run("activate", "0.1-aa")
    vehicle.run("activate", "0.2-bb")
    (vehicle.root / "trial").write_text("0.2-bb 0\n")  # as if the power had gone before it was confirmed
    for _ in range(2):
        assert vehicle.run("settle").returncode == 0
        assert vehicle.leads_to("current") == "0.2-bb"
    assert vehicle.run("settle").returncode == 0
    assert vehicle.leads_to("current") == "0.1-aa"
    assert not (vehicle.root / "trial").exists()


def test_a_trial_that_is_ready_after_a_boot_is_confirmed_and_one_that_is_not_is_over(vehicle: Vehicle) -> None:
    vehicle.release("0.1-aa")
    new = vehicle.release("0.2-bb")
    vehicle.run("activate", "0.1-aa")
    vehicle.run("activate", "0.2-bb")
    (vehicle.root / "trial").write_text("0.2-bb 1\n")
    assert vehicle.run("confirm").returncode == 0
    assert not (vehicle.root / "trial").exists()
    (vehicle.root / "trial").write_text("0.2-bb 1\n")
    (new / "sick").touch()
    assert vehicle.run("confirm").returncode == 1
    assert vehicle.leads_to("current") == "0.1-aa"


def test_a_power_cut_between_trial_and_switch_changes_nothing(vehicle: Vehicle) -> None:
    vehicle.release("0.1-aa")
    vehicle.release("0.2-bb")
    vehicle.run("activate", "0.1-aa")
    (vehicle.root / "trial").write_text("0.2-bb 0\n")
    vehicle.run("settle")
    assert vehicle.leads_to("current") == "0.1-aa"
    assert not (vehicle.root / "trial").exists()


def test_a_damaged_current_release_is_left_at_boot(vehicle: Vehicle) -> None:
    vehicle.release("0.1-aa")
    new = vehicle.release("0.2-bb")
    vehicle.run("activate", "0.1-aa")
    vehicle.run("activate", "0.2-bb")
    shutil.rmtree(new)
    assert vehicle.run("settle").returncode == 0
    assert vehicle.leads_to("current") == "0.1-aa"
    assert vehicle.asked()[-1] == "0.1-aa --no-block start msu.target"


def test_units_follow_the_release_and_the_settling_one_is_left_alone(vehicle: Vehicle) -> None:
    vehicle.release("0.1-aa", units=("msu.target", "msu-work.service", "msu-old.service", "msu-settle.service"))
    vehicle.release("0.2-bb")
    (vehicle.units / "msu-settle.service").write_text("a copy")
    vehicle.run("activate", "0.1-aa")
    assert (vehicle.units / "msu-old.service").is_symlink()
    vehicle.run("activate", "0.2-bb")
    assert sorted(path.name for path in vehicle.units.iterdir()) == [
        "msu-settle.service", "msu-work.service", "msu.target", "multi-user.target.wants",
    ]  # fmt: skip
    assert not (vehicle.units / "msu-settle.service").is_symlink()
    assert (vehicle.units / "multi-user.target.wants" / "msu.target").exists()


def test_rollback_runs_what_ran_before_and_prune_keeps_only_those_two(vehicle: Vehicle) -> None:
    for name in ("0.1-aa", "0.2-bb", "0.3-cc"):
        vehicle.release(name)
        vehicle.run("activate", name)
    assert vehicle.run("rollback").returncode == 0
    assert vehicle.leads_to("current") == "0.2-bb"
    assert vehicle.run("rollback").returncode == 1
    vehicle.run("prune")
    assert [path.name for path in (vehicle.root / "releases").iterdir()] == ["0.2-bb"]


@pytest.mark.parametrize("words", [(), ("activate",), ("activate", "x", "--chek", "y"), ("off",)])
def test_a_wrong_command_line_changes_nothing(vehicle: Vehicle, words: tuple[str, ...]) -> None:
    assert vehicle.run(*words).returncode == 2


def test_going_back_does_not_wait_for_a_process_that_the_older_release_lacks(vehicle: Vehicle) -> None:
    vehicle.release("0.1-aa")
    (vehicle.release("0.2-bb", units=("msu.target", "msu-work.service", "msu-watch.service")) / "sick").touch()
    vehicle.run("activate", "0.1-aa")
    assert "0.1-aa runs again" in vehicle.run("activate", "0.2-bb").stderr
