"""The round: what the screen is told when something breaks, and when it is mended."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_app.core.clock import monotonic_s
from edge_app.core.config import AnalysisSettings, ReceiverSettings, Settings
from edge_app.core.types import StudyStatus
from edge_app.inference.bundle import demo_bundle_path, load_bundle
from edge_app.inference.passport import engines_folder, passport_path
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.watch.artefacts import Artefacts
from edge_app.watch.self_test import Answer, Phantom, SelfTest
from edge_app.watch.watch import Watch
from tests.waiting import wait_until

FOUR = ("receive", "work", "screen", "deliver")
GOLDEN = Answer(StudyStatus.NO_RESULT, None, {})


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_bundle_path(), tmp_path / "bundle"))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(StorePaths(tmp_path / "store"), "watch") as opened:
        yield opened


def live(ledger: Ledger, *processes: str) -> None:
    for process in processes:
        with Ledger(ledger.paths, process) as other:
            other.beat()


def codes(watch: Watch) -> set[str]:
    return {finding.code for finding in watch.look() if not finding.ok}


def watch_of(ledger: Ledger, settings: Settings, test: SelfTest | None, root: Path) -> Watch:
    """Return a watch whose clock stands still: however long a test takes, who gave a sign of life in it lives."""
    began_s = monotonic_s()
    return Watch(ledger, settings, test, processes=FOUR, root=root, clock=lambda: began_s)


def flip(path: Path, at: int = 1000) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_each_fault_has_its_code_and_goes_away_when_it_is_mended(bundle: Path, ledger: Ledger, tmp_path: Path) -> None:
    settings = Settings(
        data=ledger.paths.root,
        analysis=AnalysisSettings(bundle=str(bundle)),
        receiver=ReceiverSettings(min_free_bytes=0),
    )
    watch = watch_of(ledger, settings, None, tmp_path)
    assert codes(watch) == {"F-08"}
    live(ledger, *FOUR)
    assert codes(watch) == set()

    flip(bundle / "image.onnx")
    assert codes(watch) == {"F-03"}
    flip(bundle / "image.onnx")
    assert codes(watch) == set()

    thermal = tmp_path / "sys/class/thermal/thermal_zone0"
    thermal.mkdir(parents=True)
    for name, value in (("temp", "99000"), ("trip_point_0_type", "critical"), ("trip_point_0_temp", "95000")):
        (thermal / name).write_text(value)
    assert codes(watch) == {"F-09"}
    (thermal / "temp").write_text("50000")
    assert codes(watch) == set()

    (tmp_path / "sys/block/sda").mkdir(parents=True)
    told = tmp_path / "run/msu-smart/sda.json"
    told.parent.mkdir(parents=True)
    told.write_text('{"smart_status": {"passed": false}}')
    assert codes(watch) == {"F-10"}
    told.write_text('{"smart_status": {"passed": true}}')
    assert codes(watch) == set()

    with Ledger(ledger.paths, "work") as work:
        work.beat({"canary": {"difference": 0.4, "limit": 0.05, "ok": False}})
    assert codes(watch) == {"F-12"}
    with Ledger(ledger.paths, "work") as work:
        work.beat({"canary": {"difference": 0.001, "limit": 0.05, "ok": True}})
    assert codes(watch) == set()

    full = settings.replaced(receiver={"min_free_bytes": 1 << 60})
    assert codes(watch_of(ledger, full, None, tmp_path)) == {"F-05"}
    assert [body for _, body in _audited(ledger, "fitness")][:3] == [
        '{"unfit": ["F-08"]}',
        '{"unfit": []}',
        '{"unfit": ["F-03"]}',
    ]


def test_an_engine_with_another_byte_is_noticed(bundle: Path, tmp_path: Path) -> None:
    artefacts = Artefacts(
        Settings(data=tmp_path, analysis=AnalysisSettings(bundle=str(bundle), engines=str(tmp_path / "engines")))
    )
    assert [finding.ok for finding in artefacts.check()] == [True]
    passport = passport_path(engines_folder(bundle, load_bundle(bundle).sha256, tmp_path / "engines"), "image")
    passport.parent.mkdir(parents=True)
    passport.write_text("{}")
    assert [(finding.code, finding.ok) for finding in artefacts.check()] == [("F-03", True), ("F-04", False)]


def test_a_disk_that_forgets_without_a_trace_is_noticed_by_the_thorough_look(bundle: Path) -> None:
    import os

    artefacts = Artefacts(Settings(analysis=AnalysisSettings(bundle=str(bundle))))
    assert artefacts.check()[0].ok
    path = bundle / "patient.onnx"
    about = path.stat()
    with path.open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)[0]
        file.seek(5000)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert artefacts.check()[0].ok
    assert not artefacts.check(thorough=True)[0].ok


def test_the_self_test_waits_for_the_processes_and_for_the_case_to_end(ledger: Ledger, tmp_path: Path) -> None:
    sent: list[str] = []
    settings = Settings(data=ledger.paths.root, receiver=ReceiverSettings(min_free_bytes=0))
    test = SelfTest(ledger, lambda: Phantom("9.9", GOLDEN, lambda: sent.append("9.9")), timeout_s=0.1)
    watch = watch_of(ledger, settings, test, tmp_path)
    try:
        assert codes(watch) == {"F-08", "F-02"}
        live(ledger, *FOUR)
        ledger.put_study("1.1", StudyStatus.RECEIVING)
        assert codes(watch) == {"F-02"} and not sent
        ledger.put_study("1.1", StudyStatus.NO_RESULT)
        watch.look()
        wait_until(lambda: not test.running, "the self-test ends")
        assert sent == ["9.9"]
        assert codes(watch) == {"F-01"}
    finally:
        watch.stop()


def _audited(ledger: Ledger, event: str) -> list[tuple[int, str]]:
    return [(int(row[0]), str(row[1])) for row in ledger.read("SELECT seq, body FROM audit WHERE event = ?", event)]
