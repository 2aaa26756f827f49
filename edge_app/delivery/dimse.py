"""One association to a DICOM destination: objects go as the bytes they were received as (PS3.4 Annex B).

The network calls run on a thread of their own, so that a link that hangs never keeps the process from giving its
signs of life or from stopping. Nothing else runs there.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu_primitives import MaximumLengthNotification
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification

from edge_app.core import pausing
from edge_app.core.config import DeliverySettings
from edge_app.core.damage import PYDICOM_ERRORS
from edge_app.core.errors import NetworkError, SendError
from edge_app.delivery.address import Address
from edge_app.delivery.calls import Calls, prepare_socket
from edge_app.delivery.compress import SMALLER, compressed, is_compressible
from edge_app.delivery.endian import little_endian
from edge_app.delivery.items import Item
from edge_app.delivery.link import Receipt
from edge_app.delivery.pace import Pace
from edge_app.store.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

__all__ = ["Link", "associate"]

PDU_BYTES = 16 * 1024
"""Two seconds at 64 kbit/s."""

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


class _Caller(AE):  # type: ignore[misc]  # pynetdicom has no types
    """Its calls can be cut before there is a connection, and its threads keep no process from ending."""

    def __init__(self, ae_title: str, calls: Calls) -> None:
        super().__init__(ae_title=ae_title)
        self._calls = calls

    def _create_socket(self, assoc: Any, *arguments: Any) -> Any:
        assoc.dul.daemon = True
        made = super()._create_socket(assoc, *arguments)
        self._calls.watch(made.socket)
        return made


@contextlib.contextmanager
def associate(
    address: Address,
    settings: DeliverySettings,
    contexts: Sequence[PresentationContext],
    calls: Calls,
    *,
    tls: ssl.SSLContext | None = None,
    handlers: Sequence[tuple[Any, Any]] = (),
    roles: Sequence[Any] = (),
) -> Iterator[Any]:
    """Open an association and yield it; it is released at the end, or cut after an error.

    Raises
    ------
    NetworkError
        If the destination is out of reach or rejects it.
    """

    def on_connection(event: evt.Event) -> None:
        pausing.on_connection(event)
        connection = event.assoc.dul.socket.socket
        prepare_socket(connection, settings.stalled_timeout_s)
        calls.watch(connection)

    ae = _Caller(settings.calling_aet, calls)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = settings.connect_timeout_s
    ae.acse_timeout = settings.connect_timeout_s
    ae.dimse_timeout = settings.answer_timeout_s
    ae.network_timeout = settings.stalled_timeout_s
    assoc = calls.run(
        lambda: ae.associate(
            address.host,
            address.port,
            contexts=list(contexts),
            ae_title=address.aet,
            ext_neg=list(roles),
            evt_handlers=[
                (evt.EVT_CONN_OPEN, on_connection),
                (evt.EVT_DIMSE_SENT, _hold_back),
                (evt.EVT_DATA_SENT, _let_go),
                *handlers,
            ],
            tls_args=(tls, address.host) if tls else None,
        )
    )
    if not assoc.is_established:
        why = "rejected the association" if assoc.is_rejected else "does not answer"
        raise NetworkError(f"{address.text} {why}", remedy="It is tried again by itself.")
    _keep_pdus_short(assoc)
    try:
        yield assoc
        if assoc.is_established:
            with contextlib.suppress(NetworkError):
                calls.run(assoc.release)
    finally:
        calls.cut()


_P_DATA, _LAST_OF_DATA_SET = 0x04, 0x02


def _hold_back(event: evt.Event) -> None:
    """Have a request and the object behind it share packets: the fewer there are, the fewer are lost."""
    if isinstance(event.message, C_STORE_RQ):
        _cork(event, 1)


def _let_go(event: evt.Event) -> None:
    """Send what was held back, now that the object's last bytes are with it (PS3.8 Annex E.2)."""
    pdu = event.data
    if pdu[0] == _P_DATA and pdu[11] & _LAST_OF_DATA_SET and not pdu[11] & 0x01:
        _cork(event, 0)


def _cork(event: evt.Event, on: int) -> None:
    connection = event.assoc.dul.socket and event.assoc.dul.socket.socket
    if connection is not None and hasattr(socket, "TCP_CORK"):
        with contextlib.suppress(OSError):  # it has broken meanwhile
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)


def _keep_pdus_short(assoc: Any) -> None:
    """Have objects leave in PDUs of at most `PDU_BYTES`, however long ones the peer takes (0: any).

    Peers have time limits for one PDU; an image in one of 1 MB never gets through a thin link.
    """
    for item in assoc.acceptor.user_information:
        if isinstance(item, MaximumLengthNotification):
            item.maximum_length_received = min(item.maximum_length_received or PDU_BYTES, PDU_BYTES)


class Link:
    """An association for a known set of objects; use as a context manager.

    Parameters
    ----------
    address, settings, tls
        Whom to call, for how long to wait, and the context of a TLS destination.
    items
        The objects to be sent: presentation contexts are agreed for each in its own transfer syntax, for each in an
        uncompressed one as a fallback, and for images in smaller ones.
    go_on
        Asked about ten times a second while a call waits; False cuts the connection.
    pace
        Holds the rate of what is sent.

    Raises
    ------
    NetworkError
        On entering: the destination is out of reach. Later: the connection broke.
    """

    def __init__(
        self,
        address: Address,
        settings: DeliverySettings,
        items: Iterable[Item],
        go_on: Callable[[], bool],
        *,
        tls: ssl.SSLContext | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._address = address
        self._calls = Calls(go_on, pace)
        self._open = contextlib.ExitStack()
        self._associating = associate(address, settings, _contexts(items), self._calls, tls=tls)
        self._assoc: Any = None
        self._agreed: frozenset[tuple[str, str]] = frozenset()

    def __enter__(self) -> Link:
        self._assoc = self._open.enter_context(self._associating)
        self._agreed = frozenset(
            (str(context.abstract_syntax), str(context.transfer_syntax[0])) for context in self._assoc.accepted_contexts
        )
        self._open.enter_context(_files_as_they_are())
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def send(self, item: Item, *, smaller: bool = False) -> Receipt:
        """Send one object and return the peer's answer; see `edge_app.delivery.link.Sender`."""
        content: Any = None
        size_bytes = 0
        if smaller and is_compressible(item):
            content = compressed(item, [syntax for syntax in SMALLER if (item.sop_class_uid, syntax) in self._agreed])
        if content is not None:
            syntax = str(content.file_meta.TransferSyntaxUID)
            size_bytes = _encoded_size(content)
        elif (item.sop_class_uid, item.transfer_syntax_uid) in self._agreed:
            content, syntax, size_bytes = item.path, item.transfer_syntax_uid, item.path.stat().st_size
        else:
            content, syntax = self._converted(item)
        status = self._calls.run(lambda: self._assoc.send_c_store(content))
        if "Status" not in status:
            raise NetworkError("the connection broke before the answer came", remedy="It is tried again by itself.")
        return Receipt(int(status.Status), syntax, size_bytes)

    def echo(self) -> None:
        """Ask the peer whether it is still there (C-ECHO).

        Raises
        ------
        NetworkError
            If it does not answer.
        """
        status = self._calls.run(lambda: self._assoc.send_c_echo())
        if "Status" not in status:
            raise NetworkError("the connection broke while it was idle", remedy="It is opened again by itself.")

    def _converted(self, item: Item) -> tuple[Any, str]:
        """Return the object in an uncompressed transfer syntax that the peer takes: same UIDs, same pixel values."""
        accepted = [str(uid) for uid in _UNCOMPRESSED if (item.sop_class_uid, str(uid)) in self._agreed]
        if not accepted:
            raise SendError(
                f"{self._address.aet} takes no {item.sop_class_uid} in {item.transfer_syntax_uid} or uncompressed",
                remedy="Ask the destination's administrator to allow it.",
            )
        try:
            dataset = dcmread(item.path)
            if dataset.file_meta.TransferSyntaxUID.is_compressed:
                dataset.decompress(as_rgb=False, generate_instance_uid=False)
            if item.transfer_syntax_uid == ExplicitVRBigEndian:
                dataset = little_endian(dataset)
        except PYDICOM_ERRORS as error:
            raise SendError(
                f"{item.path.name} cannot be sent uncompressed: {error}",
                remedy=f"Ask the destination's administrator to allow {item.transfer_syntax_uid}.",
            ) from error
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return dataset, accepted[0]


def _encoded_size(dataset: Any) -> int:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return len(buffer.getvalue())


def _contexts(items: Iterable[Item]) -> list[PresentationContext]:
    """Ask for each transfer syntax apart: in one context the peer would choose, and might choose another one."""
    known = list(items)
    stored = {(item.sop_class_uid, item.transfer_syntax_uid) for item in known}
    smaller = {(item.sop_class_uid, syntax) for item in known if is_compressible(item) for syntax in SMALLER}
    plain = {(sop_class, str(syntax)) for sop_class, _ in stored for syntax in _UNCOMPRESSED}
    wanted = (*sorted(stored), *sorted(smaller - stored), *sorted(plain - stored - smaller))
    # Verification is taken by everybody: a peer that takes none of the objects still accepts the association, and can
    # be told from one that is out of order.
    return [build_context(sop_class, syntax) for sop_class, syntax in wanted] + [build_context(Verification)]


_SWITCH = threading.Lock()
_users = 0


@contextlib.contextmanager
def _files_as_they_are() -> Iterator[None]:
    """Have pynetdicom stream the data set out of the file instead of decoding and encoding it again.

    This is a switch of the module, not of the association: it is put back when the last of several links is closed.
    """
    global _users
    with _SWITCH:
        _users += 1
        _config.STORE_SEND_CHUNKED_DATASET = True
    try:
        yield
    finally:
        with _SWITCH:
            _users -= 1
            _config.STORE_SEND_CHUNKED_DATASET = _users > 0
