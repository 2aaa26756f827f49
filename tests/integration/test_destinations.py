"""Destinations of every kind, and what they say of what they hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless

from edge_app.console import delivery_words
from edge_app.core.config import Settings
from edge_app.processes.deliver import _Loop
from edge_app.receiver.certificates import make_certificates
from edge_app.store import outbox, proofs
from edge_app.store.cases import list_cases
from edge_app.store.crew import crew_entries, note_crew
from edge_app.store.diversion import divert
from edge_app.store.ledger import Ledger
from edge_app.store.notices import latest_notices
from edge_app.store.paths import StorePaths
from tests.delivering import all_sent, data_sets, deliver, objects, originals
from tests.mllp_peer import mllp_peer
from tests.peers import free_port, orthanc, storescp
from tests.stored_studies import add_ct_study, ct_uid, study_result
from tests.waiting import wait_until
from tests.web_centre import web_centre

pytestmark = pytest.mark.integration

DICOMWEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        add_ct_study(ledger)
        ledger.add_result(study_result(), last_instance_id=6)
        yield ledger


def there(ledger: Ledger, destination: str) -> dict[str, Any]:
    """Return what `msu cases` says of a destination."""
    (case,) = list_cases(ledger)
    return next(entry for entry in case["delivery"] if entry["destination"] == destination)


def proved(ledger: Ledger, destination: str, proof: str) -> bool:
    held = outbox.deliveries(ledger, ct_uid(1), destination)
    return len(held) == 13 and all(row.proof == proof for row in held.values())


@pytest.mark.skipif(not Path(DICOMWEB).exists(), reason="orthanc-dicomweb is not installed")
def test_a_dicomweb_server_gets_everything_once_and_is_asked_for_it(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login test password test\n")
    (tmp_path / "netrc").chmod(0o600)
    with orthanc(tmp_path / "orthanc", Plugins=[DICOMWEB], AuthenticationEnabled=True) as peer:
        destination = f"stow+http://127.0.0.1:{peer.http_port}/dicom-web"
        with deliver(ledger, destination, credentials=str(tmp_path / "netrc")):
            wait_until(lambda: proved(ledger, destination, "found"), "all is sent and found")
        assert data_sets(peer.files(), tmp_path) == originals(ledger) | objects(ledger)
        assert peer.get("/statistics")["CountInstances"] == 13
    assert there(ledger, destination)["found"] == 13


def test_a_peer_that_can_be_asked_is_asked_what_it_holds(ledger: Ledger, tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc", DicomAlwaysAllowFind=True) as peer:
        destination = f"ORTHANC@127.0.0.1:{peer.dicom_port}"
        with deliver(ledger, destination, commitment=False):
            wait_until(lambda: proved(ledger, destination, "found"), "all is sent and found")
    assert there(ledger, destination)["found"] == 13


def test_what_the_peer_no_longer_holds_is_sent_again(ledger: Ledger, tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc", DicomAlwaysAllowFind=True) as peer:
        destination = f"ORTHANC@127.0.0.1:{peer.dicom_port}"
        with deliver(ledger, destination, commitment=False):
            wait_until(lambda: proved(ledger, destination, "found"), "all is sent and found")
        lost = ct_uid(1, 3)
        with ledger.transaction() as db:
            db.execute("UPDATE deliveries SET proof = 'answered'")
        (found,) = [uid for uid in peer.get("/instances") if _sop_uid(peer, uid) == lost]
        peer.delete(f"/instances/{found}")
        assert lost not in peer.files()
        with deliver(ledger, destination, commitment=False):
            wait_until(lambda: lost in peer.files(), "it is sent again")
            wait_until(lambda: proved(ledger, destination, "found"), "all is found")
        assert data_sets(peer.files(), tmp_path) == originals(ledger) | objects(ledger)


def _sop_uid(peer: Any, uid: str) -> str:
    return str(peer.get(f"/instances/{uid}")["MainDicomTags"]["SOPInstanceUID"])


def test_a_peer_with_storage_commitment_takes_over_the_safekeeping(ledger: Ledger, tmp_path: Path) -> None:
    port = free_port()
    us = {"msu": {"AET": "MSU1", "Host": "127.0.0.1", "Port": port}}
    with orthanc(tmp_path / "orthanc", DicomModalities=us) as peer:
        destination = f"ORTHANC@127.0.0.1:{peer.dicom_port}"
        with deliver(ledger, destination, commitment_port=port):
            wait_until(lambda: proved(ledger, destination, "committed"), "all is sent and committed")
    assert there(ledger, destination)["committed"] == 13
    assert "13 committed" in delivery_words(list_cases(ledger)[0])


def test_a_tls_destination_gets_everything_byte_by_byte(ledger: Ledger, tmp_path: Path) -> None:
    certificates = tmp_path / "certificates"
    make_certificates(certificates, ["msu", "centre"])
    port = free_port()
    tls = ("+tls", str(certificates / "centre.key.pem"), str(certificates / "centre.pem"))
    options = (*tls, "+cf", str(certificates / "authority.pem"), "+xa")
    with (
        storescp(tmp_path / "peer", port, *options) as folder,
        deliver(
            ledger,
            f"dicoms://CSC@127.0.0.1:{port}",
            tls_authority=str(certificates / "authority.pem"),
            tls_certificate=str(certificates / "msu.pem"),
            tls_key=str(certificates / "msu.key.pem"),
        ),
    ):
        wait_until(lambda: all_sent(ledger), "everything is sent")
        received = {path.name.split(".", 1)[1]: path.read_bytes() for path in folder.iterdir()}
    assert data_sets(received, tmp_path) == originals(ledger) | objects(ledger)


def test_a_destination_with_a_certificate_of_somebody_else_gets_nothing(ledger: Ledger, tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        make_certificates(tmp_path / name, ["centre"])
    files = (tmp_path / "theirs" / "centre.pem", tmp_path / "theirs" / "centre.key.pem")
    with web_centre(files) as centre:
        destination = f"notify+https://127.0.0.1:{centre.port}/results"
        with deliver(ledger, destination, tls_authority=str(tmp_path / "ours" / "authority.pem")):
            wait_until(lambda: _link(ledger) == "down", "the link is down")
    assert centre.posted == {}


def _link(ledger: Ledger) -> object:
    beat = ledger.heartbeats().get("deliver")
    return beat.detail.get("link") if beat else None


def test_a_centre_is_notified_in_4_kb_and_its_acknowledgement_comes_back(ledger: Ledger, tmp_path: Path) -> None:
    make_certificates(tmp_path / "certificates", ["centre"])
    files = (tmp_path / "certificates" / "centre.pem", tmp_path / "certificates" / "centre.key.pem")
    with web_centre(files) as centre:
        destination = f"notify+https://127.0.0.1:{centre.port}/results"
        options = {
            "tls_authority": str(tmp_path / "certificates" / "authority.pem"),
            "acknowledgement_poll_s": 0.1,
        }
        with deliver(ledger, destination, **options):
            (message,) = wait_until(lambda: centre.posted.get("/results/"), "the message is there")
            assert message["study_uid"] == ct_uid(1)
            assert message["headline"] == "HAEMORRHAGE SUSPECTED"
            centre.acknowledge(message, by="Dr. Weiss", role="neurologist", at="2026-03-14T14:06:00Z")
            wait_until(lambda: proofs.acknowledgements(ledger, ct_uid(1)), "the acknowledgement is back")
    (seen,) = proofs.acknowledgements(ledger, ct_uid(1))
    assert (seen.by, seen.role, seen.revision) == ("Dr. Weiss", "neurologist", 1)
    assert there(ledger, destination)["acknowledged"]["by"] == "Dr. Weiss"
    assert max(centre.sizes) <= 4096
    assert "seen by Dr. Weiss" in delivery_words(list_cases(ledger)[0])


@pytest.mark.requirement("R77")
def test_the_second_tap_reaches_the_centre_and_its_answer_comes_back(ledger: Ledger) -> None:
    with web_centre() as centre:
        destination = f"notify+http://127.0.0.1:{centre.port}/results"
        with deliver(ledger, destination, acknowledgement_poll_s=0.1):
            wait_until(lambda: centre.posted.get("/results/"), "the result's own message is there")
            note_crew(ledger, ct_uid(1), "notify", {"by": "paramedic", "revision": 1})
            wait_until(lambda: latest_notices(ledger)[ct_uid(1)].state == "sent", "the notice is there")
            message, notice = centre.posted["/results/"]
            assert notice["crew_asks"]["by"] == "paramedic"
            assert notice["about"] == message["id"]
            centre.acknowledge(notice, by="Dr. Weiss", role="neurologist", at="2026-03-14T14:06:00Z")
            wait_until(lambda: proofs.acknowledgements(ledger, ct_uid(1)), "the acknowledgement is back")
    (seen,) = proofs.acknowledgements(ledger, ct_uid(1))
    assert (seen.by, seen.revision) == ("Dr. Weiss", 1)
    assert latest_notices(ledger)[ct_uid(1)].destinations == (destination,)


@pytest.mark.requirement("R79")
def test_a_second_reading_at_the_centre_comes_back_and_revises_the_report(ledger: Ledger) -> None:
    with web_centre() as centre:
        destination = f"notify+http://127.0.0.1:{centre.port}/results"
        with deliver(ledger, destination, acknowledgement_poll_s=0.05):
            (message,) = wait_until(lambda: centre.posted.get("/results/"), "the message is there")
            said = {"by": "Dr. Weiss", "role": "neurologist", "at": "2026-03-14T14:06:00Z"}
            centre.acknowledge(message, **said)
            wait_until(lambda: proofs.acknowledgements(ledger, ct_uid(1)), "the acknowledgement is back")
            centre.acknowledge(message, **said, reading="not_seen")
            wait_until(lambda: len(centre.posted["/results/"]) == 2, "the revised report is there")
            wait_until(lambda: all_sent(ledger), "everything is sent")
    revised = centre.posted["/results/"][1]
    assert (revised["revised"], revised["replaces"]) == (True, message["id"])
    assert [(r["by"], r["says"]) for r in revised["readings"]] == [("neurologist", "not_seen")]
    (entry,) = [entry for entry in crew_entries(ledger) if entry.kind == "second_reading"]
    assert entry.body["name"] == "Dr. Weiss"


@pytest.mark.requirement("R78")
def test_a_disagreement_sends_a_revised_report_once_and_keeps_the_first(ledger: Ledger, tmp_path: Path) -> None:
    port = free_port()
    with storescp(tmp_path / "peer", port) as folder, web_centre() as centre:
        also = [f"notify+http://127.0.0.1:{centre.port}/results"]
        with deliver(ledger, f"CSC@127.0.0.1:{port}", also=also):
            wait_until(lambda: all_sent(ledger), "the first report is sent")
            assert len(list(folder.iterdir())) == 13
            note_crew(ledger, ct_uid(1), "opinion", {"opinion": "disagree", "by": "doctor", "revision": 1})
            wait_until(lambda: all_sent(ledger), "the second report is sent")
        received = {path.name.split(".", 1)[1]: path.read_bytes() for path in folder.iterdir()}
    assert data_sets(received, tmp_path) == originals(ledger) | objects(ledger)
    assert len(received) == 16
    first, second = centre.posted["/results/"]
    assert (second["revised"], second["replaces"]) == (True, first["id"])
    assert second["readings"][0]["says"] == "disagree"


def test_a_server_that_is_out_of_order_is_tried_again_and_gets_one_transaction(ledger: Ledger) -> None:
    with web_centre() as centre:
        centre.status = 503
        with deliver(ledger, f"fhir+http://127.0.0.1:{centre.port}/fhir"):
            wait_until(lambda: len(centre.headers) >= 3, "it was tried several times")
            centre.status = 200
            wait_until(lambda: all_sent(ledger), "the transaction is sent")
    (bundle,) = centre.posted["/fhir"]
    assert bundle["type"] == "transaction"
    assert len({header["Content-Type"] for header in centre.headers}) == 1


def test_a_record_system_gets_one_hl7_message_for_each_edition_and_no_notice(ledger: Ledger, tmp_path: Path) -> None:
    certificates = tmp_path / "certificates"
    make_certificates(certificates, ["record"])
    with mllp_peer((certificates / "record.pem", certificates / "record.key.pem")) as peer:
        peer.code = "AR"
        destination = f"hl7s://127.0.0.1:{peer.port}"
        with deliver(ledger, destination, tls_authority=str(certificates / "authority.pem")):
            wait_until(lambda: len(peer.received) >= 2, "it was tried again")
            peer.code = "AA"
            wait_until(lambda: all_sent(ledger), "the first message is taken")
            note_crew(ledger, ct_uid(1), "notify", {"by": "paramedic"})
            note_crew(ledger, ct_uid(1), "opinion", {"opinion": "disagree", "by": "doctor", "revision": 1})
            wait_until(lambda: all_sent(ledger), "the second message is taken")
    first, second = dict.fromkeys(peer.received)
    assert ("|RAD|P" in first, "|RAD|C" in second) == (True, True)
    assert "NOTIFY" not in first + second


@pytest.mark.requirement("R74")
def test_a_destination_that_is_down_delays_no_other(ledger: Ledger, tmp_path: Path) -> None:
    port = free_port()
    with storescp(tmp_path / "peer", port) as folder, web_centre() as centre:
        also = [f"notify+http://127.0.0.1:{centre.port}/results", f"CSC@127.0.0.1:{port}"]
        with deliver(ledger, f"DOWN@127.0.0.1:{free_port()}", also=also):
            wait_until(lambda: len(list(folder.iterdir())) == 13, "the others have it")
            wait_until(lambda: centre.posted.get("/results/"), "the message is there")
            assert not all_sent(ledger)


def test_a_run_is_diverted_while_it_lasts_and_what_is_held_follows(ledger: Ledger, tmp_path: Path) -> None:
    port = free_port()
    other = f"CSC@127.0.0.1:{port}"
    with deliver(ledger, f"DOWN@127.0.0.1:{free_port()}", alternatives=[other]):
        wait_until(lambda: _link(ledger) == "down", "the link is down")
        divert(ledger, other, by="paramedic", studies=[ct_uid(1)])
        with storescp(tmp_path / "peer", port) as folder:
            wait_until(lambda: all_sent(ledger), "everything is sent")
            assert len(list(folder.iterdir())) == 13


def test_the_new_centre_gets_the_case_though_the_old_one_was_faster_than_the_diversion(ledger: Ledger) -> None:
    with web_centre() as old, web_centre() as new:
        first, second = (f"notify+http://127.0.0.1:{centre.port}/results" for centre in (old, new))
        settings = Settings(data=ledger.paths.root).replaced(
            delivery={"destination": first, "alternatives": [second], "standby": False}
        )
        loop = _Loop(settings, ledger, threading.Event(), None)
        loop._follow()
        try:
            wait_until(lambda: all_sent(ledger), "the old centre has it")
            divert(ledger, second, by="paramedic", studies=[ct_uid(1)])
            wait_until(lambda: not outbox.queued_for(ledger, first), "the old centre was asked to take it once more")
            assert not all_sent(ledger)
            loop._follow()
            wait_until(lambda: all_sent(ledger), "the new centre has it")
        finally:
            loop.close()
        assert [len(centre.posted["/results/"]) for centre in (old, new)] == [1, 1]


def test_a_thin_link_gets_images_smaller_and_with_every_grey_level(tmp_path: Path) -> None:
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        add_ct_study(ledger, slices=2, size=256)
        ledger.add_result(study_result(slices=2), last_instance_id=2)
        with orthanc(tmp_path / "orthanc", DicomAlwaysAllowFind=True) as peer:
            with deliver(ledger, f"ORTHANC@127.0.0.1:{peer.dicom_port}", compress_below_kbit_s=1e9):
                wait_until(lambda: all_sent(ledger), "everything is sent")
            files = peer.files()
        assert len(files) == 7
        for row in ledger.instances():
            path = tmp_path / "from-peer.dcm"
            path.write_bytes(files[row.sop_uid])
            sent, original = dcmread(path), dcmread(ledger.paths.root / row.path)
            assert sent.file_meta.TransferSyntaxUID == JPEGLSLossless
            assert np.array_equal(sent.pixel_array, original.pixel_array)
            assert len(files[row.sop_uid]) < 0.5 * (ledger.paths.root / row.path).stat().st_size
