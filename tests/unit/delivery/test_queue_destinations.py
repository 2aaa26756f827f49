"""Several destinations, and a run that is diverted from one to another."""

from __future__ import annotations

from edge_app.store import outbox
from edge_app.store.diversion import current_diversion, divert
from edge_app.store.retention import delivered_studies
from tests.stored_studies import ct_uid
from tests.unit.delivery.outbox_box import CENTRE, Box, images, result


def test_a_diversion_sends_what_is_held_to_the_new_destination(box: Box) -> None:
    box.add_study()
    box.centre.breaks_at = {ct_uid(1, 2): 1}
    box.run()
    box.centre.received.clear()
    box.served = ["OTHER@elsewhere:104"]
    box.start("OTHER@elsewhere:104")
    box.run()
    assert box.centre.received == images(1, 1, 2, 3)
    assert not outbox.queued(box.ledger)


def test_a_diversion_that_names_the_case_sends_all_of_it_and_nothing_twice(box: Box) -> None:
    box.add_study()
    box.run()
    divert(box.ledger, "OTHER@elsewhere:104", by="paramedic", studies=[ct_uid(1)])
    assert current_diversion(box.ledger) == "OTHER@elsewhere:104"
    box.served = ["OTHER@elsewhere:104"]
    box.start("OTHER@elsewhere:104")
    box.centre.received.clear()
    box.run()
    assert box.centre.received == [result(1), *images(1, 1, 2, 3)]
    divert(box.ledger, "OTHER@elsewhere:104", by="paramedic", studies=[ct_uid(1)])
    box.run()
    assert len(box.centre.received) == 4
    assert not outbox.queued(box.ledger)


def test_a_row_is_closed_when_all_destinations_have_it(box: Box) -> None:
    box.add_study()
    box.served = [CENTRE, "ALSO@elsewhere:104"]
    box.run()
    assert len(outbox.queued(box.ledger)) == 2
    assert not delivered_studies(box.ledger)
    box.start("ALSO@elsewhere:104")
    box.run()
    assert box.centre.received == 2 * [result(1), *images(1, 1, 2, 3)]
    assert not outbox.queued(box.ledger)
    assert outbox.count_by_state(box.ledger, CENTRE)["images"] == {"queued": 0, "sent": 1, "failed": 0}


def test_a_destination_that_gives_up_leaves_the_other_one_alone(box: Box) -> None:
    box.add_study()
    box.served = [CENTRE, "ALSO@elsewhere:104"]
    box.centre.answers = {result(1): 0xC000}
    for _ in range(5):
        box.later()
    box.centre.answers = {}
    box.start("ALSO@elsewhere:104")
    box.run()
    counts = outbox.count_by_state(box.ledger)
    assert counts == {
        "images": {"queued": 0, "sent": 1, "failed": 0},
        "result": {"queued": 0, "sent": 0, "failed": 1},
        "notice": {"queued": 0, "sent": 0, "failed": 0},
    }


def test_a_destination_that_is_no_longer_served_holds_nothing_up(box: Box) -> None:
    box.add_study()
    box.served = [CENTRE, "ALSO@elsewhere:104"]
    box.run()
    outbox.settle_all(box.ledger, [CENTRE])
    assert not outbox.queued(box.ledger)


def test_where_only_results_go_no_image_does(box: Box) -> None:
    box.add_study()
    box.start(takes_images=False)
    box.run()
    assert box.centre.received == [result(1)]
    assert not outbox.queued(box.ledger)
