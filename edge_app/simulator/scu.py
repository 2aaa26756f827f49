"""A scanner that pushes: Storage SCU over real associations (PS3.4 Annex B), loud when one object is not accepted."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.presentation import build_context

from edge_app.core import pausing
from edge_app.core.clock import MonotonicClock, monotonic_s
from edge_app.core.damage import PYDICOM_ERRORS
from edge_app.core.errors import ConfigError, SendError
from edge_app.simulator.outgoing import Outgoing, Skipped, find_outgoing

__all__ = ["Peer", "SendReport", "SendWarning", "send"]

Grouping = Literal["study", "series", "image"]
"""What shares an association; scanners differ."""

_UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
_MAX_CONTEXTS = 128
"""Presentation context IDs are the odd numbers of one byte (PS3.8 Table 9-13)."""
_CONNECT_TIMEOUT_S = 10.0
_ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A DICOM peer: called AE title, host and port."""

    aet: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Peer:
        """Read ``AE@HOST:PORT``; raises `ConfigError` for anything else."""
        aet, at, address = text.rpartition("@")
        host, colon, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (at and colon and host and 1 <= len(aet) <= 16 and port.isascii() and port.isdigit()):
            raise ConfigError(
                f"{text!r} is not a DICOM peer", remedy="Write AE@HOST:PORT, for example MSU1@10.0.0.5:104."
            )
        if not 0 < int(port) < 65536:
            raise ConfigError(f"{text!r} has no valid port", remedy="Use a port from 1 to 65535.")
        return cls(aet, host, int(port))

    def __str__(self) -> str:
        return f"{self.aet}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SendWarning:
    """An object that was accepted with a warning (status 0xBxxx)."""

    name: str
    status: int


@dataclass(frozen=True, slots=True)
class SendReport:
    """What became of a transfer in which every object was accepted."""

    accepted: int
    associations: int
    warnings: tuple[SendWarning, ...]
    skipped: tuple[Skipped, ...]
    elapsed_s: float


def send(
    paths_or_datasets: Iterable[Path | Dataset],
    peer: Peer,
    *,
    calling_aet: str = "SIMCT",
    interval_s: float = 0.0,
    on_progress: Callable[[int, int], None] | None = None,
    associations: Grouping = "study",
    clock: MonotonicClock = monotonic_s,
) -> SendReport:
    """Push DICOM objects to a peer as a scanner does.

    Parameters
    ----------
    paths_or_datasets
        Files, folders (walked; what is not DICOM is skipped and reported) and data sets with file meta information.
    interval_s
        Seconds from the start of one object to the start of the next; 0 sends as fast as the peer answers.
    on_progress
        Called with the number accepted so far and the total, once before the first and after each object.
    associations
        Open one association per study, per series or per image.

    Raises
    ------
    SendError
        The association is refused or lost, or one object is not accepted; names object and status.
    InputError, NotDicomError
        There is nothing to send, or a named file is not DICOM.
    """
    began_s = clock()
    outgoing, skipped = find_outgoing(paths_or_datasets)
    warnings: list[SendWarning] = []
    accepted = opened = 0
    next_start_s = began_s
    pause = threading.Event()
    if on_progress is not None:
        on_progress(0, len(outgoing))
    for group in _group(outgoing, associations):
        opened += 1
        with _associated(group, peer, calling_aet) as association:
            for item in group:
                while (left_s := next_start_s - clock()) > 0:
                    pause.wait(left_s)
                next_start_s = clock() + interval_s
                status = _store(association, item, peer)
                if status != 0x0000:
                    warnings.append(SendWarning(item.name, status))
                accepted += 1
                if on_progress is not None:
                    on_progress(accepted, len(outgoing))
    return SendReport(accepted, opened, tuple(warnings), tuple(skipped), clock() - began_s)


def _group(outgoing: Sequence[Outgoing], by: Grouping) -> list[list[Outgoing]]:
    """Sort objects into associations, in the order in which each first appears."""
    groups: dict[tuple[str, ...], list[Outgoing]] = {}
    for number, item in enumerate(outgoing):
        key = {
            "study": (item.study_uid,),
            "series": (item.study_uid, item.series_uid),
            "image": (str(number),),
        }[by]
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def _on_connection(event: evt.Event) -> None:
    """Send small PDUs at once: Nagle's algorithm and delayed acknowledgements cost 40 ms an image together."""
    pausing.on_connection(event)
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@contextlib.contextmanager
def _associated(group: Sequence[Outgoing], peer: Peer, calling_aet: str) -> Iterator[Any]:
    """Open an association that proposes each object's own encoding, and release it at the end."""
    # One transfer syntax per context: within one the peer chooses, and might choose another than the file's.
    own = dict.fromkeys((item.sop_class_uid, item.transfer_syntax_uid) for item in group)
    plain = dict.fromkeys((item.sop_class_uid, syntax) for item in group for syntax in _UNCOMPRESSED)
    contexts = [build_context(*pair) for pair in {**own, **plain}]
    if len(contexts) > _MAX_CONTEXTS:
        raise SendError(
            f"{len(contexts)} kinds of object in one association, {_MAX_CONTEXTS} are possible",
            remedy="Send fewer folders at once, or one association per series.",
        )
    ae = AE(ae_title=calling_aet)
    ae.connection_timeout = _CONNECT_TIMEOUT_S
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _ANSWER_TIMEOUT_S
    association = ae.associate(
        peer.host,
        peer.port,
        contexts=contexts,
        ae_title=peer.aet,
        max_pdu=0,
        evt_handlers=[(evt.EVT_CONN_OPEN, _on_connection)],
    )
    if not association.is_established:
        raise _not_associated(association, peer)
    try:
        with _files_as_they_are():
            yield association
    except BaseException:
        association.abort()
        raise
    association.release()


def _not_associated(association: Any, peer: Peer) -> SendError:
    if association.is_rejected:
        answer = association.acceptor.primitive
        return SendError(
            f"{peer} refused the association: {answer.reason_str}",
            remedy="Check both AE titles, and whether the peer takes associations now.",
        )
    if association.acceptor.primitive is not None:
        return SendError(
            f"{peer} accepts none of the kinds of object that are to be sent",
            remedy="Ask the peer's administrator which SOP classes it stores.",
        )
    return SendError(
        f"no association with {peer}: no connection, or it was closed at once",
        remedy="Check host, port and network, and whether the peer runs.",
    )


@contextlib.contextmanager
def _files_as_they_are() -> Iterator[None]:
    """Have pynetdicom stream files as their bytes instead of decoding and encoding them again.

    It is a switch of the module, so it is put back: others in this process may send too.
    """
    before = _config.STORE_SEND_CHUNKED_DATASET
    _config.STORE_SEND_CHUNKED_DATASET = True
    try:
        yield
    finally:
        _config.STORE_SEND_CHUNKED_DATASET = before


def _store(association: Any, item: Outgoing, peer: Peer) -> int:
    """Send one object and return its status, 0x0000 or a warning (PS3.4 Table B.2-1)."""
    agreed = {
        str(context.transfer_syntax[0])
        for context in association.accepted_contexts
        if context.abstract_syntax == item.sop_class_uid
    }
    if not association.is_established:
        raise SendError(f"{peer} ended the association before {item.name}", remedy="Read the peer's log.")
    if not agreed:
        raise SendError(
            f"{peer} does not store objects of class {item.sop_class_uid}; {item.name} was not sent",
            remedy="Leave it out, or ask the peer's administrator.",
        )
    source = item.source if item.transfer_syntax_uid in agreed else _uncompressed(item, agreed, peer)
    if isinstance(source, Path) and not item.meta_agrees:
        # A file streamed as it is would be announced by its meta information; the data set is what the peer keeps.
        source = dcmread(source)
    answer = association.send_c_store(source)
    if "Status" not in answer:
        raise SendError(f"{peer} gave no answer to {item.name}", remedy="Read the peer's log, and send again.")
    status = int(answer.Status)
    if status != 0x0000 and not 0xB000 <= status <= 0xBFFF:
        comment = f" ({answer.ErrorComment})" if answer.get("ErrorComment") else ""
        raise SendError(
            f"{peer} did not accept {item.name}: status 0x{status:04X}{comment}",
            remedy="See the status in PS3.4 Table B.2-1 and the peer's log.",
        )
    return status


def _uncompressed(item: Outgoing, agreed: set[str], peer: Peer) -> Dataset:
    """Decode an object for a peer that does not take its own transfer syntax."""
    plain = [syntax for syntax in _UNCOMPRESSED if syntax in agreed]
    problem = SendError(
        f"{peer} does not take {item.name} in its transfer syntax {item.transfer_syntax_uid}",
        remedy="Ask the peer's administrator to allow it, or convert the object.",
    )
    if not plain:
        raise problem
    ds = dcmread(item.source) if isinstance(item.source, Path) else item.source.copy()
    try:
        if ds.file_meta.TransferSyntaxUID.is_compressed:
            ds.decompress(generate_instance_uid=False)
    except PYDICOM_ERRORS as error:
        raise problem from error
    return ds
