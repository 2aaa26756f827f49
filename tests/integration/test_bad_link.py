"""The way out over a thin, slow and lossy link with an outage (the long ones: tests/benchmarks/bad_link.py)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edge_app.reports import message_uid
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.bad_links import CENTRE, bad_link, why_not
from tests.delivering import all_sent, data_sets, objects, originals, start
from tests.peers import program
from tests.stored_studies import add_ct_study, ct_uid, study_result
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

PORT = 11112


@pytest.fixture(scope="module", autouse=True)
def _possible() -> None:
    if reason := why_not():
        pytest.skip(reason)


def test_after_an_outage_everything_is_there_once_and_the_message_was_first(tmp_path: Path) -> None:
    folder = tmp_path / "centre"
    folder.mkdir()
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger, bad_link() as link:
        add_ct_study(ledger, slices=3)
        command = [*link.centre, program("/usr/bin/storescp"), "--aetitle", "CSC", "--bit-preserving", "+xa"]
        centre = subprocess.Popen(
            [*command, "-od", str(folder), "--fork", str(PORT)], env={**os.environ, "TCP_NODELAY": "1"}
        )
        link.shape(kbit_s=256, round_trip_ms=200, loss_percent=5)
        process = start(ledger, f"CSC@{CENTRE}:{PORT}", prefix=link.car, stalled_timeout_s=2.0, connect_timeout_s=2.0)
        try:
            wait_until(lambda: "deliver" in ledger.heartbeats(), "it lives")
            ledger.add_result(study_result(slices=3), last_instance_id=3)
            wait_until(lambda: list(folder.iterdir()), "the first object is there")
            first = [path.name.split(".", 1)[1] for path in folder.iterdir()]
            link.shape(kbit_s=256, round_trip_ms=200, loss_percent=100)
            wait_until(lambda: ledger.heartbeats()["deliver"].detail["link"] == "down", "the link is down")
            assert not all_sent(ledger)
            link.shape(kbit_s=256, round_trip_ms=200, loss_percent=5)
            wait_until(lambda: all_sent(ledger), "everything is sent")
        finally:
            process.terminate()
            process.wait()
            centre.kill()
            centre.wait()
        assert message_uid(ct_uid(1), 1) in first
        received = {path.name.split(".", 1)[1]: path.read_bytes() for path in folder.iterdir()}
        assert data_sets(received, tmp_path) == originals(ledger) | objects(ledger)
