"""The self-test against a vehicle that answers rightly, wrongly, late, or not at all."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_app.core.errors import ProcessError, SendError
from edge_app.core.types import StudyResult, StudyStatus, Verdict
from edge_app.processes.ask_self_test import ask_self_test
from edge_app.simulator import make_study, to_datasets
from edge_app.store.cases import list_cases
from edge_app.store.ledger import Ledger
from edge_app.store.outbox import add_forgotten_images, count_by_state
from edge_app.store.paths import StorePaths
from edge_app.store.self_tests import announce, ask_for, asked_after, finish, last_self_test, self_test_uids
from edge_app.ui.snapshot import SnapshotSource
from edge_app.watch.self_test import Answer, Phantom, SelfTest, compare
from tests.instances import STUDY_UID, make_dataset
from tests.stores import Sender
from tests.waiting import wait_until

GOLDEN = Answer(StudyStatus.RESULT, "hemorrhage", {"negative": 0.02, "hemorrhage": 0.97, "ischemic": 0.01})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(StorePaths(tmp_path), "watch") as opened:
        yield opened


def result(study_uid: str, hemorrhage: float = 0.97, verdict: Verdict = Verdict.HEMORRHAGE) -> StudyResult:
    return StudyResult(
        study_uid=study_uid, patient_id="", status=StudyStatus.RESULT, verdict=verdict,
        probabilities={"negative": 0.99 - hemorrhage, "hemorrhage": hemorrhage, "ischemic": 0.01},
        reasons=(), series_uid=None, slices=(), model=None, backend=None, timings_ms={},
    )  # fmt: skip


def run(ledger: Ledger, send: Callable[[], None], *, timeout_s: float = 30.0) -> SelfTest:
    test = SelfTest(ledger, lambda: Phantom("1.2.3", GOLDEN, send), timeout_s=timeout_s)
    assert not test.finding.ok and test.finding.code == "F-02"
    test.start()
    wait_until(lambda: not test.running, "the self-test ends")
    return test


def test_the_same_answer_passes_and_leaves_nothing_but_the_record(ledger: Ledger) -> None:
    test = run(ledger, lambda: ledger.add_result(result("1.2.3"), last_instance_id=0) and None)
    assert test.finding.ok
    assert ledger.latest_result("1.2.3") is None and list_cases(ledger) == []
    last = last_self_test(ledger)
    assert last is not None and last[1] == "passed"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (result("1.2.3", 0.60), "hemorrhage 0.6"),
        (result("1.2.3", 0.97, Verdict.NONE_DETECTED), "verdict none_detected"),
    ],
)
def test_another_answer_fails_and_says_what_differs(ledger: Ledger, answer: StudyResult, said: str) -> None:
    test = run(ledger, lambda: ledger.add_result(answer, last_instance_id=0) and None)
    assert not test.finding.ok and test.finding.code == "F-01" and said in test.finding.found


def test_no_answer_and_a_port_that_does_not_take_it_fail(ledger: Ledger) -> None:
    assert "no result after" in run(ledger, lambda: None, timeout_s=0.2).finding.found

    def refuse() -> None:
        raise SendError("0xA700", remedy="")

    with ledger.transaction() as db:
        db.execute("DELETE FROM self_tests")
    assert "0xA700" in run(ledger, refuse).finding.found


def test_a_self_test_that_dies_leaves_nothing_of_what_the_one_before_said(ledger: Ledger) -> None:
    phantoms = [Phantom("1.2.3", GOLDEN, lambda: ledger.add_result(result("1.2.3"), last_instance_id=0) and None)]

    def prepare() -> Phantom:
        if not phantoms:
            raise OSError(errno.ENOSPC, "no space left")
        return phantoms.pop()

    test = SelfTest(ledger, prepare, timeout_s=30.0)
    said = []
    for _ in range(2):
        test.start()
        wait_until(lambda: not test.running, "the self-test ends")
        said.append((test.finding.ok, test.finding.code))
    assert said == [(True, "F-01"), (False, "F-01")]


def test_what_a_watch_left_that_died_in_a_self_test_goes_with_the_next_one(tmp_path: Path) -> None:
    with Sender(tmp_path) as sender:
        announce(sender.ledger, STUDY_UID)
        with sender.association() as association:
            sender.store(make_dataset(), association)
        assert "no result after" in run(sender.ledger, lambda: None, timeout_s=0.2).finding.found
        assert sender.ledger.instances() == []
        assert list(sender.ledger.paths.root.glob("instances/*")) == []
        outcomes = sender.ledger.read("SELECT outcome FROM self_tests ORDER BY rowid")
    assert outcomes == [("stopped",), ("failed",)]


def test_a_probability_that_is_missing_or_nan_is_a_difference() -> None:
    assert compare(Answer(StudyStatus.RESULT, "hemorrhage", {}), GOLDEN)
    assert compare(Answer(StudyStatus.RESULT, "hemorrhage", {**GOLDEN.probabilities, "ischemic": float("nan")}), GOLDEN)
    assert compare(GOLDEN, GOLDEN) == []


def test_what_was_announced_is_shown_to_nobody_sent_to_nobody_and_removed(tmp_path: Path) -> None:
    own, patient = (to_datasets(make_study(1, "negative"), study_key=key)[:3] for key in ("own", "patient"))
    own_uid, patient_uid = (str(objects[0].StudyInstanceUID) for objects in (own, patient))
    with Sender(tmp_path) as sender, Ledger(sender.ledger.paths, "screen") as ledger:
        announce(ledger, own_uid)
        with sender.association() as association:
            for ds in (*own, *patient):
                sender.store(ds, association)
        for uid in (own_uid, patient_uid):
            ledger.add_result(result(uid), last_instance_id=100)
        assert [study.study_uid for study in SnapshotSource(ledger).read().studies] == [patient_uid]
        assert [case["study_uid"] for case in list_cases(ledger)] == [patient_uid]
        assert count_by_state(ledger)["images"]["queued"] == 1
        finish(ledger, own_uid, "passed", {})
        assert add_forgotten_images(ledger, now_s=1e12) == 0
        assert {row.study_uid for row in ledger.instances()} == {patient_uid}
        assert own_uid in self_test_uids(ledger)
        assert len(list(ledger.paths.root.glob("instances/*"))) == 1


def test_a_study_that_calls_itself_a_self_test_is_shown(tmp_path: Path) -> None:
    ds = to_datasets(make_study(2, "negative"))[0]
    ds.PatientID = ds.PatientName = "MSU-SELFTEST"
    with Sender(tmp_path) as sender:
        with sender.association() as association:
            sender.store(ds, association)
        assert len(list_cases(sender.ledger)) == 1


def test_the_crew_can_ask_for_one(ledger: Ledger) -> None:
    assert asked_after(ledger, 0) == 0
    ask_for(ledger)
    first = asked_after(ledger, 0)
    assert first > 0 and asked_after(ledger, first) == 0


@pytest.mark.parametrize("fails", ["prepare", "send"])
def test_what_is_ended_together_with_the_watch_is_no_failure(ledger: Ledger, fails: str) -> None:
    reached = threading.Event()

    def ended() -> None:
        reached.set()
        raise ProcessError("self-test: exit code -15", remedy="")

    def prepare() -> Phantom:
        if fails == "prepare":
            ended()
        return Phantom("1.2.3", GOLDEN, ended)

    test = SelfTest(ledger, prepare, timeout_s=30.0, grace_s=60.0)
    test.start()
    assert reached.wait(30.0)
    test.stop()
    assert test.finding.code == "F-02"
    last = last_self_test(ledger)
    assert last is None if fails == "prepare" else last is not None and last[1] == "stopped"


def test_who_asks_is_told_of_no_self_test_that_was_under_way(ledger: Ledger) -> None:
    ledger.beat({"findings": [{"check": "Self-test"}]})
    announce(ledger, "1.1")
    told: list[tuple[bool, str]] = []
    asker = threading.Thread(target=lambda: told.append(ask_self_test(ledger, timeout_s=30.0)))
    asker.start()
    wait_until(lambda: asked_after(ledger, 0), "it is asked for")
    finish(ledger, "1.1", "failed", {"problems": ["before the repair"]})
    asker.join(0.3)
    announce(ledger, "1.2")
    finish(ledger, "1.2", "passed", {"took_s": 2.0})
    asker.join()
    assert told == [(True, "PASSED in 2.0 s")]
