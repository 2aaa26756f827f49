"""One association to the destination: objects go as the bytes they were received as (PS3.4 Annex B).

The network calls run on a thread of their own, so that a link that hangs never keeps the process from giving its
signs of life or from stopping. Nothing else runs there.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification

from edge_app.core.config import DeliverySettings
from edge_app.core.errors import NetworkError, SendError
from edge_app.delivery.items import Item
from edge_app.store.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

__all__ = ["Destination", "Link", "Receipt"]

_T = TypeVar("_T")

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

_HAS_IT = frozenset({0x0000, 0xB000, 0xB006, 0xB007, 0x0111})
"""Success, the warnings that mean "stored" (PS3.4 Table B.2-1), and Duplicate SOP Instance (PS3.7 Annex C)."""

POLL_S = 0.1
"""How often the waiting thread looks up from a network call."""

CUT_S = 1.0
"""How long a call may take to notice that its connection was cut."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A DICOM peer."""

    aet: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Read ``AE@HOST:PORT``; the settings have checked the form."""
        aet, _, address = text.rpartition("@")
        host, _, port = address.rpartition(":")
        return cls(aet, host.strip("[]"), int(port))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the peer answered to one object, and the transfer syntax in which it got it."""

    status: int
    transfer_syntax_uid: str

    @property
    def accepted(self) -> bool:
        """Tell whether the peer has the object now."""
        return self.status in _HAS_IT

    @property
    def busy(self) -> bool:
        """Tell whether the peer has no room (0xA7xx): true for whatever would come next as well."""
        return self.status & 0xFF00 == 0xA700


class Link:
    """An association for a known set of objects; use as a context manager.

    Parameters
    ----------
    destination, settings
        Whom to call, and for how long to wait.
    items
        The objects to be sent: presentation contexts are agreed for each in its own transfer syntax, and for each in
        an uncompressed one as a fallback.
    go_on
        Asked about ten times a second while a call waits; False cuts the connection.

    Raises
    ------
    NetworkError
        On entering: the destination is out of reach. Later: the connection broke.
    """

    def __init__(
        self, destination: Destination, settings: DeliverySettings, items: Iterable[Item], go_on: Callable[[], bool]
    ) -> None:
        self._destination = destination
        self._settings = settings
        self._contexts = _contexts(items)
        self._go_on = go_on
        self._socket: socket.socket | None = None
        self._assoc: Any = None
        self._agreed: frozenset[tuple[str, str]] = frozenset()
        self._raw_files = contextlib.ExitStack()

    def __enter__(self) -> Link:
        ae = AE(ae_title=self._settings.calling_aet)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.connection_timeout = self._settings.connect_timeout_s
        ae.acse_timeout = self._settings.connect_timeout_s
        ae.dimse_timeout = self._settings.answer_timeout_s
        ae.network_timeout = self._settings.stalled_timeout_s
        peer = self._destination
        self._assoc = self._call(
            lambda: ae.associate(
                peer.host,
                peer.port,
                contexts=self._contexts,
                ae_title=peer.aet,
                evt_handlers=[(evt.EVT_CONN_OPEN, self._on_connection)],
            )
        )
        if not self._assoc.is_established:
            why = "rejected the association" if self._assoc.is_rejected else "does not answer"
            raise NetworkError(f"{peer.aet}@{peer.host}:{peer.port} {why}", remedy="It is tried again by itself.")
        self._agreed = frozenset(
            (str(context.abstract_syntax), str(context.transfer_syntax[0])) for context in self._assoc.accepted_contexts
        )
        self._raw_files.enter_context(_files_as_they_are())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._raw_files.close()
        if kind is None and self._assoc.is_established:
            with contextlib.suppress(NetworkError):
                self._call(self._assoc.release)
        self._cut()

    def send(self, item: Item) -> Receipt:
        """Send one object and return the peer's answer.

        Raises
        ------
        SendError
            If the peer takes this kind of object in no form that we can make; the others are not concerned.
        NetworkError
            If the connection broke or the answer did not come in time: whether the peer has it is not known.
        """
        if (item.sop_class_uid, item.transfer_syntax_uid) in self._agreed:
            content: Any = item.path
            syntax = item.transfer_syntax_uid
        else:
            content, syntax = self._converted(item)
        status = self._call(lambda: self._assoc.send_c_store(content))
        if "Status" not in status:
            raise NetworkError("the connection broke before the answer came", remedy="It is tried again by itself.")
        return Receipt(int(status.Status), syntax)

    def _converted(self, item: Item) -> tuple[Any, str]:
        """Return the object in an uncompressed transfer syntax that the peer takes: same UIDs, same pixel values."""
        accepted = [str(uid) for uid in _UNCOMPRESSED if (item.sop_class_uid, str(uid)) in self._agreed]
        if not accepted:
            raise SendError(
                f"{self._destination.aet} takes no {item.sop_class_uid} in {item.transfer_syntax_uid} or uncompressed",
                remedy="Ask the destination's administrator to allow it.",
            )
        try:
            dataset = dcmread(item.path)
            if dataset.file_meta.TransferSyntaxUID.is_compressed:
                dataset.decompress(as_rgb=False, generate_instance_uid=False)
        except (AttributeError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
            raise SendError(
                f"{item.path.name} cannot be sent uncompressed: {error}",
                remedy=f"Ask the destination's administrator to allow {item.transfer_syntax_uid}.",
            ) from error
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return dataset, accepted[0]

    def _call(self, work: Callable[[], _T]) -> _T:
        outcome: list[_T] = []
        problem: list[Exception] = []

        def run() -> None:
            try:
                outcome.append(work())
            except (OSError, RuntimeError, ValueError, AttributeError) as error:
                problem.append(error)

        thread = threading.Thread(target=run, name="delivery-call", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(POLL_S)
            if thread.is_alive() and not self._go_on():
                self._cut()
                thread.join(CUT_S)
                raise NetworkError("stopped while sending", remedy="It is sent again after the next start.")
        if problem:
            raise NetworkError(f"sending failed: {problem[0]}", remedy="It is tried again by itself.") from problem[0]
        return outcome[0]

    def _on_connection(self, event: evt.Event) -> None:
        connection = event.assoc.dul.socket.socket
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A vehicle that drives out of coverage gets no reset: without this the kernel keeps trying for 15 minutes.
            connection.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._settings.stalled_timeout_s * 1000)
            )
        self._socket = connection

    def _cut(self) -> None:
        """Close the connection under pynetdicom's feet: its threads end, whatever they were waiting for."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket = None


def _contexts(items: Iterable[Item]) -> list[PresentationContext]:
    """Ask for each transfer syntax apart: in one context the peer would choose, and might choose another one."""
    stored = {(item.sop_class_uid, item.transfer_syntax_uid) for item in items}
    plain = {(sop_class, str(syntax)) for sop_class, _ in stored for syntax in _UNCOMPRESSED}
    wanted = (*sorted(stored), *sorted(plain - stored))
    # Verification is taken by everybody: a peer that takes none of the objects still accepts the association, and can
    # be told from one that is out of order.
    return [build_context(sop_class, syntax) for sop_class, syntax in wanted] + [build_context(Verification)]


@contextlib.contextmanager
def _files_as_they_are() -> Any:
    """Have pynetdicom stream the data set out of the file instead of decoding and encoding it again.

    This is a switch of the module, not of the association; it is put back, since others in the process may send too.
    """
    before = _config.STORE_SEND_CHUNKED_DATASET
    _config.STORE_SEND_CHUNKED_DATASET = True
    try:
        yield
    finally:
        _config.STORE_SEND_CHUNKED_DATASET = before
