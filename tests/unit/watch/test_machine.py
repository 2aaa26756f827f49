"""A machine that is too hot, worn out, short of memory or of disk, put up as a tree of the kernel's files."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge_app.core.clock import utc_now
from edge_app.core.config import AnalysisSettings, ReceiverSettings, Settings, WorklistSettings
from edge_app.receiver.certificates import make_certificates
from edge_app.watch.clocks import check_clock
from edge_app.watch.keys import check_keys
from edge_app.watch.machine import SMART_STALE_S, ask_smart, check_disk, check_heat, check_memory, check_wear


def put(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def zone(root: Path, celsius: float) -> Path:
    base = "sys__class__thermal__thermal_zone0__"
    return put(
        root,
        **{
            f"{base}type": "CPU-therm\n",
            f"{base}temp": f"{celsius * 1000:.0f}\n",
            f"{base}trip_point_0_type": "active\n",
            f"{base}trip_point_0_temp": "40000\n",
            f"{base}trip_point_1_type": "passive\n",
            f"{base}trip_point_1_temp": "85000\n",
        },
    )


def test_a_zone_at_its_passive_trip_point_is_too_hot_and_cools_down_again(tmp_path: Path) -> None:
    hot = check_heat(zone(tmp_path, 86))
    assert not hot.ok and hot.code == "F-09" and "CPU-therm 86 °C" in hot.found and hot.remedy
    assert check_heat(zone(tmp_path, 60)).ok


def test_a_machine_without_sensors_is_not_called_hot(tmp_path: Path) -> None:
    assert check_heat(tmp_path).ok


@pytest.mark.parametrize(
    ("available", "ok"), [(8 << 20, True), (200 << 10, False)], ids=["plenty", "less than the worker needs"]
)
def test_low_memory_is_said_before_the_kernel_kills(tmp_path: Path, available: int, ok: bool) -> None:
    finding = check_memory(put(tmp_path, proc__meminfo=f"MemTotal: 8000000 kB\nMemAvailable: {available} kB\n"))
    assert finding.ok is ok and finding.code == "F-11"


def test_a_worn_emmc_and_errors_of_the_file_system_are_said(tmp_path: Path) -> None:
    assert check_wear(tmp_path).ok
    put(tmp_path, sys__block__mmcblk0__device__pre_eol_info="0x01\n")
    assert check_wear(tmp_path).ok
    put(tmp_path, sys__block__mmcblk0__device__pre_eol_info="0x03\n", sys__fs__ext4__sda2__errors_count="2\n")
    finding = check_wear(tmp_path)
    assert not finding.ok and finding.code == "F-10"
    assert "mmcblk0: worn out" in finding.found and "sda2: 2 file system errors" in finding.found


@pytest.mark.parametrize(
    ("report", "ok"),
    [
        ({"smart_status": {"passed": True}}, True),
        ({"smart_status": {"passed": False}}, False),
        ({"smart_status": {"passed": True}, "nvme_smart_health_information_log": {"critical_warning": 4}}, False),
        (None, True),
    ],
)
def test_smart_decides_where_it_can_be_asked(tmp_path: Path, report: dict[str, object] | None, ok: bool) -> None:
    put(tmp_path, sys__block__nvme0n1__size="1\n")
    assert check_wear(tmp_path, lambda disk: report).ok is ok


def answers_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: str) -> Path:
    """Let deploy/smart/watch-disks.sh ask a smartctl that gives this report, as msu-smart.service does."""
    put(tmp_path, sys__block__nvme0n1__size="1\n", sys__block__mmcblk0__size="1\n", bin__smartctl="")
    program = tmp_path / "bin/smartctl"
    program.write_text(f"#!/bin/sh\n[ $4 = /dev/nvme0n1 ] && echo '{report}'\nexit 4\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    answers = tmp_path / "answers"
    answers.mkdir()
    script = Path(__file__).parents[3] / "deploy/smart/watch-disks.sh"
    where = {"MSU_SMART": str(answers), "MSU_BLOCKS": str(tmp_path / "sys/block"), "MSU_SMART_EVERY_S": "once"}
    subprocess.run([script], check=True, env={**os.environ, **where})
    program.unlink()
    return answers


def test_what_the_service_was_told_by_a_disk_counts_while_it_is_fresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = answers_of(tmp_path, monkeypatch, '{"smart_status": {"passed": false}}')
    assert [path.name for path in answers.iterdir()] == ["nvme0n1.json"]
    assert not check_wear(tmp_path, lambda disk: ask_smart(disk, answers=answers)).ok
    monkeypatch.setenv("PATH", str(tmp_path))
    old_s = utc_now().timestamp() - SMART_STALE_S - 5
    os.utime(answers / "nvme0n1.json", (old_s, old_s))
    assert check_wear(tmp_path, lambda disk: ask_smart(disk, answers=answers)).ok


@pytest.mark.parametrize("report", ["", "{", "[]", "{}"])
def test_a_disk_that_does_not_answer_is_not_called_failing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: str
) -> None:
    answers = answers_of(tmp_path, monkeypatch, report)
    assert ask_smart("nvme0n1", answers=answers) is None


def test_a_disk_without_room_or_that_takes_no_writes_is_said(tmp_path: Path) -> None:
    assert check_disk(tmp_path, 0).ok
    full = check_disk(tmp_path, 1 << 60)
    assert not full.ok and full.code == "F-05"
    (tmp_path / ".watch").mkdir()
    broken = check_disk(tmp_path, 0)
    assert not broken.ok and broken.code == "F-10"


NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)


@pytest.mark.requirement("R45")
def test_the_clock_is_compared_with_the_time_service_first_and_the_hardware_clock_else(tmp_path: Path) -> None:
    assert check_clock(tmp_path, now=lambda: NOW).ok
    assert not check_clock(tmp_path, now=lambda: NOW.replace(year=2000)).ok
    put(tmp_path, sys__class__rtc__rtc0__since_epoch=f"{NOW.timestamp() - 300:.0f}\n")
    off = check_clock(tmp_path, now=lambda: NOW)
    assert not off.ok and off.code == "F-06" and "+300 s" in off.found
    assert check_clock(tmp_path, now=lambda: NOW, offset_s=lambda: 0.2).ok
    assert not check_clock(tmp_path, now=lambda: NOW, offset_s=lambda: -61.0).ok


def test_missing_foreign_and_outdated_keys_are_said_by_name(tmp_path: Path) -> None:
    assert check_keys(Settings(data=tmp_path)).ok
    make_certificates(tmp_path, ("msu", "scanner"), hosts=("localhost",), days=30)

    def settings(key: str) -> Settings:
        receiver = ReceiverSettings(
            tls=True,
            tls_certificate=str(tmp_path / "msu.pem"),
            tls_key=str(tmp_path / key),
            tls_authority=str(tmp_path / "authority.pem"),
        )
        return Settings(data=tmp_path, receiver=receiver)

    assert check_keys(settings("msu.key.pem")).ok
    late = check_keys(settings("msu.key.pem"), now=lambda: datetime(2099, 1, 1, tzinfo=timezone.utc))
    assert not late.ok and "certificate ended" in late.found
    foreign = check_keys(settings("scanner.key.pem"))
    assert not foreign.ok and "do not belong together" in foreign.found
    gone = check_keys(settings("nobody.pem"))
    assert not gone.ok and gone.code == "F-07" and "nobody.pem" in gone.found


def test_keys_that_bundles_and_the_worklist_are_trusted_by_are_looked_for_too(tmp_path: Path) -> None:
    make_certificates(tmp_path, ("msu",), hosts=("localhost",), days=30)
    trusted = tmp_path / "release.pub.pem"
    trusted.write_text("here")
    worklist = WorklistSettings(
        peer="dicoms://RIS@ris:11112",
        tls_certificate=str(tmp_path / "msu.pem"),
        tls_key=str(tmp_path / "msu.key.pem"),
        tls_authority=str(tmp_path / "authority.pem"),
    )
    settings = Settings(data=tmp_path, analysis=AnalysisSettings(trusted_keys=(str(trusted),)), worklist=worklist)
    assert check_keys(settings).ok
    trusted.unlink()
    assert "trusted key: release.pub.pem" in check_keys(settings).found
    (tmp_path / "msu.key.pem").unlink()
    gone = check_keys(settings)
    assert not gone.ok and gone.code == "F-07" and "worklist: msu.key.pem" in gone.found
