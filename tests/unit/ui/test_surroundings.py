from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_app.core.types import Verdict
from edge_app.ui.facts import CLOCK_OFF_S, clock_is_wrong
from edge_app.ui.surroundings import (
    DAY_LUX,
    NIGHT_LUX,
    Surroundings,
    Watch,
    is_synchronised,
    read_lux,
    read_rtc_offset_s,
    theme_for,
)
from tests.unit.ui.views import MOMENT, finished
from tests.waiting import wait_until

AT = datetime(2026, 3, 14, 14, 0, tzinfo=timezone.utc)


def write(root: Path, **files: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / name).write_text(f"{content}\n")
    return root


@pytest.mark.requirement("R69")
def test_light_is_read_as_the_kernel_gives_it(tmp_path: Path) -> None:
    assert read_lux(tmp_path) is None
    devices = tmp_path / "bus/iio/devices"
    write(devices / "iio:device0", in_accel_x_raw="17")
    write(devices / "iio:device1", in_illuminance_raw="200", in_illuminance_scale="0.5", in_illuminance_offset="20")
    assert read_lux(tmp_path) == pytest.approx(110.0)
    write(devices / "iio:device1", in_illuminance_input="93.5")
    assert read_lux(tmp_path) == 93.5
    write(devices / "iio:device1", in_illuminance_input="broken", in_illuminance_raw="also")
    assert read_lux(tmp_path) is None


@pytest.mark.requirement("R69")
def test_between_the_limits_the_theme_stays() -> None:
    assert theme_for(None, "day") == ""
    assert [theme_for(lux, "day") for lux in (DAY_LUX, 50.0, NIGHT_LUX)] == ["day", "day", "night"]
    assert [theme_for(lux, "night") for lux in (DAY_LUX, 50.0, NIGHT_LUX)] == ["day", "night", "night"]
    assert theme_for(50.0, "") == "night"


@pytest.mark.requirement("R45")
def test_the_clock_is_compared_with_the_hardware_clock_it_came_from(tmp_path: Path) -> None:
    assert read_rtc_offset_s(tmp_path) is None
    at = int(AT.timestamp())
    write(tmp_path / "class/rtc/rtc0", since_epoch="12", hctosys="0")
    write(tmp_path / "class/rtc/rtc1", since_epoch=str(at - 90), hctosys="1")
    assert read_rtc_offset_s(tmp_path, AT) == pytest.approx(90.0)


@pytest.mark.requirement("R45")
@pytest.mark.parametrize(("offset_s", "wrong"), [(None, False), (-CLOCK_OFF_S, False), (61.0, True), (-61.0, True)])
def test_a_clock_a_minute_off_is_wrong(offset_s: float | None, wrong: bool) -> None:
    now = replace(MOMENT, clock_offset_s=offset_s)
    assert clock_is_wrong(None, now) is wrong
    assert clock_is_wrong(finished(Verdict.HEMORRHAGE), now) is wrong


def test_the_watch_looks_around_and_ends_when_told(tmp_path: Path) -> None:
    write(tmp_path / "bus/iio/devices/iio:device0", in_illuminance_input="250")
    watch = Watch(tmp_path)
    assert watch.latest == Surroundings()
    watch.start()
    wait_until(lambda: watch.latest.lux == 250.0, "the first look")
    watch.stop()


@pytest.mark.requirement("R45")
@pytest.mark.parametrize(("said", "held"), [(0, True), (4, True), (5, False), (-1, False)])
def test_a_clock_is_held_where_the_kernel_or_systemd_says_so(
    said: int, held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = SimpleNamespace(adjtimex=lambda buffer: said)
    monkeypatch.setattr("edge_app.ui.surroundings.ctypes.CDLL", lambda *names, **options: kernel)
    assert is_synchronised(tmp_path) is held
    write(tmp_path / "systemd/timesync", synchronized="")
    assert is_synchronised(tmp_path)
