"""Storage Commitment (PS3.4 Annex J): a peer asks, and is told of what is really on the disk.

The SCUs act as dcm4che's stgcmtscu does: one waits on the association it asked on, one hangs up and listens. Orthanc is
one that we did not write: it is built on dcmtk, hangs up, and wants the report on a new association.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage, StorageCommitmentPushModel

from edge_app.core import pausing
from edge_app.receiver import commitment_reports
from edge_app.receiver.commitment import PUSH_MODEL_INSTANCE
from edge_app.store.commitment_requests import open_requests
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.instances import make_dataset
from tests.integration.receiving import Running, receiving, send, start_process
from tests.peers import Orthanc, free_port, orthanc
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@dataclass
class Scu:
    """Asks for commitment, and notes what it is told."""

    aet: str = "STGCMTSCU"
    answer: int = 0x0000
    reports: queue.Queue[tuple[int, Dataset]] = field(default_factory=queue.Queue)

    def handlers(self) -> list[tuple[object, object]]:
        return [(evt.EVT_N_EVENT_REPORT, self._on_report)]

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        self.reports.put((event.event_type, event.event_information))
        return self.answer, None

    @contextmanager
    def associating(self, port: int) -> Iterator[Association]:
        """Ask on an association; released only once each report is answered: pynetdicom trips over both at once."""
        ae = AE(ae_title=self.aet)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
        contexts = [build_context(StorageCommitmentPushModel), build_context(CTImageStorage)]
        handlers = [*self.handlers(), (evt.EVT_CONN_OPEN, pausing.on_connection)]
        association = ae.associate(
            "127.0.0.1",
            port,
            contexts=contexts,
            ae_title="MSU1",
            evt_handlers=handlers,  # type: ignore[arg-type]
        )
        assert association.is_established
        try:
            yield association
        finally:
            association.release()
            association.join()

    @contextmanager
    def listening(self, port: int) -> Iterator[None]:
        ae = AE(ae_title=self.aet)
        # As an SCU it only takes reports from a peer that proposes to be the SCP (role selection).
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=self.handlers())  # type: ignore[arg-type]
        try:
            yield
        finally:
            server.shutdown()


def _ask(association: Association, datasets: list[Dataset], transaction_uid: str = "", action: int = 1) -> int:
    information = Dataset()
    information.TransactionUID = transaction_uid or generate_uid()
    information.ReferencedSOPSequence = []
    for dataset in datasets:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
        information.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(information, action, StorageCommitmentPushModel, PUSH_MODEL_INSTANCE)
    return int(status.get("Status", -1))


def _uids(report: Dataset, keyword: str) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in report.get(keyword, [])]


def _askers(running: Running) -> set[str]:
    """Return who still waits for a report."""
    return {request.calling_aet for request in open_requests(running.ledger)}


def _reported(running: Running) -> None:
    wait_until(lambda: not open_requests(running.ledger), "the report is noted")


def test_what_was_stored_is_committed_to_on_the_same_association(tmp_path: Path) -> None:
    datasets, scu = [make_dataset() for _ in range(3)], Scu()
    with receiving(tmp_path) as running, scu.associating(running.port) as association:
        for dataset in datasets:
            assert send(association, dataset) == 0x0000
        assert _ask(association, datasets, "1.2.3.4") == 0x0000
        kind, report = scu.reports.get(timeout=60)
        assert (kind, report.TransactionUID) == (1, "1.2.3.4")
        assert _uids(report, "ReferencedSOPSequence") == [d.SOPInstanceUID for d in datasets]
        assert "FailedSOPSequence" not in report
        assert send(association, make_dataset()) == 0x0000
        _reported(running)


def test_an_asker_that_hung_up_is_called_on_a_new_association_with_the_roles_turned(tmp_path: Path) -> None:
    dataset, scu, port = make_dataset(), Scu(), free_port()
    with scu.listening(port), receiving(tmp_path, commitment_peers=(f"{scu.aet}@127.0.0.1:{port}",)) as running:
        with scu.associating(running.port) as association:
            assert send(association, dataset) == 0x0000
        missing = make_dataset()
        with Scu(answer=0x0110).associating(running.port) as association:  # says no on the association it asked on
            assert _ask(association, [dataset, missing]) == 0x0000
            _reported(running)
        kind, report = scu.reports.get(timeout=60)
        assert kind == 2
        assert _uids(report, "ReferencedSOPSequence") == [dataset.SOPInstanceUID]
        assert _uids(report, "FailedSOPSequence") == [missing.SOPInstanceUID]
        assert report.FailedSOPSequence[0].FailureReason == 0x0112


def test_damage_loss_conflict_and_a_wrong_class_are_not_committed_to(tmp_path: Path) -> None:
    damaged, lost, wrong = (make_dataset() for _ in range(3))
    scu = Scu()
    with receiving(tmp_path) as running, scu.associating(running.port) as association:
        for dataset in (damaged, lost, wrong, make_dataset("1.2.9"), make_dataset("1.2.9", pixel=7)):
            assert send(association, dataset) == 0x0000
        paths = {row.sop_uid: running.ledger.paths.root / row.path for row in running.ledger.instances()}
        content = bytearray(paths[damaged.SOPInstanceUID].read_bytes())
        content[-1] ^= 1
        paths[damaged.SOPInstanceUID].write_bytes(content)
        paths[lost.SOPInstanceUID].unlink()
        wrong.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        assert _ask(association, [damaged, lost, wrong, make_dataset("1.2.9")]) == 0x0000
        kind, report = scu.reports.get(timeout=60)
        assert kind == 2 and "ReferencedSOPSequence" not in report
        assert [item.FailureReason for item in report.FailedSOPSequence] == [0x0110, 0x0110, 0x0119, 0x0110]
        _reported(running)


def test_orthanc_sends_asks_and_is_told_what_is_safe_and_what_is_not(tmp_path: Path) -> None:
    kept, lost = make_dataset("1.2.3.901"), make_dataset("1.2.3.902")
    with orthanc(tmp_path / "orthanc") as peer:
        address = f"ORTHANC@127.0.0.1:{peer.dicom_port}"
        with receiving(tmp_path / "store", commitment_peers=(address,)) as running:
            modality = {"AET": "MSU1", "Host": "127.0.0.1", "Port": running.port, "Manufacturer": "Generic"}
            peer.send("PUT", "/modalities/msu", modality)
            ids = [peer.send("POST", "/instances", _part10(dataset))["ID"] for dataset in (kept, lost)]
            peer.send("POST", "/modalities/msu/store", {"Resources": ids})
            assert len(running.ledger.instances()) == 2
            report = _orthanc_asks(peer, ids)
            assert (report["Status"], len(report["Success"]), report["Failures"]) == ("Success", 2, [])
            row = running.ledger.find_instance(lost.SOPInstanceUID)
            assert row is not None
            (running.ledger.paths.root / row.path).unlink()
            report = _orthanc_asks(peer, ids)
            assert report["Status"] == "Failure"
            assert [item["SOPInstanceUID"] for item in report["Success"]] == [kept.SOPInstanceUID]
            (failure,) = report["Failures"]
            assert failure["SOPInstanceUID"] == lost.SOPInstanceUID
            assert 0x0110 in failure.values()
            _reported(running)


def _part10(dataset: Dataset) -> bytes:
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def _orthanc_asks(peer: Orthanc, ids: list[str]) -> Any:
    asked = peer.send("POST", "/modalities/msu/storage-commitment", {"Resources": ids})
    return wait_until(
        lambda: answer if (answer := peer.get(asked["Path"]))["Status"] != "Pending" else None, "Orthanc has the report"
    )


@pytest.mark.parametrize("case", ["no instances", "another action"])
def test_a_request_that_makes_no_sense_is_answered_so(tmp_path: Path, case: str) -> None:
    with receiving(tmp_path) as running, Scu().associating(running.port) as association:
        if case == "no instances":
            assert _ask(association, []) == 0x0115
        else:
            assert _ask(association, [make_dataset()], action=2) == 0x0123
        assert open_requests(running.ledger) == []


def test_an_asker_that_never_answers_is_tried_again_and_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment_reports, "RETRY_FIRST_S", 0.05)
    dataset, scu = make_dataset(), Scu(answer=0x0110)
    with receiving(tmp_path) as running, scu.associating(running.port) as association:
        assert send(association, dataset) == 0x0000
        assert _ask(association, [dataset]) == 0x0000
        for _ in range(3):
            scu.reports.get(timeout=60)
        with (other := Scu("OTHER")).associating(running.port) as second:
            assert _ask(second, [dataset]) == 0x0000
            assert other.reports.get(timeout=60)[0] == 1
            wait_until(lambda: _askers(running) == {scu.aet}, "its answer is noted")
        scu.answer = 0x0000
        _reported(running)


def test_a_request_survives_a_kill_and_is_reported_when_the_asker_comes_back(tmp_path: Path) -> None:
    dataset, scu = make_dataset(), Scu(answer=0x0110)
    receiver = start_process(tmp_path)
    try:
        with scu.associating(receiver.port) as association, Ledger(StorePaths(tmp_path), "test") as ledger:
            assert send(association, dataset) == 0x0000
            assert _ask(association, [dataset], "1.2.3.4") == 0x0000
            scu.reports.get(timeout=60)
            wait_until(lambda: any(request.tries for request in open_requests(ledger)), "the refusal is noted")
    finally:
        receiver.kill()
    again, scu = start_process(tmp_path), Scu()
    try:
        with scu.associating(again.port), Ledger(StorePaths(tmp_path), "test") as ledger:
            kind, report = scu.reports.get(timeout=60)
            assert (kind, report.TransactionUID) == (1, "1.2.3.4")
            wait_until(lambda: open_requests(ledger) == [], "the report is answered")
    finally:
        assert again.stop() == 0
