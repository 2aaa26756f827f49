"""A stroke centre that speaks HTTP: takes notifications and FHIR transactions, and acknowledges when told to."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["WebCentre", "web_centre"]


@dataclass
class WebCentre:
    """What it got, by path, and what it answers."""

    port: int = 0
    posted: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    acknowledgements: dict[str, dict[str, str]] = field(default_factory=dict)
    status: int = 201

    def acknowledge(self, message: dict[str, Any], **said: str) -> None:
        """Let somebody at the centre have seen a message."""
        self.acknowledgements[message["id"]] = said


@contextmanager
def web_centre(tls: tuple[Path, Path] | None = None) -> Iterator[WebCentre]:
    """Run the centre; `tls` is its certificate and key."""
    centre = WebCentre()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            status = centre.status  # a test may change it meanwhile: what is refused is not kept, what is kept is said
            if status < 300:
                centre.posted.setdefault(self.path, []).append(json.loads(content))
            centre.headers.append(dict(self.headers))
            centre.sizes.append(len(content))
            self._answer(status, b"{}")

        def do_GET(self) -> None:
            seen = centre.acknowledgements.get(self.path.split("/")[-2])
            self._answer(200 if seen else 404, json.dumps(seen).encode())

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    centre.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield centre
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
