"""The delivery process against real peers: everything arrives, once, byte by byte, whatever happens on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from edge_app.delivery.items import data_set_of
from edge_app.store import outbox
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.delivering import all_sent, deliver, objects, originals, start
from tests.peers import free_port, orthanc, storescp
from tests.stored_studies import add_ct_study, study_result
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        yield ledger


def received(folder: Path) -> dict[str, bytes]:
    return {path.name.split(".", 1)[1]: data_set_of(path) for path in folder.iterdir()}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_images_arrive_byte_by_byte(ledger: Ledger, tmp_path: Path, syntax: str) -> None:
    add_ct_study(ledger, syntax=syntax)
    ledger.add_result(study_result(), last_instance_id=6)
    port = free_port()
    with storescp(tmp_path / "peer", port) as folder, deliver(ledger, f"CSC@127.0.0.1:{port}"):
        wait_until(lambda: all_sent(ledger), "everything is sent")
        assert received(folder) == originals(ledger) | objects(ledger)
    proofs = outbox.deliveries(ledger, study_result().study_uid, f"CSC@127.0.0.1:{port}")
    assert {uid for uid, proof in proofs.items() if proof.status == 0} == set(originals(ledger) | objects(ledger))
    assert len(objects(ledger)) == 7


def test_a_peer_that_is_down_gets_everything_once_it_is_up(ledger: Ledger, tmp_path: Path) -> None:
    add_ct_study(ledger)
    ledger.add_result(study_result(), last_instance_id=6)
    port = free_port()
    with deliver(ledger, f"CSC@127.0.0.1:{port}"):
        wait_until(lambda: _detail(ledger).get("link") == "down", "the heartbeat says that the link is down")
        assert not all_sent(ledger)
        with storescp(tmp_path / "peer", port) as folder:
            wait_until(lambda: all_sent(ledger), "everything is sent")
            assert received(folder) == originals(ledger) | objects(ledger)


def _detail(ledger: Ledger) -> dict[str, object]:
    beat = ledger.heartbeats().get("deliver")
    return beat.detail if beat else {}


@pytest.mark.requirement("R74")
@pytest.mark.parametrize("after", [1, 5, 12])
def test_a_killed_process_goes_on_where_it_was(ledger: Ledger, tmp_path: Path, after: int) -> None:
    add_ct_study(ledger, slices=12)
    ledger.add_result(study_result(slices=12), last_instance_id=12)
    with orthanc(tmp_path / "orthanc") as peer:
        destination = f"ORTHANC@127.0.0.1:{peer.dicom_port}"
        process = start(ledger, destination)
        try:
            wait_until(lambda: len(outbox.deliveries(ledger, study_result().study_uid, destination)) >= after, "some")
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        with deliver(ledger, destination):
            wait_until(lambda: all_sent(ledger), "everything is sent")
        held = peer.files()
        assert peer.get("/statistics")["CountInstances"] == len(held)
        assert set(held) == set(originals(ledger) | objects(ledger))
        for uid, content in (originals(ledger) | objects(ledger)).items():
            path = tmp_path / "from-orthanc.dcm"
            path.write_bytes(held[uid])
            assert data_set_of(path) == content


def test_a_peer_without_the_stored_syntax_gets_the_images_uncompressed(ledger: Ledger, tmp_path: Path) -> None:
    add_ct_study(ledger, syntax=RLELossless)
    ledger.add_result(study_result(), last_instance_id=6)
    port = free_port()
    with storescp(tmp_path / "peer", port, "+xi") as folder, deliver(ledger, f"CSC@127.0.0.1:{port}"):
        wait_until(lambda: all_sent(ledger), "everything is sent")
        for row in ledger.instances():
            sent = dcmread(folder / f"CT.{row.sop_uid}")
            assert (sent.pixel_array == dcmread(ledger.paths.root / row.path).pixel_array).all()


def test_without_a_destination_nothing_is_sent_and_the_heartbeat_says_so(ledger: Ledger) -> None:
    add_ct_study(ledger)
    ledger.add_result(study_result(), last_instance_id=6)
    with deliver(ledger, ""):
        wait_until(lambda: _detail(ledger).get("link") == "off", "the heartbeat says that nothing is sent")
        assert _detail(ledger)["outbox"] == {
            "images": {"queued": 1, "sent": 0, "failed": 0},
            "result": {"queued": 1, "sent": 0, "failed": 0},
            "notice": {"queued": 0, "sent": 0, "failed": 0},
        }


@pytest.mark.requirement("R41")
def test_a_study_that_never_got_a_result_is_sent_all_the_same(ledger: Ledger, tmp_path: Path) -> None:
    add_ct_study(ledger)
    with ledger.transaction() as db:
        db.execute("UPDATE instances SET boot_id = 'an earlier boot'")
    port = free_port()
    with storescp(tmp_path / "peer", port) as folder, deliver(ledger, f"CSC@127.0.0.1:{port}"):
        wait_until(lambda: all_sent(ledger) and len(received(folder)) == 6, "the images are sent")
        assert received(folder) == originals(ledger)
