"""HL7 v2 messages over TCP or TLS, framed as the Minimal Lower Layer Protocol has it, each answered before the next."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

from edge_app.core.config import DeliverySettings
from edge_app.core.errors import NetworkError
from edge_app.delivery.address import Address
from edge_app.delivery.calls import Calls, prepare_socket
from edge_app.delivery.items import Item
from edge_app.delivery.link import Receipt

__all__ = ["MllpLink"]

_START, _END = b"\x0b", b"\x1c\r"
_LONGEST_ANSWER = 64 * 1024
_CANNOT = 0xC000

_NEVER = frozenset({"200", "201", "202", "203"})
"""Message type, event, processing ID or version not supported (table 0357): the same message will never be taken."""


class MllpLink:
    """A connection to an HL7 destination; use as a context manager. It is cut like an association."""

    def __init__(
        self,
        address: Address,
        settings: DeliverySettings,
        go_on: Callable[[], bool],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._address = address
        self._settings = settings
        self._calls = Calls(go_on)
        self._tls = tls
        self._connection: socket.socket | None = None

    def __enter__(self) -> MllpLink:
        self._connection = self._calls.run(self._connect)
        return self

    def __exit__(self, *_: object) -> None:
        self._calls.cut()
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()

    def send(self, item: Item, *, smaller: bool = False) -> Receipt:
        """Send one message and return what was acknowledged; see `edge_app.delivery.link.Sender`."""
        content = item.path.read_bytes()
        answer = self._calls.run(lambda: self._exchange(content))
        return Receipt(self._status(answer, _field(_segment(content, "MSH"), 9)), "", len(content))

    def _connect(self) -> socket.socket:
        where = (self._address.host, self._address.port)
        connection = socket.create_connection(where, timeout=self._settings.connect_timeout_s)
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_hostname=self._address.host)
            prepare_socket(connection, self._settings.stalled_timeout_s)
            connection.settimeout(self._settings.answer_timeout_s)
        except BaseException:
            connection.close()
            raise
        self._calls.watch(connection)
        return connection

    def _exchange(self, content: bytes) -> bytes:
        if self._connection is None:
            raise NetworkError("no connection", remedy="It is tried again by itself.")
        self._connection.sendall(_START + content + _END)
        answer = b""
        while _END not in answer:
            more = self._connection.recv(4096)
            if not more or len(answer) > _LONGEST_ANSWER:
                raise NetworkError("the connection broke before the answer came", remedy="It is tried again by itself.")
            answer += more
        return answer[answer.find(_START) + 1 : answer.index(_END)]

    def _status(self, answer: bytes, control_id: str) -> int:
        """Return the DIMSE status in an acknowledgement (Section 2.9.2, table 0008).

        Raises
        ------
        NetworkError
            If it is of another message, or a refusal for now (AR), which the same message may outlive.
        """
        said = _segment(answer, "MSA")
        code, about = _field(said, 1), _field(said, 2)
        if about != control_id or code[:1] not in ("A", "C"):
            raise NetworkError(
                f"{self._address.text} answered something else than what it was sent",
                remedy="Check what listens there.",
            )
        if code[1:] == "A":
            return 0x0000
        if code[1:] == "R" and _field(_segment(answer, "ERR"), 3).split("^")[0] not in _NEVER:
            raise NetworkError(
                f"{self._address.text} takes nothing now ({code})", remedy="It is tried again by itself."
            )
        return _CANNOT


def _segment(message: bytes, name: str) -> list[str]:
    """Return a segment's fields, of the first one of that name; nothing where there is none."""
    text = message.decode("utf-8", errors="replace")
    lines = text.replace("\n", "\r").split("\r")
    return next((line.split("|") for line in lines if line.startswith(f"{name}|")), [])


def _field(segment: list[str], number: int) -> str:
    return segment[number].strip() if number < len(segment) else ""
