"""Modality Worklist (PS3.4 Annex K) against dcmtk's wlmscpfs: orders find their studies, and never hold anything up."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityWorklistInformationFind

from edge_app.core.config import WorklistSettings
from edge_app.core.errors import ConfigError, NetworkError
from edge_app.receiver import worklist
from edge_app.receiver.certificates import make_certificates
from edge_app.receiver.worklist import WorklistWatch, fetch_orders
from edge_app.store.orders import match_of
from tests.instances import STUDY_UID, make_dataset
from tests.integration.conftest import dcmtk
from tests.integration.receiving import associating, receiving, send
from tests.peers import _listens, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 14, 14, 2, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders are written and asked for on the same day, also at midnight."""
    monkeypatch.setattr(worklist, "utc_now", lambda: NOW)


def _write_order(folder: Path, name: str, *, modality: str = "CT", **attributes: str) -> None:
    order, step = Dataset(), Dataset()
    order.SpecificCharacterSet = "ISO_IR 192"
    order.AccessionNumber, order.PatientName, order.PatientID = f"A-{name}", "Müster^Erika", f"P-{name}"
    order.PatientBirthDate, order.PatientSex, order.StudyInstanceUID = "19510402", "F", f"1.2.{len(name)}"
    order.RequestedProcedureID, order.RequestedProcedureDescription = f"R-{name}", "CT head"
    step.Modality, step.ScheduledStationAETitle = modality, "CT1"
    step.ScheduledProcedureStepStartDate = f"{NOW.astimezone():%Y%m%d}"
    step.ScheduledProcedureStepStartTime, step.ScheduledProcedureStepID = "140200", f"S-{name}"
    step.ScheduledPerformingPhysicianName, step.ScheduledProcedureStepDescription = "", "CT head"
    order.ScheduledProcedureStepSequence = [step]
    for keyword, value in attributes.items():
        setattr(order, keyword, value)
    order.file_meta = FileMetaDataset()
    order.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    order.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    order.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    order.save_as(folder / f"{name}.wl", enforce_file_format=True)


@contextmanager
def _worklist(folder: Path) -> Iterator[tuple[WorklistSettings, Path]]:
    files = folder / "RIS"
    files.mkdir(parents=True)
    (files / "lockfile").touch()
    port = free_port()
    process = subprocess.Popen(
        [dcmtk("wlmscpfs"), "--keep-char-set", "-dfp", str(folder), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _listens(port), "wlmscpfs listens")
        yield WorklistSettings(peer=f"RIS@127.0.0.1:{port}", period_s=1.0), files
    finally:
        process.kill()
        process.wait()


def test_todays_orders_for_ct_are_read(tmp_path: Path) -> None:
    with _worklist(tmp_path) as (settings, files):
        _write_order(files, "one", StudyInstanceUID="1.2.840.5")
        _write_order(files, "mr", modality="MR")
        (order,) = fetch_orders(settings)
    assert (order.accession_number, order.patient_id, order.study_uid) == ("A-one", "P-one", "1.2.840.5")
    assert (order.patient_name, order.patient_birth_date, order.patient_sex) == ("Müster^Erika", "19510402", "F")
    assert order.description == "CT head"
    assert datetime.strptime(order.scheduled_at, "%Y%m%d%H%M%S").astimezone().date() == NOW.astimezone().date()


def test_a_study_that_was_received_finds_its_order(tmp_path: Path) -> None:
    with _worklist(tmp_path / "ris") as (settings, files), receiving(tmp_path / "store") as running:
        _write_order(files, "one", AccessionNumber="A-77", PatientID="4711")
        with WorklistWatch(settings, running.ledger), associating(running.port) as association:
            assert send(association, make_dataset(AccessionNumber="A-77", PatientID="4712")) == 0x0000
            match = wait_until(lambda: match_of(running.ledger, STUDY_UID), "the order is found")
    assert (match.how, match.order.patient_id) == ("accession", "4711")
    assert "patient_id" in match.differs


def _answer(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
    order = Dataset()
    order.AccessionNumber, order.PatientID, order.PatientName = "A-9", "P-9", "Müster^Erika"
    order.SpecificCharacterSet = "ISO_IR 192"
    order.ScheduledProcedureStepSequence = [Dataset()]
    yield 0xFF00, order


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves the socket to the GC
def test_a_worklist_is_asked_over_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["msu", "ris"])
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(tmp_path / "ris.pem", tmp_path / "ris.key.pem")
    server_side.load_verify_locations(tmp_path / "authority.pem")
    server_side.verify_mode = ssl.CERT_REQUIRED
    own = {
        "tls_certificate": str(tmp_path / "msu.pem"),
        "tls_key": str(tmp_path / "msu.key.pem"),
        "tls_authority": str(tmp_path / "authority.pem"),
    }
    ae = AE(ae_title="RIS")
    ae.add_supported_context(ModalityWorklistInformationFind)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, _answer)], ssl_context=server_side
    )
    try:
        port = server.socket.getsockname()[1]
        (order,) = fetch_orders(WorklistSettings(peer=f"dicoms://RIS@127.0.0.1:{port}", **own))
        assert (order.accession_number, order.patient_name) == ("A-9", "Müster^Erika")
        with pytest.raises(NetworkError):
            fetch_orders(WorklistSettings(peer=f"RIS@127.0.0.1:{port}", timeout_s=2.0))
        make_certificates(tmp_path / "other", ["msu"])
        foreign = {**own, "tls_authority": str(tmp_path / "other" / "authority.pem")}
        with pytest.raises(NetworkError):
            fetch_orders(WorklistSettings(peer=f"dicoms://RIS@127.0.0.1:{port}", **foreign))
    finally:
        server.shutdown()


def test_a_worklist_over_tls_without_certificates_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tls_certificate"):
        WorklistSettings(peer="dicoms://RIS@127.0.0.1:11112")
    missing = dict.fromkeys(("tls_certificate", "tls_key", "tls_authority"), str(tmp_path / "missing.pem"))
    with receiving(tmp_path) as running, pytest.raises(ConfigError, match="TLS"):
        WorklistWatch(WorklistSettings(peer="dicoms://RIS@127.0.0.1:11112", **missing), running.ledger)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves the socket to the GC
def test_a_worklist_that_is_not_there_delays_nothing(tmp_path: Path) -> None:
    settings = WorklistSettings(peer=f"RIS@127.0.0.1:{free_port()}")
    with pytest.raises(NetworkError):
        fetch_orders(settings)
    with (
        receiving(tmp_path) as running,
        WorklistWatch(settings, running.ledger),
        associating(running.port) as association,
    ):
        assert send(association, make_dataset()) == 0x0000
        assert match_of(running.ledger, STUDY_UID) is None
