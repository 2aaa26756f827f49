from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, SecondaryCaptureImageStorage

from edge_app.core.errors import ConfigError, InputError, NotDicomError, SendError
from edge_app.simulator import Peer, SyntheticStudy, make_study, send, write_study
from tests.peers import free_port, storescp

ALL = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90")


class _Scp:
    """What a listening peer got."""

    def __init__(self, port: int) -> None:
        self.peer = Peer("TESTSCP", "127.0.0.1", port)
        self.uids: list[str] = []
        self.syntaxes: list[str] = []
        self.associations = 0


@contextlib.contextmanager
def _listening(
    status: Callable[[int], int] = lambda _: 0x0000, syntaxes: tuple[str, ...] = ALL, *, called_only: bool = False
) -> Iterator[_Scp]:
    ae = AE("TESTSCP")
    ae.require_called_aet = called_only
    for sop_class in (CTImageStorage, SecondaryCaptureImageStorage):
        ae.add_supported_context(sop_class, list(syntaxes))
    found: list[_Scp] = []

    def handle_store(event: evt.Event) -> int:
        found[0].uids.append(str(event.request.AffectedSOPInstanceUID))
        found[0].syntaxes.append(str(event.context.transfer_syntax))
        return status(len(found[0].uids))

    def on_accepted(_: evt.Event) -> None:
        found[0].associations += 1

    handlers = [(evt.EVT_C_STORE, handle_store), (evt.EVT_ACCEPTED, on_accepted)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    found.append(_Scp(server.socket.getsockname()[1]))
    try:
        yield found[0]
    finally:
        server.shutdown()


def _cut(study: SyntheticStudy, count: int) -> SyntheticStudy:
    return replace(study, hu=study.hu[:count], positions=study.positions[:count])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    study = _cut(make_study(4, "negative", personality="basic2"), 4)
    return write_study(study, tmp_path_factory.mktemp("study"), dose_screen=True)


@pytest.fixture(scope="module")
def compressed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = _cut(make_study(4, "negative", personality="wide320"), 1)
    return write_study(study, tmp_path_factory.mktemp("compressed"))[0]


def test_a_folder_arrives_whole_in_order_with_progress(files: list[Path]) -> None:
    seen: list[tuple[int, int]] = []
    with _listening() as scp:
        report = send([files[0].parent], scp.peer, on_progress=lambda done, total: seen.append((done, total)))
    assert scp.uids == [str(dcmread(path).SOPInstanceUID) for path in files]
    assert (report.accepted, report.associations, report.warnings) == (5, 1, ())
    assert seen == [(n, 5) for n in range(6)]


def test_data_sets_in_memory_can_be_sent(files: list[Path]) -> None:
    with _listening() as scp:
        assert send([dcmread(files[0]), dcmread(files[1])], scp.peer).accepted == 2


@pytest.mark.parametrize(("by", "expected"), [("study", 1), ("series", 2), ("image", 5)])
def test_associations_are_opened_as_asked(files: list[Path], by: str, expected: int) -> None:
    with _listening() as scp:
        report = send(files, scp.peer, associations=by)  # type: ignore[arg-type]
        assert report.associations == expected == scp.associations


def test_a_refused_instance_is_named_with_its_status(files: list[Path]) -> None:
    with _listening(lambda n: 0xA700 if n == 3 else 0x0000) as scp:
        with pytest.raises(SendError, match=rf"{files[2].name}: status 0xA700"):
            send(files, scp.peer)
        assert len(scp.uids) == 3


def test_a_warning_counts_as_accepted_and_is_reported(files: list[Path]) -> None:
    with _listening(lambda n: 0xB000 if n == 2 else 0x0000) as scp:
        report = send(files, scp.peer)
    assert report.accepted == 5
    assert [(w.name, w.status) for w in report.warnings] == [(str(files[1]), 0xB000)]


def test_a_compressed_file_goes_as_it_is(compressed_file: Path) -> None:
    with _listening() as scp:
        send([compressed_file], scp.peer)
    assert scp.syntaxes == ["1.2.840.10008.1.2.5"]


def test_a_compressed_file_is_decoded_for_a_peer_that_cannot_read_it(compressed_file: Path) -> None:
    with _listening(syntaxes=ALL[:1]) as scp:
        send([compressed_file], scp.peer)
    assert scp.syntaxes == ["1.2.840.10008.1.2.1"]


def test_a_file_whose_meta_information_names_another_instance_goes_by_its_data_set(
    tmp_path: Path, files: list[Path]
) -> None:
    ds = dcmread(files[0])
    own = str(ds.SOPInstanceUID)
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.save_as(tmp_path / "edited.dcm", enforce_file_format=False)
    with _listening() as scp:
        send([tmp_path / "edited.dcm"], scp.peer)
    assert scp.uids == [own]


def test_a_refused_association_says_why(files: list[Path]) -> None:
    with _listening(called_only=True) as scp, pytest.raises(SendError, match="refused the association"):
        send(files, Peer("WRONG", scp.peer.host, scp.peer.port))


# pynetdicom forgets the socket of a connection that failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_listener_is_told_apart(files: list[Path]) -> None:
    with pytest.raises(SendError, match="no association"):
        send(files, Peer("NOBODY", "127.0.0.1", free_port()))


def test_what_is_not_dicom_is_skipped_in_a_folder_and_refused_by_name(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(files[0].read_bytes())
    (tmp_path / "notes.txt").write_text("not DICOM")
    with _listening() as scp:
        report = send([tmp_path], scp.peer)
        assert (report.accepted, [s.path.name for s in report.skipped]) == (1, ["notes.txt"])
        with pytest.raises(NotDicomError):
            send([tmp_path / "notes.txt"], scp.peer)
        with pytest.raises(InputError):
            send([tmp_path / "missing"], scp.peer)
        assert len(scp.uids) == 1


def test_a_pause_between_images_is_kept(files: list[Path]) -> None:
    now = [100.0]

    def clock() -> float:
        now[0] += 0.02  # each look moves the clock, so the sender finds its time come without a wait
        return now[0]

    with _listening() as scp:
        report = send(files[:3], scp.peer, interval_s=0.05, clock=clock)
    assert report.elapsed_s >= 0.1


@pytest.mark.parametrize("text", ["", "MSU1", "MSU1@host", "@host:104", "MSU1@host:port", "MSU1@host:0", "MSU1@:104"])
def test_a_peer_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Peer.parse(text)


def test_a_peer_is_read_from_text() -> None:
    assert Peer.parse("MSU 1@10.0.0.5:104") == Peer("MSU 1", "10.0.0.5", 104)
    assert Peer.parse("MSU1@[::1]:11112") == Peer("MSU1", "::1", 11112)
    assert str(Peer("A", "b", 1)) == "A@b:1"


@pytest.mark.integration
def test_dcmtk_receives_what_was_sent(files: list[Path], compressed_file: Path, tmp_path: Path) -> None:
    port = free_port()
    with storescp(tmp_path / "received", port) as folder:
        assert send([*files, compressed_file], Peer("CSC", "127.0.0.1", port)).accepted == 6
    received = {str(dcmread(path).SOPInstanceUID): path for path in folder.iterdir()}
    for path in (*files, compressed_file):
        ds = dcmread(path)
        assert dcmread(received[str(ds.SOPInstanceUID)]).PixelData == ds.PixelData
