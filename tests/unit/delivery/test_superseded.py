"""A record system shows the message that came last: an older report never comes after a newer one."""

from __future__ import annotations

import threading
from pathlib import Path

import hl7
import pytest

from edge_app.core.config import Settings
from edge_app.delivery.address import parse_address
from edge_app.delivery.runner import Runner
from edge_app.processes.deliver import _Loop
from edge_app.store import outbox
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.store.statements import correct_identity
from tests.mllp_peer import mllp_peer
from tests.stored_studies import add_ct_study, ct_uid, study_result


@pytest.mark.requirement("R78")
def test_a_report_that_was_refused_does_not_come_after_the_one_that_corrects_it(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger, mllp_peer() as peer:
        destination = f"hl7://127.0.0.1:{peer.port}"
        settings = Settings(data=tmp_path / "store").replaced(delivery={"destination": destination, "refusals_max": 1})
        loop = _Loop(settings, ledger, threading.Event(), None)

        def send_all() -> None:
            runner = Runner(
                ledger, settings.delivery, parse_address(destination), make_objects=loop._make_objects,
                make_message=loop._make_message, served=lambda: (destination,), tls=None,
            )  # fmt: skip
            while runner._queue.step():
                pass

        add_ct_study(ledger)
        ledger.add_result(study_result(), last_instance_id=6)
        peer.code = "AE"
        send_all()
        correct_identity(ledger, ct_uid(1), patient_id="P-77", by="paramedic")
        peer.code = "AA"
        send_all()
        outbox.requeue_failed(ledger)
        send_all()
        assert not outbox.queued(ledger)
    assert [str(hl7.parse(text).segment("PID")[3]) for text in peer.received] == ["PAT-1", "P-77~PAT-1"]
