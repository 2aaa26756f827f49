"""What breaks, is refused or cannot be made: tried again, given up in the end, and in nobody's way."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from edge_app.delivery.items import Item
from edge_app.delivery.link import Receipt
from edge_app.delivery.queue import STRIKES
from edge_app.store import outbox, proofs
from edge_app.store.outbox import DeliveryRow
from edge_app.store.retention import delivered_studies
from tests.stored_studies import ct_uid, study_result
from tests.unit.delivery.outbox_box import CENTRE, Box, images, result


def test_a_destination_out_of_reach_is_tried_again_with_growing_pauses(box: Box) -> None:
    box.add_study()
    box.centre.away = True
    pauses = []
    for _ in range(7):
        box.run()
        pauses.append(box.queue.detail()["next_try_in_s"])
        box.now_s += float(str(pauses[-1]))
    assert pauses == [10, 20, 40, 80, 160, 300, 300]
    assert box.queue.detail()["link"] == "down"
    box.centre.away = False
    box.run()
    assert len(box.centre.received) == 4
    assert box.queue.detail()["link"] == "idle"


def test_a_result_that_waited_for_the_link_goes_before_the_one_that_replaces_it(box: Box) -> None:
    box.add_study()
    box.centre.away = True
    box.run()
    box.ledger.add_result(replace(study_result(1, 3), key_slices=()), last_instance_id=3)
    box.centre.away = False
    box.later()
    assert box.centre.received[:2] == [result(1, 1), result(1, 2)]


def test_what_was_sent_before_a_break_is_not_sent_again(box: Box) -> None:
    box.add_study()
    box.centre.breaks_at = {ct_uid(1, 2): 1}
    box.run()
    box.later()
    assert sorted(box.centre.received) == sorted([result(1), *images(1, 1, 2, 3)])


def test_what_was_sent_before_a_restart_is_not_sent_again(box: Box) -> None:
    box.add_study()
    box.centre.breaks_at = {ct_uid(1, 2): 1}
    box.run()
    box.start()
    box.run()
    assert box.centre.received == [result(1), *images(1, 1, 2, 3)]


def test_what_is_reported_lost_while_its_row_is_closed_is_sent_again(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.add_study()
    study_uid, lost = ct_uid(1), ct_uid(1, 2)
    look = outbox.deliveries
    report = threading.Thread(target=lambda: proofs.note_lost(box.ledger, CENTRE, study_uid, [lost]))

    def deliveries(*arguments: Any) -> dict[str, DeliveryRow]:
        done = look(*arguments)
        if len(done) == 4 and report.ident is None:
            report.start()
            report.join(0.3)  # as long as it likes, if it may come in between
        return done

    monkeypatch.setattr(outbox, "deliveries", deliveries)
    box.run()
    report.join()
    box.run()
    assert box.centre.received == [result(1), *images(1, 1, 2, 3), lost]


def test_a_refused_object_lets_the_others_pass_and_is_given_up_in_the_end(box: Box) -> None:
    box.add_study(1)
    box.add_study(2)
    box.centre.answers = {ct_uid(1, 1): 0xC000}
    for _ in range(5):
        box.later()
    assert len(box.centre.received) == 7
    counts = outbox.count_by_state(box.ledger)
    assert counts["images"] == {"queued": 0, "sent": 1, "failed": 1}
    refused = outbox.deliveries(box.ledger, ct_uid(1), CENTRE)[ct_uid(1, 1)]
    assert (refused.state, refused.status, refused.tries) == ("refused", 0xC000, 3)


def test_what_was_given_up_is_tried_again_after_a_restart(box: Box) -> None:
    box.add_study()
    box.centre.answers = {ct_uid(1, 1): -1}
    for _ in range(5):
        box.later()
    box.centre.answers = {}
    assert outbox.requeue_failed(box.ledger) == 1
    box.start()
    box.run()
    assert sorted(box.centre.received) == sorted([result(1), *images(1, 1, 2, 3)])
    assert not outbox.queued(box.ledger)


def test_an_object_that_breaks_every_connection_does_not_block_the_others(box: Box) -> None:
    box.add_study(1)
    box.add_study(2)
    box.centre.breaks_at = {result(1): 10**6}
    for _ in range(STRIKES + 3):
        box.later()
    assert sorted(box.centre.received) == sorted([result(2), *images(1, 1, 2, 3), *images(2, 1, 2, 3)])
    assert [row.kind for row in outbox.queued(box.ledger)] == ["result"]


def test_a_peer_without_room_is_waited_for_and_nothing_is_given_up(box: Box) -> None:
    box.add_study()
    box.centre.answers = dict.fromkeys((result(1), *images(1, 1, 2, 3)), 42752)
    for _ in range(10):
        box.later()
    assert box.queue.detail()["link"] == "down"
    box.centre.answers = {}
    box.later()
    assert len(box.centre.received) == 4


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_a_warning_means_that_the_peer_has_it(status: int) -> None:
    assert Receipt(status, "1.2").accepted


def test_a_result_that_cannot_be_made_does_not_hold_back_the_images(box: Box) -> None:
    box.add_study()
    box.bad_results = {ct_uid(1)}
    for _ in range(5):
        box.later()
    assert box.centre.received == images(1, 1, 2, 3)
    assert outbox.count_by_state(box.ledger)["result"]["failed"] == 1
    assert delivered_studies(box.ledger) == []


def test_a_damaged_file_is_not_sent_under_its_old_uid(box: Box) -> None:
    box.add_study()
    path = box.ledger.paths.root / box.ledger.instances()[1].path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    box.run()
    assert box.centre.received == [result(1), *images(1, 1, 3)]
    assert "changed on disk" in outbox.deliveries(box.ledger, ct_uid(1), CENTRE)[ct_uid(1, 2)].problem


def test_a_row_that_was_tried_often_is_not_compressed_again(box: Box) -> None:
    box.add_study()
    box.centre.breaks_at = {result(1): STRIKES}
    for _ in range(STRIKES + 2):
        box.later()
    assert box.centre.smaller[:STRIKES] == [True] * STRIKES
    assert False in box.centre.smaller


def test_a_stop_cuts_the_object_under_way_and_counts_as_no_failure(box: Box) -> None:
    box.add_study()

    def stop(item: Item) -> None:
        box.stopped = True

    box.centre.on_send = stop
    box.queue.step()
    assert not box.queue.step()
    assert box.centre.received == []
    assert box.queue.detail()["link"] != "down"
    box.stopped, box.centre.on_send = False, lambda item: None
    box.start()
    box.run()
    assert box.centre.received == [result(1), *images(1, 1, 2, 3)]
