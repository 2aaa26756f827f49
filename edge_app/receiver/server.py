"""The DICOM server: one pynetdicom application entity with our handlers bound to it."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading

from pynetdicom import AE, evt
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification
from pynetdicom.transport import ThreadedAssociationServer

from edge_app.core.clock import monotonic_s
from edge_app.core.config import ReceiverSettings
from edge_app.core.errors import NetworkError
from edge_app.core.logs import get_logger
from edge_app.receiver import handlers
from edge_app.receiver.admission import Admission
from edge_app.receiver.contexts import supported_contexts
from edge_app.receiver.reactor import make_prompt
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger
from edge_app.store.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

__all__ = ["Receiver"]

SELF_CHECK_TIMEOUT_S = 5.0
"""How long our own C-ECHO may take before the receiver counts as hanging."""

FINISH_S = 1.0
"""How long a stopping receiver waits for handlers that are writing an instance."""

_log = get_logger(__name__)


class Receiver:
    """Listens, and takes in what is pushed, for the time of a ``with`` block.

    Parameters
    ----------
    settings
        Address, AE title and limits; port 0 lets the system choose (see `port`).
    inbox, ledger
        Where instances and associations go; association threads share both.
    """

    def __init__(self, settings: ReceiverSettings, inbox: Inbox, ledger: Ledger) -> None:
        self._settings = settings
        self._inbox = inbox
        self._ledger = ledger
        # Nobody else can know it, so nobody else gets past the limit on associations by calling himself so.
        self._self_check_aet = f"SELF-{secrets.token_hex(5).upper()}"
        self._open_associations = handlers.OpenAssociations()
        self._echo_answered = threading.Event()
        self._ae = self._make_ae(settings)
        self._server: ThreadedAssociationServer | None = None
        self.port = settings.port

    def __enter__(self) -> Receiver:
        """Start to listen.

        Raises
        ------
        NetworkError
            If the address cannot be bound.
        """
        address = (self._settings.host, self._settings.port)
        try:
            server = self._ae.start_server(address, block=False, evt_handlers=self._bindings())
        except OSError as error:
            raise NetworkError(
                f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}",
                remedy="Another program has the port, or receiver.host is not an address of this machine.",
            ) from error
        _mute(server)
        self._server, self.port = server, server.server_address[1]
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening, abort what is open, and let handlers finish what they are writing."""
        # First no new connections, then the open ones: pynetdicom's AE.shutdown does it the other way round, and a
        # peer that comes back at once would get in between.
        if self._server:
            self._server.shutdown()
            self._server = None
        associations = self._ae.active_associations
        stoppers = [threading.Thread(target=_end, args=(association,)) for association in associations]
        for stopper in stoppers:
            stopper.start()
        deadline_s = monotonic_s() + FINISH_S
        for thread in (*stoppers, *associations):
            thread.join(max(0.0, deadline_s - monotonic_s()))

    @property
    def associations(self) -> int:
        """Return how many peers are connected."""
        return len(self._open_associations)

    def check_self(self) -> None:
        """Send ourselves a C-ECHO through the real port; returns when its handler has answered.

        Raises
        ------
        NetworkError
            If the handler did not run to its end in time.
        """
        ae = AE(ae_title=self._self_check_aet)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = SELF_CHECK_TIMEOUT_S
        ae.add_requested_context(Verification)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._settings.host, self._settings.host)
        self._echo_answered.clear()
        association = ae.associate(host, self.port, ae_title=self._settings.aet)
        if association.is_established:
            association.send_c_echo()
        if association.is_established:
            association.release()
        if not self._echo_answered.is_set():
            raise NetworkError(
                f"the receiver on port {self.port} does not answer itself", remedy="It is started again by itself."
            )

    def _make_ae(self, settings: ReceiverSettings) -> AE:
        ae = AE(ae_title=settings.aet)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.supported_contexts = supported_contexts()
        ae.maximum_pdu_size = settings.max_pdu_bytes
        ae.network_timeout = settings.network_timeout_s
        # Admission counts the associations; pynetdicom counts connections, with those being refused or checking us.
        ae.maximum_associations = 2 * settings.max_associations + 2
        return ae

    def _bindings(self) -> list[evt.EventHandlerType]:
        admission = Admission(self._settings.aet, self._settings.max_associations, self._self_check_aet)
        associations, ledger = self._open_associations, self._ledger
        return [
            (evt.EVT_CONN_OPEN, _on_connected, [self._settings.network_timeout_s]),
            (evt.EVT_REQUESTED, handlers.on_requested, [admission, associations]),
            (evt.EVT_ACCEPTED, handlers.on_accepted, [admission, associations, ledger]),
            (evt.EVT_RELEASED, handlers.on_released, [associations, ledger]),
            (evt.EVT_ABORTED, handlers.on_aborted, [associations, ledger]),
            (evt.EVT_C_ECHO, handlers.handle_echo, [admission, ledger, self._echo_answered]),
            (evt.EVT_C_STORE, handlers.handle_store, [self._inbox, associations]),
        ]


def _mute(server: ThreadedAssociationServer) -> None:
    """Take off pynetdicom's own log handlers: they write AE titles and UIDs, and cost time for each PDU."""
    server.unbind(evt.EVT_PDU_RECV, standard_pdu_recv_handler)
    server.unbind(evt.EVT_PDU_SENT, standard_pdu_sent_handler)
    server.unbind(evt.EVT_DIMSE_RECV, standard_dimse_recv_handler)
    server.unbind(evt.EVT_DIMSE_SENT, standard_dimse_sent_handler)


def _end(association: Association) -> None:
    """Abort an association, or hang up on a peer that has not asked for one yet."""
    if association.is_established:
        association.abort()
        return
    # Before the request there is no association to abort (PS3.8 Table 9-10, Sta2). The upper layer sees the hang-up;
    # the association's own thread waits for a request, and takes None for "none came in time".
    connection = association.dul.socket.socket
    if connection:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    association.dul.to_user_queue.put(None)
    association.kill()


def _on_connected(event: evt.Event, timeout_s: float) -> None:
    """Prepare a connection before its threads start."""
    connection = event.assoc.dul.socket.socket
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A peer that stops in the middle of a PDU must not hold its thread for ever: accepted sockets have no timeout.
    connection.settimeout(timeout_s)
    make_prompt(event.assoc)
