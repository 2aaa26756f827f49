"""What the limits rely on inside pynetdicom, and the shared memory budget."""

from __future__ import annotations

import inspect
import socket

import pytest
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import DT_2, StateMachine

from edge_app.core.clock import monotonic_s
from edge_app.receiver.limits import Budget, _read


def test_the_upper_layer_still_reads_through_the_method_that_is_replaced() -> None:
    assert inspect.getsource(DULServiceProvider._is_transport_event).count("self._read_pdu_data()") == 2
    source = inspect.getsource(DULServiceProvider._read_pdu_data)
    for part in ("self._decode_pdu(", "self._recv_pdu.put(pdu)", "self.event_queue.put(event)", '"Evt17"', '"Evt19"'):
        assert part in source
    assert "self.state_machine.do_action(event)" in inspect.getsource(DULServiceProvider.run_reactor)
    assert list(inspect.signature(StateMachine.do_action).parameters) == ["self", "event"]


def test_fragments_still_go_to_dimse_by_the_method_that_is_replaced() -> None:
    assert "dul.assoc.dimse.receive_primitive(" in inspect.getsource(DT_2)
    source = inspect.getsource(DIMSEServiceProvider.receive_primitive)
    assert "self.msg_queue.put(" in source
    assert source.rstrip().endswith("self.message = None")


def test_messages_are_still_served_by_the_method_that_is_replaced() -> None:
    assert "self._serve_request(msg, " in inspect.getsource(Association._run_reactor)
    assert "target=make_target(self.run_reactor)" in inspect.getsource(Association.__init__)


def test_the_budget_is_shared_and_given_back() -> None:
    budget, one, two = Budget(100), object(), object()
    assert budget.take(one, 60)
    assert not budget.take(two, 41)
    assert budget.take(two, 40)
    budget.give(one, 30)
    assert budget.take(two, 30)
    budget.give(two)
    budget.give(one)
    budget.give(one)
    assert budget.take(one, 100)


def test_bytes_that_lie_there_are_in_time_however_late_we_come_to_take_them() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"whole")
        assert _read(ours, 5, monotonic_s() - 1.0) == b"whole"
        theirs.sendall(b"ha")
        with pytest.raises(TimeoutError):
            _read(ours, 4, monotonic_s() - 1.0)
        assert ours.gettimeout() is None
