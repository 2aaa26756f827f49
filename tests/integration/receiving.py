"""A receiver in this process or in its own, and senders for it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification

from edge_app.core import pausing
from edge_app.core.config import ReceiverSettings, Settings
from edge_app.receiver import server
from edge_app.receiver.contexts import IMAGE_CLASSES
from edge_app.receiver.server import Receiver
from edge_app.store.associations import associations
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.waiting import DEADLINE_S

__all__ = [
    "ReceiveProcess",
    "Running",
    "associating",
    "in_thread",
    "receiving",
    "send",
    "settings_for",
    "start_process",
]


def settings_for(data: Path, **receiver: object) -> Settings:
    """Return settings for a receiver on a free port."""
    return Settings(data=data, receiver=ReceiverSettings(**{"port": 0, "min_free_bytes": 0, **receiver}))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Running:
    """A receiver in this process."""

    ledger: Ledger
    inbox: Inbox
    receiver: Receiver

    @property
    def port(self) -> int:
        return self.receiver.port

    def outcomes(self) -> list[str]:
        return [row.outcome for row in associations(self.ledger)]


@contextmanager
def receiving(data: Path, **options: object) -> Iterator[Running]:
    """Run a receiver in this process on a free port; its threads have at its end as long as they need."""
    settings = settings_for(data, **options).receiver
    with Ledger(StorePaths(data), "receive") as ledger, pytest.MonkeyPatch.context() as patched:
        patched.setattr(server, "FINISH_S", DEADLINE_S)
        inbox = Inbox(ledger, settings.min_free_bytes)
        with Receiver(settings, inbox, ledger) as receiver:
            yield Running(ledger, inbox, receiver)


@contextmanager
def associating(
    port: int, *, calling_aet: str = "SCANNER", called_aet: str = "MSU1", syntax: str = ExplicitVRLittleEndian
) -> Iterator[Association]:
    """Connect as a scanner that sends CT, and release at the end; the association may have been refused."""
    ae = AE(ae_title=calling_aet)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    contexts = [*(build_context(uid, [syntax]) for uid in IMAGE_CLASSES), build_context(Verification)]
    connections: list[socket.socket] = []
    handlers = [
        (evt.EVT_CONN_OPEN, lambda event: connections.append(event.assoc.dul.socket.socket)),
        (evt.EVT_CONN_OPEN, pausing.on_connection),
    ]
    association = ae.associate("127.0.0.1", port, contexts=contexts, ae_title=called_aet, evt_handlers=handlers)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        if association.is_alive():
            association.join()
        for connection in connections:  # pynetdicom leaves it to the garbage collector when the peer closed first
            connection.close()


def send(association: Association, dataset: Dataset) -> int:
    """Send one slice and return the status, or -1 when there was no answer."""
    return int(association.send_c_store(dataset).get("Status", -1))


_ENTRY = """
import json, signal, sys, threading
from pathlib import Path
from edge_app.core.config import ReceiverSettings, Settings
from edge_app.processes.receive import run
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
settings = Settings(data=Path(sys.argv[1]), receiver=ReceiverSettings(**json.loads(sys.argv[2])))
run(settings, ready=lambda *address: print(*address, flush=True), stop=stop)
"""


@dataclass
class ReceiveProcess:
    """The receive process, to be killed."""

    process: subprocess.Popen[str]
    port: int = field(init=False)

    def __post_init__(self) -> None:
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split()[-1])

    def resident_bytes(self) -> int:
        """Return how much memory it holds at most so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def kill(self) -> None:
        """Kill it as a power cut would."""
        os.kill(self.process.pid, signal.SIGKILL)
        self._end()

    def stop(self) -> int:
        """Ask it to end."""
        self.process.terminate()
        return self._end()

    def _end(self) -> int:
        code = self.process.wait(30)
        if self.process.stdout:
            self.process.stdout.close()
        return code


def start_process(data: Path, **receiver: object) -> ReceiveProcess:
    """Start the receive process and wait until an association would be accepted."""
    settings = json.dumps({"port": 0, "min_free_bytes": 0, **receiver})
    command = [sys.executable, "-c", _ENTRY, str(data), settings]
    return ReceiveProcess(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))


def in_thread(target: object, *arguments: object) -> threading.Thread:
    """Start a thread."""
    thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
    thread.start()
    return thread
