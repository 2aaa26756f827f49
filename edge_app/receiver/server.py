"""The DICOM server: one pynetdicom application entity with our handlers bound to it, on a plain and a TLS port."""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import threading

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification

from edge_app.core import pausing
from edge_app.core.clock import monotonic_s
from edge_app.core.config import ReceiverSettings
from edge_app.core.errors import NetworkError
from edge_app.receiver import handlers, tls
from edge_app.receiver.admission import Admission
from edge_app.receiver.commitment import handle_n_action
from edge_app.receiver.commitment_reports import CommitmentReporter
from edge_app.receiver.contexts import supported_contexts
from edge_app.receiver.limits import Budget, Limits
from edge_app.receiver.listener import Listener, Waiting, listen
from edge_app.receiver.peers import PeerList
from edge_app.receiver.reactor import make_prompt
from edge_app.receiver.refusals import Refusals
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger
from edge_app.store.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

__all__ = ["Receiver"]

SELF_CHECK_TIMEOUT_S = 5.0
"""How long our own C-ECHO may take before the receiver counts as hanging."""

FINISH_S = 1.0
"""How long a stopping receiver waits for handlers that are writing an instance."""

WAITING_MORE = 8
"""So many connections more than associations may wait for their request."""


class Receiver:
    """Listens, and takes in what is pushed, for the time of a ``with`` block.

    Parameters
    ----------
    settings
        Address, AE title, peers and limits; port 0 lets the system choose (see `port` and `tls_port`).
    inbox, ledger
        Where instances and associations go; association threads share both.

    Raises
    ------
    ConfigError
        If TLS is asked for and its certificates cannot be used.
    """

    def __init__(self, settings: ReceiverSettings, inbox: Inbox, ledger: Ledger) -> None:
        self._settings = settings
        self._inbox = inbox
        self._ledger = ledger
        self._peers = PeerList(settings.peers) if settings.access == "listed" else None
        # Nobody else can know it, so nobody else gets past the limit on associations by calling himself so.
        self._self_check_aet = f"SELF-{secrets.token_hex(5).upper()}"
        self._open_associations = handlers.OpenAssociations(ledger, settings.aet, settings.max_associations)
        self._waiting = Waiting(settings.max_associations + WAITING_MORE)
        self._refusals = Refusals(ledger)
        self._budget = Budget(settings.max_memory_bytes)
        self._echo_answered = threading.Event()
        self._ae = self._make_ae(settings)
        self._server_tls = tls.server_context(settings) if settings.tls else None
        self._client_tls = tls.client_context(settings) if settings.tls else None
        self._reporter = CommitmentReporter(
            ledger, settings.aet, settings.commitment_peers, self._tls_for, self._open_associations.all
        )
        self._listeners: list[Listener] = []
        self.port, self.tls_port = settings.port, settings.tls_port

    def __enter__(self) -> Receiver:
        """Start to listen.

        Raises
        ------
        NetworkError
            If an address cannot be bound.
        """
        try:
            if self._settings.plain:
                self.port = self._listen(self._settings.port, None)
            if self._server_tls is not None:
                self.tls_port = self._listen(self._settings.tls_port, self._server_tls)
        except NetworkError:
            self.__exit__()
            raise
        self._reporter.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening, abort what is open, and let handlers finish what they are writing."""
        # First no new connections, then the open ones: a peer that comes back at once would get in between.
        while self._listeners:
            self._listeners.pop().stop()
        self._reporter.stop()
        associations = self._ae.active_associations
        stoppers = [threading.Thread(target=_end, args=(association,)) for association in associations]
        for stopper in stoppers:
            stopper.start()
        deadline_s = monotonic_s() + FINISH_S
        for thread in (*stoppers, *associations):
            thread.join(max(0.0, deadline_s - monotonic_s()))
        self._reporter.join(max(0.0, deadline_s - monotonic_s()))

    @property
    def associations(self) -> int:
        """Return how many peers are connected."""
        return len(self._open_associations)

    def check_self(self) -> None:
        """Send ourselves a C-ECHO through each real port; returns when its handler has answered.

        Raises
        ------
        NetworkError
            If the handler did not run to its end in time.
        """
        if self._settings.plain:
            self._check_port(self.port, None)
        if self._client_tls is not None:
            self._check_port(self.tls_port, self._client_tls)

    def _check_port(self, port: int, context: ssl.SSLContext | None) -> None:
        ae = AE(ae_title=self._self_check_aet)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = SELF_CHECK_TIMEOUT_S
        ae.add_requested_context(Verification)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._settings.host, self._settings.host)
        self._echo_answered.clear()
        association = ae.associate(
            host,
            port,
            ae_title=self._settings.aet,
            tls_args=(context, host) if context is not None else None,
            evt_handlers=[(evt.EVT_CONN_OPEN, pausing.on_connection)],
        )
        if association.is_established:
            association.send_c_echo()
        if association.is_established:
            association.release()
        if not self._echo_answered.is_set():
            raise NetworkError(
                f"the receiver on port {port} does not answer itself", remedy="It is started again by itself."
            )

    def _listen(self, port: int, context: ssl.SSLContext | None) -> int:
        listener = listen(
            self._ae,
            (self._settings.host, port),
            self._bindings(),
            gate=self._may_connect,
            waiting=self._waiting,
            refusals=self._refusals,
            tls=context,
            handshake_s=self._settings.request_timeout_s,
        )
        self._listeners.append(listener)
        return listener.port

    def _tls_for(self, aet: str) -> ssl.SSLContext | None:
        """Return what to call a peer with: who comes over TLS is called over TLS."""
        return self._client_tls if self._peers is not None and self._peers.uses_tls(aet) else None

    def _may_connect(self, address: str) -> bool:
        # Our own C-ECHO comes from this machine; others on it get no further than the request.
        own = ("127.0.0.1", "::1", self._settings.host)
        return self._peers is None or address in own or self._peers.knows_address(address)

    def _make_ae(self, settings: ReceiverSettings) -> AE:
        ae = AE(ae_title=settings.aet)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.supported_contexts = supported_contexts()
        ae.maximum_pdu_size = settings.max_pdu_bytes
        ae.network_timeout = settings.network_timeout_s
        ae.acse_timeout = settings.request_timeout_s
        # We count associations (OpenAssociations); pynetdicom counts connections, with those refused or checking us.
        ae.maximum_associations = 2 * (settings.max_associations + WAITING_MORE)
        return ae

    def _bindings(self) -> list[evt.EventHandlerType]:
        settings = self._settings
        admission = Admission(settings.aet, self._self_check_aet, self._peers)
        associations, ledger = self._open_associations, self._ledger
        return [
            (evt.EVT_CONN_OPEN, self._on_connected),
            (evt.EVT_REQUESTED, handlers.on_requested, [admission, associations, self._refusals, self._waiting]),
            (evt.EVT_ACCEPTED, handlers.on_accepted, [admission, associations]),
            (evt.EVT_RELEASED, handlers.on_released, [associations, ledger]),
            (evt.EVT_ABORTED, handlers.on_aborted, [associations, ledger]),
            (evt.EVT_C_ECHO, handlers.handle_echo, [admission, ledger, self._echo_answered]),
            (evt.EVT_C_STORE, handlers.handle_store, [self._inbox, associations]),
            (evt.EVT_N_ACTION, handle_n_action, [ledger, self._reporter.wake]),
            (evt.EVT_ESTABLISHED, lambda event: self._reporter.wake(event.assoc.requestor.ae_title.strip())),
        ]

    def _on_connected(self, event: evt.Event) -> None:
        """Prepare a connection before its threads start."""
        association = event.assoc
        connection = association.dul.socket.socket
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A peer that does not take our answers must not hold its thread for ever: accepted sockets have no timeout.
        connection.settimeout(self._settings.network_timeout_s)
        limits = Limits(
            association,
            self._settings,
            self._budget,
            on_broken=lambda broken, why: handlers.on_broken(broken, why, self._refusals),
            on_answer=self._reporter.on_answer,
            on_ended=lambda ended: handlers.on_ended(
                ended, self._open_associations, self._ledger, self._refusals, self._waiting
            ),
        )
        make_prompt(association, is_behind=limits.is_behind)


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
