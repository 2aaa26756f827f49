"""What happens when the ignition goes off, with a systemctl that only notes what it is asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

POWER = Path(__file__).parents[3] / "deploy" / "power"


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\n')
    systemctl.chmod(0o755)
    return {
        **os.environ,
        "MSU_SYSTEMCTL": str(systemctl),
        "MSU_STORE": str(tmp_path),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }


def test_all_processes_stop_and_the_store_is_on_the_disk_before_the_power_goes(
    tmp_path: Path, machine: dict[str, str]
) -> None:
    subprocess.run([str(POWER / "ignition-off.sh")], env=machine, check=True)
    stop, off = (tmp_path / "asked").read_text().splitlines()
    assert stop.startswith("stop msu.target") and all(f"msu-{name}.service" in stop for name in ("receive", "work"))
    assert off == "--no-block poweroff"


def test_a_starting_engine_is_not_taken_for_the_end_of_the_ride(tmp_path: Path, machine: dict[str, str]) -> None:
    levels = tmp_path / "levels"
    levels.write_text("0\n1\n0\n0\n")  # the starter lowers the line, then the ride ends
    (tmp_path / "gpioget").write_text(f"#!/bin/sh\necho x >>{tmp_path}/reads\nhead -1 {levels}\nsed -i 1d {levels}\n")
    (tmp_path / "sleep").write_text("#!/bin/sh\n")
    for name in ("gpioget", "sleep"):
        (tmp_path / name).chmod(0o755)
    environment = {**machine, "IGNITION_CHIP": "gpiochip0", "IGNITION_LINE": "7", "IGNITION_HOLD_S": "2"}
    subprocess.run([str(POWER / "watch-ignition.sh")], env=environment, check=True, capture_output=True)
    assert len((tmp_path / "reads").read_text().splitlines()) == 4
    assert "poweroff" in (tmp_path / "asked").read_text()
