"""TLS towards destinations, after the BCP 195 profile (PS3.15 Annex B.9): TLS 1.2 or later, both sides known."""

from __future__ import annotations

import ssl

from edge_app.core.config import DeliverySettings
from edge_app.core.errors import ConfigError

__all__ = ["client_context"]


def client_context(settings: DeliverySettings) -> ssl.SSLContext:
    """Return the context for all destinations: the authorities we trust and, if there is one, our certificate.

    Raises
    ------
    ConfigError
        If one of the files cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.tls_authority or None)
        if settings.tls_certificate:
            context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"delivery.tls_authority, tls_certificate or tls_key cannot be read: {error}",
            remedy="Name files in PEM format; `msu certs --out DIR` makes some to try with.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
