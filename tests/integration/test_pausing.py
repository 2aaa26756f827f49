"""No answer is lost between the two threads of an association that we opened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from edge_app.core.pausing import on_connection
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def port() -> Iterator[int]:
    ae = AE()
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    yield server.socket.getsockname()[1]
    server.shutdown()


def _held_up_where_they_may_meet(event: evt.Event) -> None:
    """Hold the association's thread right after it saw that it may go on, until an answer came or it is waited for.

    Whoever waits for the answer is held until that thread has looked for a request.
    """
    association: Any = event.assoc
    association.goes_on = threading.Event()
    checkpoint, messages = association._reactor_checkpoint, association.dimse.msg_queue
    wait, get, has_looked = checkpoint.wait, messages.get, threading.Event()

    def is_over() -> bool:
        is_waited_for = not checkpoint.is_set() and not association._is_paused
        return bool(is_waited_for or association._kill or messages.qsize())

    def wait_and_stay() -> bool:
        is_set: bool = wait()
        association.goes_on.set()
        wait_until(is_over, "an answer, or somebody who waits")
        return is_set

    def get_after_it_looked(block: bool = True, timeout: float | None = None) -> Any:
        if block:
            has_looked.wait(60.0)
            return get(block=True, timeout=timeout)
        try:
            return get(block=False)
        finally:
            has_looked.set()

    checkpoint.wait, messages.get = wait_and_stay, get_after_it_looked


def _echo(port: int, *handlers: Callable[[evt.Event], None], timeout_s: float) -> int | None:
    ae = AE()
    ae.dimse_timeout = timeout_s
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", port, evt_handlers=[(evt.EVT_CONN_OPEN, handler) for handler in handlers])
    assert association.goes_on.wait(60.0)  # type: ignore[attr-defined]
    status: int | None = association.send_c_echo().get("Status")
    association.abort()
    return status


def test_pynetdicom_loses_an_answer_when_its_thread_is_held_up(port: int) -> None:
    answer = _echo(port, _held_up_where_they_may_meet, timeout_s=1.0)
    assert answer is None, "mended in pynetdicom: edge_app/core/pausing.py can go"


def test_an_answer_comes_however_long_the_thread_is_held_up(port: int) -> None:
    assert _echo(port, on_connection, _held_up_where_they_may_meet, timeout_s=60.0) == 0x0000
