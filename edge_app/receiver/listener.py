"""One listening socket: who may connect at all, how many, and the TLS handshake, each without holding up the others.

pynetdicom does the handshake in the thread that accepts connections, where one silent peer stops them all; here it has
a thread and a deadline. Connections that have not asked for an association yet make room for new ones, so that a flood
of them never shuts the scanner out.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from socketserver import TCPServer
from typing import Any

from pynetdicom import AE, evt
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.transport import ThreadedAssociationServer

from edge_app.core.errors import NetworkError
from edge_app.receiver.refusals import Refusals

__all__ = ["Gate", "Listener", "Waiting", "listen"]

Gate = Callable[[str], bool]
"""Whether anybody may connect from an IP address."""

ACCEPT_QUEUE = 64
"""Connections that the kernel holds for us (listen(2))."""


class Waiting:
    """Connections that have not asked for an association yet, oldest first. Threads share it.

    Parameters
    ----------
    most
        When there are more, the oldest is closed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: dict[socket.socket, None] = {}
        self._lock = threading.Lock()

    def add(self, connection: socket.socket) -> socket.socket | None:
        """Add a connection; returns the one that has to make room for it."""
        with self._lock:
            oldest = next(iter(self._connections)) if len(self._connections) >= self._most else None
            if oldest is not None:
                del self._connections[oldest]
            self._connections[connection] = None
        return oldest

    def replace(self, connection: socket.socket, by: socket.socket) -> None:
        """Put a wrapped connection in the place of the bare one."""
        with self._lock:
            if connection in self._connections:
                del self._connections[connection]
                self._connections[by] = None

    def remove(self, connection: socket.socket | None) -> bool:
        """Take out a connection that has asked, or ended; False when it is out already, as one that made room is."""
        with self._lock:
            if connection not in self._connections:
                return False
            del self._connections[connection]
            return True

    def all(self) -> list[socket.socket]:
        """Return them all."""
        with self._lock:
            return list(self._connections)


class Listener(ThreadedAssociationServer):  # type: ignore[misc]
    """A pynetdicom server with a gate, a bound on connections, and a TLS handshake that holds up nobody.

    Parameters
    ----------
    gate, waiting, refusals
        Who may connect; who has, without having asked for an association; where refusals are noted.
    tls
        None on the plain port.
    handshake_s
        How long a TLS handshake may take.
    """

    daemon_threads = True
    request_queue_size = ACCEPT_QUEUE

    def __init__(
        self,
        *arguments: Any,
        gate: Gate,
        waiting: Waiting,
        refusals: Refusals,
        tls: ssl.SSLContext | None,
        handshake_s: float,
        **options: Any,
    ) -> None:
        self._gate, self._waiting, self._refusals = gate, waiting, refusals
        self._tls, self._handshake_s = tls, handshake_s
        super().__init__(*arguments, **options)

    @property
    def port(self) -> int:
        """Return the port that the system gave us."""
        return int(self.server_address[1])

    def verify_request(self, request: socket.socket, client_address: tuple[Any, ...]) -> bool:
        """Close what comes from an address that nobody may call from, before anything is spent on it."""
        address = str(client_address[0])
        if self._gate(address):
            return True
        self._refusals.note(206, "connection from an address that is not in receiver.peers", address=address)
        return False

    def process_request(self, request: socket.socket, client_address: tuple[Any, ...]) -> None:
        """Hand a connection to a thread of its own."""
        oldest = self._waiting.add(request)
        if oldest is not None:
            self._refusals.note(207, "too many connections without association", address=str(client_address[0]))
            with contextlib.suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def process_request_thread(self, request: socket.socket, client_address: tuple[Any, ...]) -> None:
        """Do the handshake, then start the association."""
        connection = request
        try:
            if self._tls is not None:
                connection = self._shake_hands(request, self._tls)
            self.finish_request(connection, client_address)
        except OSError as error:
            self._waiting.remove(connection)
            self._waiting.remove(request)
            if self._tls is not None:
                self._refusals.note(208, f"TLS handshake failed: {_reason_of(error)}", address=str(client_address[0]))
            self.shutdown_request(connection)

    def _shake_hands(self, request: socket.socket, tls: ssl.SSLContext) -> socket.socket:
        connection = tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        self._waiting.replace(request, connection)
        try:
            connection.settimeout(self._handshake_s)
            connection.do_handshake()
        except BaseException:
            self._waiting.remove(connection)
            connection.close()
            raise
        return connection

    def stop(self) -> None:
        """Take no more connections, and hang up on those that have not asked for anything."""
        TCPServer.shutdown(self)
        self.server_close()
        for connection in self._waiting.all():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def listen(ae: AE, address: tuple[str, int], handlers: list[evt.EventHandlerType], **options: Any) -> Listener:
    """Listen on an address, in a thread; `options` are those of `Listener`.

    Raises
    ------
    NetworkError
        If the address cannot be bound.
    """
    try:
        listener: Listener = ae.make_server(address, evt_handlers=handlers, server_class=Listener, **options)
    except OSError as error:
        raise NetworkError(
            f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}",
            remedy="Another program has the port, or receiver.host is not an address of this machine.",
        ) from error
    # pynetdicom's own log handlers write AE titles and UIDs, and cost time for each PDU.
    listener.unbind(evt.EVT_PDU_RECV, standard_pdu_recv_handler)
    listener.unbind(evt.EVT_PDU_SENT, standard_pdu_sent_handler)
    listener.unbind(evt.EVT_DIMSE_RECV, standard_dimse_recv_handler)
    listener.unbind(evt.EVT_DIMSE_SENT, standard_dimse_sent_handler)
    threading.Thread(target=listener.serve_forever, name=f"listen-{listener.port}", daemon=True).start()
    return listener


def _reason_of(error: OSError) -> str:
    """Return OpenSSL's reason, which the peer cannot choose freely."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "connection broken").replace("_", " ").lower()
    return "connection broken"
