"""When something may be restarted."""

from __future__ import annotations

import re
from pathlib import Path

from edge_app.core.types import StudyStatus
from edge_app.store import self_tests
from edge_app.store.between_cases import case_under_way
from tests.instances import make_dataset
from tests.stores import Sender


def test_a_study_an_association_or_a_fresh_image_is_a_case(tmp_path: Path) -> None:
    with Sender(tmp_path) as sender:
        ledger = sender.ledger
        assert case_under_way(ledger, 60.0) == ""
        with sender.association() as association:
            assert case_under_way(ledger, 0.0) == "a peer has an association open"
            sender.store(make_dataset(), association)
        assert re.match(r"the last image came \d+ s ago", case_under_way(ledger, 3600.0))
        assert case_under_way(ledger, 0.0) == ""
        for status, word in ((StudyStatus.RECEIVING, "receiving"), (StudyStatus.ANALYSING, "analysing")):
            ledger.put_study("1.2", status)
            assert case_under_way(ledger, 0.0) == f"a study is {word}"
        ledger.put_study("1.2", StudyStatus.RESULT)
        assert case_under_way(ledger, 0.0) == ""


def test_a_self_test_that_was_stopped_under_the_worker_is_no_case(tmp_path: Path) -> None:
    with Sender(tmp_path) as sender:
        ledger = sender.ledger
        self_tests.announce(ledger, "1.2")
        ledger.put_study("1.2", StudyStatus.RECEIVING)
        assert case_under_way(ledger, 0.0) == "a study is receiving"
        self_tests.finish(ledger, "1.2", "stopped", {})
        ledger.put_study("1.2", StudyStatus.RECEIVING)  # by a worker that had not noticed
        assert case_under_way(ledger, 0.0) == ""
