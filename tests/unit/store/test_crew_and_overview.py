"""What the crew entered, and what the screen asks of the whole ledger."""

from __future__ import annotations

from edge_app.core.types import StudyResult, StudyStatus
from edge_app.store import audit
from edge_app.store.associations import close_association, open_association
from edge_app.store.crew import crew_entries, note_crew
from edge_app.store.ledger import Ledger
from edge_app.store.overview import acknowledgements, delivery_counts, last_peer_s, usual_delay_s


def _result(study_uid: str, delay_ms: float, status: StudyStatus = StudyStatus.RESULT) -> StudyResult:
    return StudyResult(
        study_uid=study_uid, patient_id="P", status=status, verdict=None, probabilities=None, reasons=(),
        series_uid=None, slices=(), model=None, backend=None, timings_ms={"last_slice_to_result": delay_ms},
    )  # fmt: skip


def test_entries_are_appended_and_audited(ledger: Ledger) -> None:
    note_crew(ledger, "1.2", "opinion", {"opinion": "agree", "by": "nurse"})
    note_crew(ledger, "1.2", "opinion", {"opinion": "unsure", "by": "nurse"})
    first, second = crew_entries(ledger)
    assert (first.body["opinion"], second.body["opinion"]) == ("agree", "unsure")
    assert crew_entries(ledger, after_id=first.id) == [second]
    with ledger.transaction() as db:
        events = [row[0] for row in db.execute("SELECT event FROM audit ORDER BY seq")]
        assert events == ["crew_opinion", "crew_opinion"] and audit.verify(db) is None


def test_the_usual_delay_is_the_median_of_this_devices_results(ledger: Ledger) -> None:
    assert usual_delay_s(ledger) is None
    for number, delay_ms in enumerate((1000.0, 9000.0, 2000.0)):
        ledger.add_result(_result(f"1.{number}", delay_ms), last_instance_id=1)
    ledger.add_result(_result("1.9", 99_000.0, StudyStatus.FAILED), last_instance_id=1)
    assert usual_delay_s(ledger) == 2.0


def test_a_study_is_counted_from_its_outbox_to_the_last_object_taken(ledger: Ledger) -> None:
    assert delivery_counts(ledger) == {}
    ledger.add_result(_result("1.2", 1.0), last_instance_id=1)
    count = delivery_counts(ledger)["1.2"]
    assert (count.queued, count.sent, count.failed, count.objects, count.last_utc) == (2, 0, 0, 0, "")
    with ledger.transaction() as db:
        db.execute("UPDATE outbox SET state = 'sent' WHERE kind = 'result'")
        for number, state in enumerate(("sent", "sent", "refused")):
            db.execute(
                "INSERT INTO deliveries (destination, sop_uid, study_uid, state, status, transfer_syntax_uid, sha256, "
                "tries, at_utc) VALUES ('C', ?, '1.2', ?, 0, '', '', 1, ?)",
                (f"s{number}", state, f"2026-03-14T14:0{number}:00Z"),
            )
    count = delivery_counts(ledger)["1.2"]
    assert (count.queued, count.sent, count.objects, count.refused) == (1, 1, 2, 1)
    assert count.last_utc == "2026-03-14T14:01:00Z"


def test_the_last_peer_and_the_last_acknowledgement(ledger: Ledger) -> None:
    assert last_peer_s(ledger) is None and acknowledgements(ledger) == {}
    open_association(ledger, "a", "CT1", "MSU1", "10.0.0.1:104")
    opened = last_peer_s(ledger)
    close_association(ledger, "a", "released")
    closed = last_peer_s(ledger)
    assert opened is not None and closed is not None and closed >= opened
    with ledger.transaction() as db:
        for revision, who in ((1, "A"), (2, "Dr Weber")):
            db.execute(
                "INSERT INTO acknowledgements VALUES ('1.2', ?, 'C', ?, 'doctor', '2026-03-14T14:10:00Z', 'x')",
                (revision, who),
            )
    assert acknowledgements(ledger) == {"1.2": (2, "Dr Weber", "2026-03-14T14:10:00Z")}
