"""What leaves, in which order, and what overtakes what."""

from __future__ import annotations

import pytest

from edge_app.core.errors import HeaderError
from edge_app.delivery.items import Item
from edge_app.delivery.link import Receipt
from edge_app.store import outbox
from edge_app.store.outbox import OutboxRow
from tests.stored_studies import add_ct_study, ct_uid, study_result
from tests.unit.delivery.outbox_box import CENTRE, Box, images, result


@pytest.mark.parametrize("status", [0, 0xA700, None])
def test_a_message_goes_over_the_held_connection_or_the_usual_way_and_once(box: Box, status: int | None) -> None:
    express: list[str] = []

    def send(item: Item) -> Receipt | None:
        express.append(item.sop_uid)
        return None if status is None else Receipt(status, item.transfer_syntax_uid)

    box.start(express=send)
    box.add_study()
    box.run()
    assert express == [result(1)]
    assert box.centre.received == ([] if status == 0 else [result(1)]) + images(1, 1, 2, 3)
    assert outbox.deliveries(box.ledger, ct_uid(1), CENTRE)[result(1)].state == "sent"


def test_a_message_that_comes_meanwhile_waits_for_no_connection_to_be_opened(box: Box) -> None:
    express: list[tuple[str, int]] = []

    def send(item: Item) -> Receipt:
        express.append((item.sop_uid, box.centre.opened))
        if len(express) == 1:
            box.add_study(2)
            assert box.queue.message_waits()
        return Receipt(0, item.transfer_syntax_uid)

    box.start(express=send)
    box.more_objects = 2
    box.add_study(1)
    box.run()
    assert express == [(result(1), 0), (result(2), 0)]
    assert len(box.centre.received) == 2 * (2 + 3)


def test_where_the_message_alone_cannot_be_made_the_other_objects_go(box: Box) -> None:
    def make_message(row: OutboxRow) -> Item:
        raise HeaderError("bad", remedy="")

    box.start(express=lambda item: pytest.fail("there is none"), make_message=make_message)
    box.with_message, box.more_objects = False, 1
    box.add_study()
    box.run()
    assert box.centre.received == [f"{result(1)}.1", *images(1, 1, 2, 3)]


@pytest.mark.requirement("R75")
def test_the_result_leaves_first_then_the_images(box: Box) -> None:
    box.add_study()
    box.run()
    assert box.centre.received == [result(1), *images(1, 1, 2, 3)]
    assert outbox.count_by_state(box.ledger) == {
        "images": {"queued": 0, "sent": 1, "failed": 0},
        "result": {"queued": 0, "sent": 1, "failed": 0},
        "notice": {"queued": 0, "sent": 0, "failed": 0},
    }


def test_key_slices_lead_the_images(box: Box) -> None:
    add_ct_study(box.ledger)
    box.ledger.add_result(study_result(), last_instance_id=6)
    box.run()
    assert box.centre.received[1:] == images(1, 4, 2, 6, 1, 3, 5)


def test_a_result_that_comes_meanwhile_cuts_the_image_under_way_and_overtakes(box: Box) -> None:
    box.add_study(1)

    def second_patient(item: Item) -> None:
        if item.sop_uid == ct_uid(1, 2):
            box.centre.on_send = lambda item: None
            box.add_study(2)

    box.centre.on_send = second_patient
    box.run()
    assert box.centre.received[:3] == [result(1), ct_uid(1, 1), result(2)]
    assert sorted(box.centre.received) == sorted([result(1), result(2), *images(1, 1, 2, 3), *images(2, 1, 2, 3)])
    assert box.queue.detail()["link"] == "idle"


def test_messages_of_all_results_leave_before_anything_else(box: Box) -> None:
    box.more_objects = 2
    box.centre.away = True
    box.add_study(1)
    box.add_study(2)
    box.add_study(3)
    box.run()
    box.centre.away = False
    box.later()
    assert sorted(box.centre.received[:3]) == [result(1), result(2), result(3)]
    assert len(box.centre.received) == 3 * (3 + 3)
    assert len(set(box.centre.received)) == 3 * (3 + 3)


def test_a_result_without_a_message_goes_all_the_same(box: Box) -> None:
    box.more_objects, box.with_message = 2, False
    box.add_study(1)
    box.add_study(2)
    box.run()
    assert len(box.centre.received) == 2 * (2 + 3)


def test_a_message_that_broke_the_connection_once_is_still_sent_first(box: Box) -> None:
    box.more_objects = 2
    box.add_study(1)
    box.centre.breaks_at = {result(1): 2}
    for _ in range(4):
        box.later()
    assert box.centre.received[0] == result(1)
    assert len(box.centre.received) == 3 + 3


def test_a_message_is_not_cut_by_the_next_one(box: Box) -> None:
    box.add_study(1)

    def second_patient(item: Item) -> None:
        if item.sop_uid == result(1):
            box.centre.on_send = lambda item: None
            box.add_study(2)

    box.centre.on_send = second_patient
    box.run()
    assert box.centre.received[:2] == [result(1), result(2)]


def test_a_new_revision_sends_its_result_but_no_image_twice(box: Box) -> None:
    box.add_study()
    box.run()
    box.ledger.add_result(study_result(slices=3), last_instance_id=3)
    box.run()
    assert box.centre.received == [result(1), *images(1, 1, 2, 3), result(1, 2)]
    assert not outbox.queued(box.ledger)


@pytest.mark.parametrize(("seconds", "slow"), [(1.0, True), (0.001, False)])
def test_a_slow_link_gets_images_compressed_and_a_fast_one_does_not(box: Box, seconds: float, slow: bool) -> None:
    box.add_study()
    box.centre.size_bytes = 100_000

    def take_time(item: Item) -> None:
        box.now_s += seconds

    box.centre.on_send = take_time
    box.run()
    assert box.centre.smaller == [True, slow, slow, slow]


@pytest.mark.requirement("R41")
def test_images_without_a_result_are_queued_once_after_a_while(box: Box) -> None:
    add_ct_study(box.ledger)
    received_s = box.ledger.instances()[-1].received_s
    assert outbox.add_forgotten_images(box.ledger, now_s=received_s + outbox.IMAGES_WAIT_S - 1) == 0
    assert outbox.add_forgotten_images(box.ledger, now_s=received_s + outbox.IMAGES_WAIT_S + 1) == 1
    assert outbox.add_forgotten_images(box.ledger, now_s=received_s + outbox.IMAGES_WAIT_S + 1) == 0
    box.run()
    assert len(box.centre.received) == 6


def test_images_whose_result_was_queued_are_not_forgotten(box: Box) -> None:
    box.add_study()
    assert outbox.add_forgotten_images(box.ledger, now_s=float("inf")) == 0
