"""A hospital's record system on a real socket: takes HL7 messages and acknowledges them as it is told to."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hl7

__all__ = ["MllpPeer", "mllp_peer"]


class MllpPeer:
    """What it got, and what it answers: `code` (AA, AE, AR), the `error` it names, the control ID it is `about`."""

    def __init__(self) -> None:
        self.port = 0
        self.received: list[str] = []
        self.code, self.error, self.about = "AA", "", ""
        self.hangs_up = False

    def answer(self, text: str) -> bytes:
        """Return the acknowledgement of a message, in pieces of a frame as a peer may write them."""
        message = hl7.parse(text)
        ack = f"MSH|^~\\&|EHR|||||||ACK^R01^ACK|1|P|2.5.1\rMSA|{self.code}|{self.about or message.segment('MSH')[10]}\r"
        if self.error:
            ack += f"ERR||OBX^1|{self.error}^said for a test^HL70357|E\r"
        return b"\x0b" + ack.encode() + b"\x1c\r"


@contextmanager
def mllp_peer(tls: tuple[Path, Path] | None = None) -> Iterator[MllpPeer]:
    """Run one on a free port; `tls` is its certificate and key."""
    peer = MllpPeer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if tls is not None:
        context.load_cert_chain(*tls)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connection = context.wrap_socket(self.request, server_side=True) if tls else self.request
            with connection:
                waiting = b""
                while more := connection.recv(4096):
                    waiting += more
                    while b"\x1c\r" in waiting:
                        frame, _, waiting = waiting.partition(b"\x1c\r")
                        if peer.hangs_up:
                            return
                        text = frame.removeprefix(b"\x0b").decode("utf-8")
                        peer.received.append(text)
                        connection.sendall(peer.answer(text))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        peer.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield peer
        finally:
            server.shutdown()
            thread.join()
