"""The real worker process on a real store: killed, restarted, without a model, told to stop."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import FileDataset

from edge_app.core.types import StudyResult, StudyStatus
from edge_app.simulator import make_study, to_datasets
from edge_app.store.ledger import HeartbeatRow
from tests.bundles import write_tiny_bundle
from tests.integration.conftest import MSU, run_msu
from tests.stores import Sender
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def head() -> list[FileDataset]:
    return to_datasets(make_study(4720, "negative", personality="basic2"))


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    with Sender(tmp_path / "store") as sender:
        yield sender


@contextmanager
def worker(sender: Sender, bundle: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the worker process; whatever the test does, none is left behind."""
    command = [*MSU, "work", "--data", str(sender.ledger.paths.root), "--bundle", str(bundle)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def result_of(sender: Sender, head: list[FileDataset]) -> StudyResult:
    uid = head[0].StudyInstanceUID
    return wait_until(lambda: sender.ledger.latest_result(uid), "a result")


def wait_for_frames(sender: Sender, head: list[FileDataset], count: int) -> None:
    uid = head[0].StudyInstanceUID
    wait_until(lambda: len(sender.ledger.frames(uid)) == count, f"{count} frames")


def test_a_worker_killed_in_the_middle_of_a_study_costs_nothing(
    sender: Sender, head: list[FileDataset], tmp_path: Path
) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    with sender.association() as association:
        with worker(sender, bundle) as process:
            for ds in head[:12]:
                sender.store(ds, association)
            wait_for_frames(sender, head, 12)
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        for ds in head[12:]:
            sender.store(ds, association)
    with worker(sender, bundle):
        result = result_of(sender, head)
    assert (result.status, result.revision) == (StudyStatus.RESULT, 1)
    assert {s.sop_uid for s in result.slices} == {ds.SOPInstanceUID for ds in head}


def test_a_study_that_kills_the_worker_twice_is_given_up(
    sender: Sender, head: list[FileDataset], tmp_path: Path
) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    with sender.association() as association:
        for count in (5, 10):
            for ds in head[count - 5 : count]:
                sender.store(ds, association)
            with worker(sender, bundle) as process:
                wait_for_frames(sender, head, count)
                process.send_signal(signal.SIGKILL)
                process.wait(30)
        with worker(sender, bundle):
            result = result_of(sender, head)
    assert (result.status, result.reasons[0].code) == (StudyStatus.FAILED, "E-104")


@pytest.mark.requirement("R46")
def test_a_damaged_bundle_leaves_the_images_on_the_screen_and_says_why(
    sender: Sender, head: list[FileDataset], tmp_path: Path
) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    (bundle / "image.onnx").write_bytes(b"damaged")
    with worker(sender, bundle):
        sender.push(head)
        result = result_of(sender, head)

        def beat() -> HeartbeatRow | None:
            return sender.ledger.heartbeats().get("work")

        assert "image.onnx" in wait_until(beat, "a heartbeat").detail["problem"]
    assert (result.status, result.reasons[0].code) == (StudyStatus.NO_RESULT, "E-101")
    assert len(sender.ledger.frames(head[0].StudyInstanceUID)) == len(head)


def test_sigterm_ends_the_worker_cleanly_in_the_middle_of_a_study(
    sender: Sender, head: list[FileDataset], tmp_path: Path
) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    with sender.association() as association:
        with worker(sender, bundle) as process:
            for ds in head[:5]:
                sender.store(ds, association)
            wait_for_frames(sender, head, 5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert sender.ledger.count_crashes(head[0].StudyInstanceUID) == 0
        sender.ledger.settle_attempts()
        assert sender.ledger.count_crashes(head[0].StudyInstanceUID) == 0


def test_a_bundle_installed_during_a_study_is_taken_up_after_it(
    sender: Sender, head: list[FileDataset], tmp_path: Path
) -> None:
    data = sender.ledger.paths.root
    config = tmp_path / "settings.toml"
    config.write_text(
        f"data = {json.dumps(str(data))}\n[analysis]\nthreads = 1\nswitch_quiet_s = 0.3\n"
        "[completeness]\nquiet_incomplete_s = 120\n"  # longer than an installation takes on a busy machine
    )
    where = ("--config", config)
    assert run_msu("bundle", "install", write_tiny_bundle(tmp_path / "1", version="1.0"), *where).returncode == 0
    with subprocess.Popen([*MSU, "work", *map(str, where)], stderr=subprocess.DEVNULL) as process:
        try:
            with sender.association() as association:
                for ds in head[:12]:
                    sender.store(ds, association)
                wait_for_frames(sender, head, 12)
                second = run_msu("bundle", "install", write_tiny_bundle(tmp_path / "2", version="2.0"), *where)
                assert second.returncode == 0, second.stderr
                for ds in head[12:]:
                    sender.store(ds, association)
            result = result_of(sender, head)
            assert result.model is not None and (result.model.version, result.model.development_key) == ("1.0", True)

            def running() -> bool:
                beat: HeartbeatRow | None = sender.ledger.heartbeats().get("work")
                return beat is not None and (beat.detail["model"] or {}).get("version") == "2.0"

            wait_until(running, "the worker runs the new bundle")
        finally:
            process.kill()
