from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import BasicTextSRStorage

from edge_app.core.config import DeliverySettings
from edge_app.core.errors import HeaderError, NetworkError, SendError
from edge_app.delivery.items import Item, data_set_of, items_of_instances
from edge_app.delivery.link import Receipt
from edge_app.delivery.queue import STRIKES, DeliveryQueue
from edge_app.delivery.retry import Backoff
from edge_app.store import outbox
from edge_app.store.diversion import current_diversion, divert
from edge_app.store.ledger import Ledger
from edge_app.store.outbox import OutboxRow
from edge_app.store.paths import StorePaths
from edge_app.store.retention import delivered_studies
from tests.stored_studies import add_ct_study, ct_uid, study_result

CENTRE = "CSC@centre:104"


class Centre:
    """A peer: takes what it gets, unless told to refuse, to break or to be away."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.opened = 0
        self.smaller: list[bool] = []
        self.away = False
        self.size_bytes = 0
        self.answers: dict[str, int] = {}
        self.breaks_at: dict[str, int] = {}
        self.on_send: Callable[[Item], None] = lambda item: None

    @contextmanager
    def connect(self, items: Sequence[Item], go_on: Callable[[], bool]) -> Iterator[Centre]:
        if self.away:
            raise NetworkError("away", remedy="")
        self.opened += 1
        self.go_on = go_on
        yield self

    def send(self, item: Item, *, smaller: bool) -> Receipt:
        self.smaller.append(smaller)
        self.on_send(item)
        if not self.go_on():
            raise NetworkError("cut", remedy="")
        if self.breaks_at.get(item.sop_uid, 0) > 0:
            self.breaks_at[item.sop_uid] -= 1
            raise NetworkError("broken", remedy="")
        status = self.answers.get(item.sop_uid, 0)
        if status < 0:
            raise SendError("no context", remedy="")
        if status == 0:
            self.received.append(item.sop_uid)
        return Receipt(status, item.transfer_syntax_uid, self.size_bytes)


class Box:
    """A queue over a real ledger, with a clock that is set by hand."""

    def __init__(self, paths: StorePaths) -> None:
        self.ledger = Ledger(paths, "deliver")
        self.centre = Centre()
        self.now_s = 0.0
        self.stopped = False
        self.bad_results: set[str] = set()
        self.more_objects = 0
        self.with_message = True
        self.settings = DeliverySettings(refusals_max=3)
        self.served = [CENTRE]
        self.start()

    def start(self, destination: str = CENTRE, **options: Any) -> None:
        self.queue = DeliveryQueue(
            self.ledger,
            self.settings,
            destination,
            served=lambda: self.served,
            connect=self.centre.connect,
            make_objects=self._objects,
            stopped=lambda: self.stopped,
            backoff=Backoff(10.0, 300.0, chance=lambda: 0.0),
            clock=lambda: self.now_s,
            **{"make_message": lambda row: self._objects(row)[0], **options},
        )

    def _objects(self, row: OutboxRow) -> Sequence[Item]:
        if row.study_uid in self.bad_results:
            raise HeaderError("bad", remedy="")
        (first, *_) = items_of_instances(self.ledger.instances(study_uid=row.study_uid), self.ledger.paths)
        message = replace(first, sop_uid=f"{row.study_uid}.9.{row.revision}", sop_class_uid=BasicTextSRStorage)
        objects = [message] if self.with_message else []
        return [*objects, *(replace(first, sop_uid=f"{message.sop_uid}.{n}") for n in range(1, self.more_objects + 1))]

    def add_study(self, study: int = 1, slices: int = 3) -> None:
        add_ct_study(self.ledger, study, slices)
        last = max(row.id for row in self.ledger.instances())
        self.ledger.add_result(replace(study_result(study, slices), key_slices=()), last_instance_id=last)

    def run(self, limit: int = 100) -> None:
        for _ in range(limit):
            if not self.queue.step():
                return
        pytest.fail("the queue never comes to rest")

    def later(self, seconds: float = 1000.0) -> None:
        self.now_s += seconds
        self.run()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(StorePaths(tmp_path / "store"))
    with made.ledger:
        yield made


def images(study: int, *numbers: int) -> list[str]:
    return [ct_uid(study, n) for n in numbers]


def result(study: int, revision: int = 1) -> str:
    return f"{ct_uid(study)}.9.{revision}"


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


@pytest.mark.parametrize(("seconds", "slow"), [(1.0, True), (0.001, False)])
def test_a_slow_link_gets_images_compressed_and_a_fast_one_does_not(box: Box, seconds: float, slow: bool) -> None:
    box.add_study()
    box.centre.size_bytes = 100_000

    def take_time(item: Item) -> None:
        box.now_s += seconds

    box.centre.on_send = take_time
    box.run()
    assert box.centre.smaller == [True, slow, slow, slow]


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


def test_a_data_set_is_what_follows_the_file_meta_information(box: Box) -> None:
    box.add_study()
    row = box.ledger.instances()[0]
    content = (box.ledger.paths.root / row.path).read_bytes()
    assert content.endswith(data_set_of(box.ledger.paths.root / row.path))


def test_a_file_that_is_no_dicom_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"text")
    with pytest.raises(SendError):
        data_set_of(tmp_path / "x")
    with pytest.raises(SendError):
        data_set_of(tmp_path / "missing")
