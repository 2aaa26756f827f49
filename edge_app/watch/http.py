"""``/metrics`` and ``/healthz`` on loopback: for the vehicle's own monitoring, never for the network."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from edge_app.core.errors import NetworkError

__all__ = ["HOST", "HealthServer"]

HOST = "127.0.0.1"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a scrape every few seconds is no event."""


class HealthServer:
    """Answers from its own threads while it is open; use as a context manager.

    Parameters
    ----------
    port
        0 lets the system choose; `port` then tells which.
    registry
        What ``/metrics`` shows.
    health
        Returns the body of ``/healthz``; status 200 if its ``fit`` is true, else 503.

    Raises
    ------
    NetworkError
        If the port is taken.
    """

    def __init__(self, port: int, registry: CollectorRegistry, health: Callable[[], dict[str, Any]]) -> None:
        self._metrics = make_wsgi_app(registry)
        self._health = health
        try:
            self._server = make_server(HOST, port, self._answer, server_class=_Server, handler_class=_Quiet)
        except OSError as error:
            raise NetworkError(
                f"port {port} for /metrics is taken: {error.strerror}", remedy="Choose another watch.metrics_port."
            ) from error
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="metrics")

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start_response)
            return answer
        if path == "/healthz":
            body = self._health()
            start_response("200 OK" if body["fit"] else "503 Not Fit", [("Content-Type", "application/json")])
            return [json.dumps(body).encode()]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics or /healthz\n"]
