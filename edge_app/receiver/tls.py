"""DICOM over TLS by the BCP 195 profiles (PS3.15 Annex B.9 and B.10): TLS 1.2 or 1.3, and certificates on both sides.

The suites of TLS 1.2 are those that RFC 9325 Section 4.2 recommends and that keep past transfers secret when a key
leaks; all suites of TLS 1.3 do. Nothing older is negotiated, whatever the peer offers (B.10: non-downgrading).
"""

from __future__ import annotations

import hashlib
import ssl

from edge_app.core.config import ReceiverSettings, WorklistSettings
from edge_app.core.errors import ConfigError

__all__ = ["TLS_1_2_SUITES", "client_context", "fingerprint_of", "server_context", "worklist_context"]

TLS_1_2_SUITES = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
"""OpenSSL's names of the suites offered in TLS 1.2, best first."""


def server_context(settings: ReceiverSettings) -> ssl.SSLContext:
    """Return what the TLS port speaks.

    Raises
    ------
    ConfigError
        If a certificate or key cannot be read, or they do not belong together.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, settings)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    return context


def client_context(settings: ReceiverSettings) -> ssl.SSLContext:
    """Return what we speak to our own TLS port, with our own certificate; raises as `server_context`."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, settings)
    # The port is called by whatever address it listens on; that it holds our own key is checked by the handshake.
    context.check_hostname = False
    return context


def worklist_context(settings: WorklistSettings) -> ssl.SSLContext:
    """Return what we speak to a worklist over TLS: its certificate must name its host; raises as `server_context`."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, settings)


def fingerprint_of(connection: object) -> str:
    """Return the SHA-256 of the peer's certificate in lower-case hex, or an empty string on a plain connection."""
    if not isinstance(connection, ssl.SSLSocket):
        return ""
    certificate = connection.getpeercert(binary_form=True)
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def _context(protocol: int, settings: ReceiverSettings | WorklistSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(TLS_1_2_SUITES))
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password=_no_password)
        context.load_verify_locations(settings.tls_authority)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"TLS cannot be set up with {settings.tls_certificate}, {settings.tls_key} and {settings.tls_authority}: "
            f"{getattr(error, 'reason', None) or error}",
            remedy="Give a PEM certificate, its unencrypted key, and the authority's certificate; see `msu certs`.",
        ) from error
    return context


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal, and a service would wait for ever.
    raise ValueError("the private key is encrypted")
