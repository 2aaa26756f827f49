"""What the crew enters goes out: its second tap as a notice, what the report speaks of as a new edition."""

from __future__ import annotations

import pytest

from edge_app.cli import main
from edge_app.store import outbox
from edge_app.store.crew import note_crew
from edge_app.store.diversion import divert
from edge_app.store.editions import Edition, edition_before, latest_edition
from edge_app.store.ledger import Ledger
from edge_app.store.notices import latest_notices, notice_of
from edge_app.store.outbox import OutboxRow
from edge_app.store.statements import add_second_reading, correct_identity, statements_of
from tests.stored_studies import add_ct_study, ct_uid, study_result

CENTRE = "CSC@centre:104"
STUDY = ct_uid(1)


@pytest.fixture
def analysed(ledger: Ledger) -> Ledger:
    add_ct_study(ledger)
    ledger.add_result(study_result(), last_instance_id=6)
    return ledger


def of_kind(ledger: Ledger, kind: str) -> list[OutboxRow]:
    return [row for row in outbox.queued_for(ledger, CENTRE) if row.kind == kind]


@pytest.mark.requirement("R77")
def test_the_second_tap_queues_a_notice_that_leaves_before_all_else(analysed: Ledger) -> None:
    note_crew(analysed, STUDY, "notify", {"recipient": "Stroke centre", "by": "paramedic", "revision": 1})
    first = outbox.queued_for(analysed, CENTRE)[0]
    assert (first.kind, first.revision) == ("notice", 1)
    notice = notice_of(analysed, first.id)
    assert notice is not None
    assert (notice.by, notice.study_uid) == ("paramedic", STUDY)
    assert latest_notices(analysed)[STUDY].state == "queued"


@pytest.mark.requirement("R77")
def test_the_screen_is_told_when_a_destination_has_the_notice(analysed: Ledger) -> None:
    note_crew(analysed, STUDY, "notify", {"by": "paramedic"})
    (row,) = of_kind(analysed, "notice")
    outbox.finish(analysed, row, "sent", destination=CENTRE, objects=1)
    state = latest_notices(analysed)[STUDY]
    assert (state.state, state.destinations) == ("sent", (CENTRE,))
    assert state.sent_utc >= state.queued_utc


def test_a_centre_can_be_notified_before_there_is_a_result(ledger: Ledger) -> None:
    add_ct_study(ledger)
    note_crew(ledger, STUDY, "notify", {"by": "paramedic"})
    (row,) = of_kind(ledger, "notice")
    assert row.revision == 0


@pytest.mark.requirement("R78")
def test_what_people_say_of_a_result_makes_a_new_edition_of_its_report(analysed: Ledger) -> None:
    note_crew(analysed, STUDY, "opinion", {"opinion": "disagree", "by": "doctor", "revision": 1})
    note_crew(analysed, STUDY, "identity", {"by": "paramedic", "revision": 1})
    assert [row.edition for row in of_kind(analysed, "result")] == [1, 2, 3]
    latest = latest_edition(analysed, STUDY, 1)
    assert latest is not None
    assert (latest.edition, latest.why) == (3, "identity")
    before = edition_before(analysed, latest)
    assert before is not None
    assert (before.edition, before.why) == (2, "opinion")


def test_what_only_the_screen_needs_makes_none(analysed: Ledger) -> None:
    for kind in ("lkw", "reviewed", "hand_over", "desk"):
        note_crew(analysed, STUDY, kind, {"by": "paramedic"})
    note_crew(analysed, "", "identity", {})
    assert len(of_kind(analysed, "result")) == 1


def test_a_revision_supersedes_the_last_edition_of_the_one_before(analysed: Ledger) -> None:
    note_crew(analysed, STUDY, "identity", {"by": "paramedic"})
    analysed.add_result(study_result(), last_instance_id=6)
    latest = latest_edition(analysed, STUDY, 2)
    assert latest is not None
    before = edition_before(analysed, latest)
    assert before is not None
    assert (before.revision, before.edition) == (1, 2)
    first = latest_edition(analysed, STUDY, 1)
    assert first is not None
    assert edition_before(analysed, Edition(STUDY, 1, 1, 0, "", "")) is None


def test_what_was_said_before_the_result_stands_in_its_first_edition(ledger: Ledger) -> None:
    add_ct_study(ledger)
    note_crew(ledger, STUDY, "identity", {"by": "nurse"})
    ledger.add_result(study_result(), last_instance_id=6)
    (row,) = of_kind(ledger, "result")
    assert row.edition == 1
    latest = latest_edition(ledger, STUDY, 1)
    assert latest is not None
    assert statements_of(ledger, STUDY, revision=1, crew_id=latest.crew_id).confirmed_by == "nurse"


def test_an_edition_knows_nothing_of_what_was_said_later(analysed: Ledger) -> None:
    note_crew(analysed, STUDY, "identity", {"by": "nurse"})
    assert statements_of(analysed, STUDY, revision=1, crew_id=0).confirmed_by == ""


@pytest.mark.requirement("R79")
def test_the_newest_word_of_each_role_counts_for_the_revision_it_is_about(analysed: Ledger) -> None:
    for opinion, revision in (("agree", 1), ("disagree", 1), ("agree", 2)):
        note_crew(analysed, STUDY, "opinion", {"opinion": opinion, "by": "doctor", "revision": revision})
    note_crew(analysed, STUDY, "opinion", {"opinion": "no such word", "by": "nurse", "revision": 1})
    add_second_reading(analysed, STUDY, "seen", revision=1, by="neurologist", name="Dr. Weiss", source=CENTRE)
    said = statements_of(analysed, STUDY, revision=1, crew_id=99)
    assert [(reading.about, reading.word, reading.by, reading.name) for reading in said.readings] == [
        ("result", "disagree", "doctor", ""), ("blood", "seen", "neurologist", "Dr. Weiss")
    ]  # fmt: skip
    assert [reading.word for reading in statements_of(analysed, STUDY, revision=2, crew_id=99).readings] == ["agree"]


@pytest.mark.requirement("R75")
def test_only_who_knew_this_answer_has_reviewed_it(analysed: Ledger) -> None:
    note_crew(analysed, STUDY, "impression", {"impression": "not_seen", "by": "nurse", "revision": 1})
    add_second_reading(analysed, STUDY, "unsure", revision=0, by="radiologist", name="", source=CENTRE)
    add_second_reading(analysed, STUDY, "seen", revision=1, by="neurologist", name="Dr. Weiss", source=CENTRE)
    first, second = (statements_of(analysed, STUDY, revision=number, crew_id=99) for number in (1, 2))
    assert [(reading.by, reading.reviews) for reading in first.readings] == [
        ("nurse", False), ("radiologist", False), ("neurologist", True)
    ]  # fmt: skip
    assert [(reading.by, reading.reviews) for reading in second.readings] == [("nurse", False), ("radiologist", False)]


@pytest.mark.requirement("R61")
def test_a_corrected_identity_is_kept_beside_what_the_images_say(analysed: Ledger) -> None:
    correct_identity(analysed, STUDY, patient_id="4711", patient_name="Weber^Eva", by="nurse")
    corrected = statements_of(analysed, STUDY, revision=1, crew_id=99).corrected
    assert corrected is not None
    assert (corrected.patient_id, corrected.by) == ("4711", "nurse")
    assert of_kind(analysed, "result")[-1].edition == 2
    assert {row.patient_id for row in analysed.instances()} == {"PAT-1"}


def test_a_diverted_run_gets_the_latest_edition(analysed: Ledger) -> None:
    note_crew(analysed, STUDY, "identity", {"by": "paramedic"})
    divert(analysed, "", by="paramedic", studies=[STUDY])
    assert [row.edition for row in of_kind(analysed, "result")] == [1, 2, 2]


def test_the_command_line_corrects_an_identity(analysed: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data", str(analysed.paths.root)]
    words = ["cases", "identify", "--study", STUDY, "--patient-id", "4711", "--by", "nurse", *where]
    assert main(words) == 0
    corrected = statements_of(analysed, STUDY, revision=1, crew_id=99).corrected
    assert corrected is not None
    assert (corrected.patient_id, corrected.by) == ("4711", "nurse")
    assert main(["cases", "identify", "--study", "1.2.3", "--patient-id", "4711", *where]) == 4
    assert main(["cases", "identify", *where]) == 78
    assert "no study 1.2.3" in capsys.readouterr().err
