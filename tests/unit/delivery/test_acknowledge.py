"""What a centre says of the messages it got is fetched, and noted once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge_app.core.config import DeliverySettings
from edge_app.delivery import acknowledge
from edge_app.delivery.acknowledge import READING_EVERY, Acknowledger
from edge_app.delivery.address import parse_address
from edge_app.delivery.web import WebLink
from edge_app.reports import message_uid
from edge_app.store import outbox, proofs
from edge_app.store.crew import crew_entries, note_crew
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.store.proofs import OpenMessage
from edge_app.ui.facts import Moment
from edge_app.ui.timers import local_time
from edge_app.watch.timeline import case_times
from tests.stored_studies import add_ct_study, ct_uid, study_result
from tests.web_centre import web_centre

STUDY = ct_uid(1)
NOW = "2026-03-14T14:08:00.000000Z"


@pytest.fixture
def two_editions(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        add_ct_study(ledger)
        ledger.add_result(study_result(), last_instance_id=6)
        note_crew(ledger, STUDY, "identity", {"by": "nurse"})
        yield ledger


@pytest.mark.requirement("R79")
def test_a_reading_of_an_older_message_comes_back_and_each_acknowledgement_is_logged_once(
    two_editions: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said = {"by": "Dr. Weiss", "role": "neurologist", "at": "2026-03-14T14:06:00Z"}
    with web_centre() as centre:
        destination = f"notify+http://127.0.0.1:{centre.port}/results"
        for row in outbox.queued_for(two_editions, destination):
            outbox.finish(two_editions, row, "sent", destination=destination, objects=1)
        first, second = (message_uid(STUDY, 1, edition) for edition in (1, 2))
        centre.acknowledgements = {second: said, first: {**said, "reading": "seen"}}
        now_s = iter(range(0, 10**6, 1000))
        asking = Acknowledger(
            two_editions,
            DeliverySettings(),
            parse_address(destination),
            go_on=lambda: True,
            clock=lambda: float(next(now_s)),
        )
        for _ in range(3 * READING_EVERY):
            asking.step()
    assert len(proofs.acknowledgements(two_editions, STUDY)) == 1
    (reading,) = [entry for entry in crew_entries(two_editions) if entry.kind == "second_reading"]
    assert (reading.body["reading"], reading.body["revision"]) == ("seen", 1)
    logged = [getattr(record, "msu_fields", {}).get("event") for record in caplog.records]
    assert logged.count(413) == 1


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2026-03-14T15:06:00+01:00", "2026-03-14T14:06:00.000000Z"),
        ("2026-03-14T14:06:00", "2026-03-14T14:06:00.000000Z"),
        (None, NOW),
        ("", NOW),
        ("14:06", NOW),
        ("0001-01-01T00:00:00Z", NOW),
        (1773497160, NOW),
    ],
)
def test_whatever_a_centre_says_of_when_the_screen_and_the_times_of_the_cases_can_read_it(
    two_editions: Ledger, monkeypatch: pytest.MonkeyPatch, said: object, kept: str
) -> None:
    monkeypatch.setattr(acknowledge, "utc_now", lambda: datetime(2026, 3, 14, 14, 8, tzinfo=timezone.utc))
    monkeypatch.setattr(WebLink, "get_json", lambda *_: {"by": "Dr. Weiss", "at": said})
    message = OpenMessage(STUDY, 1, 1, None)
    asking = Acknowledger(two_editions, DeliverySettings(), parse_address("notify+http://c/r"), go_on=lambda: True)
    link = WebLink(parse_address("notify+http://c/r"), DeliverySettings(), lambda: True)
    asking._ask(link, message)
    (seen,) = proofs.acknowledgements(two_editions, STUDY)
    assert (seen.by, seen.role, seen.at_utc) == ("Dr. Weiss", "", kept)
    assert local_time(seen.at_utc, Moment(0.0, datetime(2026, 3, 14, 15, 8, tzinfo=timezone.utc)))
    assert case_times(two_editions)
