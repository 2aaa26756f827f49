"""A peer that says whatever a test wants, byte by byte."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

__all__ = ["ABORT", "ACCEPT", "REJECT", "RawPeer", "associate_rq", "connecting", "fragment", "pdu", "store_command"]

ACCEPT, REJECT, ABORT = 0x02, 0x03, 0x07

CT, ECHO, COMMITMENT = 1, 3, 5
"""Presentation context ids that `associate_rq` proposes."""


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """Return a PDU, with a forged length if asked for."""
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def fragment(context_id: int, control: int, data: bytes, length: int | None = None) -> bytes:
    """Return one presentation data value item (PS3.8 Section 9.3.5.1)."""
    return struct.pack(">LBB", len(data) + 2 if length is None else length, context_id, control) + data


def associate_rq(syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return an ordinary A-ASSOCIATE-RQ for CT, Verification and Storage Commitment."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "HOSTILE", "MSU1"
    contexts = [
        build_context(CTImageStorage, syntax),
        build_context(Verification),
        build_context(StorageCommitmentPushModel),
    ]
    for index, context in enumerate(contexts):
        context.context_id = 2 * index + 1
    primitive.presentation_context_definition_list = contexts
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16382
    implementation.implementation_class_uid = UID("1.2.3")
    primitive.user_information = [length, implementation]
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return bytes(request.encode())


def store_command(sop_uid: str = "1.2.3", sop_class_uid: str = CTImageStorage, **changed: object) -> bytes:
    """Return the command set of a C-STORE-RQ (PS3.7 Section 9.3.1.1)."""
    command = Dataset()
    command.AffectedSOPClassUID, command.AffectedSOPInstanceUID = sop_class_uid, sop_uid
    command.CommandField, command.MessageID, command.Priority, command.CommandDataSetType = 0x0001, 1, 0, 0x0001
    for keyword, value in changed.items():
        setattr(command, keyword, value)
    body = encode(command, True, True) or b""
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


class RawPeer:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, content: bytes) -> bool:
        """Send bytes; False when the receiver has hung up."""
        try:
            self.connection.sendall(content)
        except OSError:
            return False
        return True

    def associate(self) -> None:
        """Ask for an association and get it."""
        self.send(associate_rq())
        assert self.answer() == ACCEPT

    def answer(self) -> int | None:
        """Return the type of the next PDU, or None when the receiver hung up."""
        try:
            head = self._read(6)
            if head is None or self._read(struct.unpack(">BBL", head)[2]) is None:
                return None
        except OSError:
            return None
        return head[0]

    def is_cut_off(self) -> bool:
        """Tell whether the receiver aborts or hangs up, after whatever else it still answers."""
        while (kind := self.answer()) not in (None, ABORT, REJECT):
            assert kind is not None
        return True

    def _read(self, count: int) -> bytes | None:
        content = b""
        while len(content) < count:
            got = self.connection.recv(count - len(content))
            if not got:
                return None
            content += got
        return content


@contextmanager
def connecting(port: int, timeout_s: float = 30) -> Iterator[RawPeer]:
    """Connect; the timeout is that of the test, not of the receiver."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        yield RawPeer(connection)
