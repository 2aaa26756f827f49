"""The audit trail to the hospital's audit repository: syslog over TLS (PS3.15 Section A.6), in order, none left out.

Syslog knows no answers. Each batch therefore has a connection of its own that is closed in TLS's own words: only when
the server has said goodbye as well has it read everything. After a break a batch goes again; the record's hash in each
message tells what came twice.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading

from edge_app.core.clock import MonotonicClock, monotonic_s
from edge_app.core.config import DeliverySettings
from edge_app.core.logs import get_logger
from edge_app.delivery.audit_messages import AuditRecord, syslog_frame
from edge_app.delivery.retry import Backoff
from edge_app.store import audit_exports
from edge_app.store.ledger import Ledger

__all__ = ["AuditExporter"]

POLL_S = 1.0
BATCH = 200

_log = get_logger(__name__)


class AuditExporter:
    """Sends what the trail has new, on a thread of its own; does nothing without ``delivery.audit_server``."""

    def __init__(
        self,
        ledger: Ledger,
        settings: DeliverySettings,
        tls: ssl.SSLContext | None,
        *,
        clock: MonotonicClock = monotonic_s,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._tls = tls
        self._clock = clock
        self._backoff = Backoff(settings.retry_first_s, settings.retry_longest_s)
        self._failures = 0
        self._until_s = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deliver audit", daemon=True)
        self.problem: Exception | None = None
        """What ended the thread before it was told to stop."""

    def start(self) -> None:
        """Begin, if there is a server."""
        if self._settings.audit_server:
            self._thread.start()

    def stop(self) -> None:
        """End; a batch that is under way goes again after the next start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(self._settings.connect_timeout_s)

    def step(self) -> bool:
        """Send one batch if there is something and it is time; returns False if not."""
        server = self._settings.audit_server
        if not server or self._tls is None or self._clock() < self._until_s:
            return False
        records = audit_exports.pending(self._ledger, server, limit=BATCH)
        if not records:
            return False
        frames = (
            syslog_frame(AuditRecord(*record), self._settings.calling_aet.strip(), os.getpid()) for record in records
        )
        try:
            self._send(server, b"".join(frames), self._tls)
        except OSError as error:  # ssl.SSLError is one
            self._failures += 1
            self._until_s = self._clock() + self._backoff.pause_s(self._failures)
            _log.event(416, "audit records not exported yet", problem=str(error), failures=self._failures)
            return True
        self._failures = 0
        audit_exports.note_exported(self._ledger, server, records[-1][0])
        return True

    def _send(self, server: str, content: bytes, tls: ssl.SSLContext) -> None:
        host, _, port = server.rpartition(":")
        host = host.strip("[]")
        with (
            socket.create_connection((host, int(port)), timeout=self._settings.connect_timeout_s) as plain,
            tls.wrap_socket(plain, server_hostname=host) as secure,
        ):
            secure.settimeout(self._settings.stalled_timeout_s)
            secure.sendall(content)
            secure.unwrap()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self.step():
                    self._stop.wait(POLL_S)
        except Exception as error:  # noqa: BLE001  the one of this loop; the process ends with it
            self.problem = error
