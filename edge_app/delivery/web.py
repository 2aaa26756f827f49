"""Destinations that speak HTTP: DICOMweb STOW-RS (PS3.18 Section 10.5), FHIR R4, and notifications."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import netrc
import secrets
import ssl
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from edge_app.core.config import DeliverySettings
from edge_app.core.errors import ConfigError, NetworkError, SendError
from edge_app.delivery.address import Address, Protocol
from edge_app.delivery.calls import Calls, prepare_socket
from edge_app.delivery.compress import SMALLER, compressed, is_compressible
from edge_app.delivery.items import Item
from edge_app.delivery.link import Receipt
from edge_app.delivery.pace import Pace

__all__ = ["WebLink"]

_CHUNK_BYTES = 64 * 1024
_OUT_OF_ROOM = 0xA700
_CANNOT = 0xC000
_NOT_NOW = frozenset({401, 403, 404, 408, 425, 429, 500, 502, 503, 504})
"""Said of the server (or of our way in), not of the object: everything waits, and nothing is given up."""


class WebLink:
    """A connection to an HTTP destination; use as a context manager.

    It is opened with the first request, kept open for the following ones, and cut like an association.
    """

    def __init__(
        self,
        address: Address,
        settings: DeliverySettings,
        go_on: Callable[[], bool],
        *,
        tls: ssl.SSLContext | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._address = address
        self._settings = settings
        self._calls = Calls(go_on, pace)
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None
        self._authorisation = _authorisation(address, settings)

    def __enter__(self) -> WebLink:
        self._calls.run(self._connect)
        return self

    def __exit__(self, *_: object) -> None:
        self._calls.cut()
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()

    def send(self, item: Item, *, smaller: bool = False) -> Receipt:
        """Send one object and return the server's answer as a DIMSE status; see `edge_app.delivery.link.Sender`."""
        if item.is_document:
            return self._send_document(item)
        content = item.path.read_bytes()
        syntax = item.transfer_syntax_uid
        if smaller and is_compressible(item):
            dataset = compressed(item, SMALLER)
            if dataset is not None:
                content, syntax = _file_bytes(dataset), str(dataset.file_meta.TransferSyntaxUID)
        boundary = secrets.token_hex(16)
        body = b"".join(
            (
                # Without "transfer-syntax": Orthanc passes over a part that has this parameter, and says 200.
                f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
                content,
                f"\r\n--{boundary}--\r\n".encode(),
            )
        )
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        status, answer = self.request("POST", "/studies", body, {"Content-Type": kind, "Accept": _DICOM_JSON})
        return Receipt(_stow_status(status, answer, item), syntax, len(body))

    def get_json(self, path: str) -> Any:
        """Return the JSON at a path below the destination's own, or None if there is none (204, 404)."""
        status, answer = self.request("GET", path, None, {"Accept": f"{_DICOM_JSON}, application/json"})
        if status in (204, 404):
            return None
        if status != 200:
            raise NetworkError(f"{self._address.text} answered {status}", remedy="It is tried again by itself.")
        try:
            return json.loads(answer or b"null")
        except ValueError as error:
            raise NetworkError(
                f"{self._address.text} answered no JSON", remedy="Check the destination's address."
            ) from error

    def request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """Make one request on the open connection and return status and content."""
        return self._calls.run(lambda: self._request(method, path, body, headers))

    def _send_document(self, item: Item) -> Receipt:
        content = item.path.read_bytes()
        fhir = self._address.protocol is Protocol.FHIR
        kind = "application/fhir+json" if fhir else "application/json"
        headers = {"Content-Type": kind, "Accept": kind}
        if not fhir:
            # Sent again after a break, it is the same notification (the id is derived from study and revision).
            headers["Idempotency-Key"] = item.sop_uid
        status, _ = self.request("POST", "" if fhir else "/", content, headers)
        if status == 409:
            return Receipt(0x0111, "", len(content))
        return Receipt(_status(status, self._address.text), "", len(content))

    def _connect(self) -> None:
        host, port, timeout_s = self._address.host, self._address.port, self._settings.connect_timeout_s
        if self._address.tls:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=timeout_s, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        self._connection = connection
        connection.connect()
        prepare_socket(connection.sock, self._settings.stalled_timeout_s)
        connection.sock.settimeout(self._settings.answer_timeout_s)
        self._calls.watch(connection.sock)

    def _request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        if self._connection is None or self._connection.sock is None:
            self._connect()  # the server closed it after the last answer
        connection = self._connection
        if connection is None:
            raise NetworkError("no connection", remedy="It is tried again by itself.")
        try:
            connection.request(
                method,
                (self._address.path + path) or "/",
                body=None if body is None else _pieces(body),
                headers={
                    **headers,
                    **self._authorisation,
                    **({} if body is None else {"Content-Length": str(len(body))}),
                },
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise NetworkError(f"the connection broke: {error!r}", remedy="It is tried again by itself.") from error


_DICOM_JSON = "application/dicom+json"


def _pieces(body: bytes) -> Iterator[bytes]:
    """Hand a body over in pieces: a connection that is cut then stops within one of them."""
    for start in range(0, len(body), _CHUNK_BYTES):
        yield body[start : start + _CHUNK_BYTES]


def _file_bytes(dataset: Any) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _status(status: int, who: str) -> int:
    if 200 <= status < 300:
        return 0x0000
    if status == 507:
        return _OUT_OF_ROOM
    if status in _NOT_NOW:
        raise NetworkError(f"{who} answered {status}", remedy="It is tried again by itself.")
    return _CANNOT


def _stow_status(status: int, answer: bytes, item: Item) -> int:
    """Return the DIMSE status in a STOW answer (PS3.18 Section I.2): who says 200 must also name the object.

    Raises
    ------
    SendError
        If the server takes no such objects.
    NetworkError
        If it is out of order.
    """
    if status == 415:
        raise SendError(
            f"the destination takes no {item.sop_class_uid} in {item.transfer_syntax_uid}",
            remedy="Ask the destination's administrator to allow it.",
        )
    if status not in (200, 202, 409):
        return _status(status, "the destination")
    try:
        body = json.loads(answer)
        failed = {_value(entry, "00081155"): _value(entry, "00081197") for entry in _values(body, "00081198")}
        stored = {_value(entry, "00081155") for entry in _values(body, "00081199")}
    except (ValueError, AttributeError, TypeError):
        # Some servers answer in XML whatever they were asked for; what they hold is asked afterwards.
        return 0x0000 if status == 200 else _CANNOT
    if item.sop_uid in stored:
        return 0x0000
    reason = failed.get(item.sop_uid, _CANNOT)
    return reason if isinstance(reason, int) else _CANNOT


def _values(body: dict[str, Any], tag: str) -> list[Any]:
    return list(body.get(tag, {}).get("Value", []))


def _value(body: dict[str, Any], tag: str) -> Any:
    values = _values(body, tag)
    return values[0] if values else None


def _authorisation(address: Address, settings: DeliverySettings) -> dict[str, str]:
    """Return the header with user and password from the netrc file, where it knows the host."""
    if not settings.credentials:
        return {}
    try:
        known = netrc.netrc(settings.credentials).authenticators(address.host)
    except (OSError, netrc.NetrcParseError) as error:
        raise ConfigError(
            f"delivery.credentials = {settings.credentials!r} cannot be read: {error}",
            remedy="Write `machine HOST login USER password PASSWORD`, readable by this program only.",
        ) from error
    if known is None:
        return {}
    user, _, password = known
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
