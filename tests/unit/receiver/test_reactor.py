"""The association waits instead of polling; what that relies on inside pynetdicom is pinned here."""

from __future__ import annotations

import inspect
import threading

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider

from edge_app.receiver.reactor import _Bell, _Checkpoint, make_prompt


@pytest.fixture
def association() -> Association:
    return Association(AE(), "acceptor")


def _order(source: str, *parts: str) -> None:
    places = [source.index(part) for part in parts]
    assert places == sorted(places), f"pynetdicom changed the order of {parts}"


def test_the_association_loop_still_waits_at_the_checkpoint_before_it_looks_at_its_queues() -> None:
    source = inspect.getsource(Association._run_reactor)
    _order(
        source,
        "while not self._kill",
        "self._reactor_checkpoint.wait()",
        "self.dimse.get_msg(block=False)",
        "self.acse.is_release_requested()",
        "self.acse.is_aborted()",
        "self.dul.idle_timer_expired()",
    )
    assert "msg_queue" in inspect.getsource(type(Association(AE(), "acceptor").dimse).get_msg)


def test_ending_an_association_still_sets_the_checkpoint() -> None:
    _order(inspect.getsource(Association.kill), "self._reactor_checkpoint.set()", "self._kill = True")


def test_the_upper_layer_still_looks_at_what_is_to_be_sent_before_the_socket() -> None:
    source = inspect.getsource(DULServiceProvider.run_reactor)
    _order(
        source,
        "time.sleep(self._run_loop_delay)",
        "if self._kill_thread",
        "self.artim_timer.expired",
        "self._process_recv_primitive()",
        "self._is_transport_event()",
        "self.event_queue.get(block=False)",
    )
    assert "self.to_provider_queue.put(primitive)" in inspect.getsource(DULServiceProvider.send_pdu)
    assert 'current_state == "Sta13"' in inspect.getsource(DULServiceProvider._is_transport_event)


def test_a_prepared_association_has_no_delay_and_its_own_checkpoint(association: Association) -> None:
    make_prompt(association, is_behind=lambda: False)
    assert association.dul._run_loop_delay == 0
    assert isinstance(association._reactor_checkpoint, _Checkpoint)
    assert association._reactor_checkpoint.is_set()


def test_the_checkpoint_lets_through_at_once_when_there_is_work(association: Association) -> None:
    checkpoint = _Checkpoint(association)
    association.dimse.msg_queue.put((1, object()))
    assert checkpoint.has_work()
    assert checkpoint.wait()
    association.dimse.msg_queue.get()
    assert not checkpoint.has_work()


def test_a_cleared_checkpoint_holds_until_it_is_set(association: Association) -> None:
    checkpoint = _Checkpoint(association)
    checkpoint.clear()
    passed = threading.Event()
    thread = threading.Thread(target=lambda: (checkpoint.wait(), passed.set()))
    thread.start()
    assert not passed.is_set()
    checkpoint.set()
    thread.join()
    assert passed.is_set()


def test_a_bell_rings_until_it_is_cleared_and_is_silent_once_closed() -> None:
    bell = _Bell()
    for _ in range(70_000):  # more than a pipe holds: ringing never blocks
        bell.ring()
    for _ in range(20):
        bell.clear()
    bell.clear()
    bell.close()
    bell.ring()
    bell.close()
