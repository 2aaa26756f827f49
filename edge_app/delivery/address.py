"""Destinations as the settings write them.

====================================  ================================================================================
``AE@HOST:PORT``                      DICOM (also ``dicom://AE@HOST:PORT``)
``dicoms://AE@HOST:PORT``             DICOM over TLS (PS3.15 Annex B.9)
``stow+https://HOST/dicom-web``       DICOMweb STOW-RS (PS3.18 Section 10.5)
``fhir+https://HOST/fhir``            FHIR R4: one transaction for each revision of a result, no images
``hl7://HOST:PORT``                   HL7 v2.5.1 (MLLP): one ORU^R01 for each revision of a result, no images
``hl7s://HOST:PORT``                  the same over TLS
``notify+https://HOST/results``       the 4 KB message as JSON, and the centre's acknowledgement back; no images
====================================  ================================================================================

``http`` in the place of ``https`` is for tests and for what already runs inside a tunnel.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

__all__ = ["Address", "Protocol", "parse_address"]


class Protocol(Enum):
    """How a destination is spoken to."""

    DICOM = "dicom"
    STOW = "stow"
    FHIR = "fhir"
    HL7 = "hl7"
    NOTIFY = "notify"

    @property
    def takes_images(self) -> bool:
        """Tell whether images go there, or only what is said about them."""
        return self in (Protocol.DICOM, Protocol.STOW)


@dataclass(frozen=True, slots=True)
class Address:
    """A destination. `text` is what the settings say and what the ledger files the proofs under."""

    text: str
    protocol: Protocol
    host: str
    port: int
    tls: bool
    aet: str = ""
    path: str = ""


def parse_address(text: str) -> Address:
    """Read a destination; the settings have checked its form."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "dicom", text
    if scheme in ("dicom", "dicoms"):
        aet, _, address = rest.rpartition("@")
        host, _, port = address.rpartition(":")
        return Address(text, Protocol.DICOM, host.strip("[]"), int(port), scheme == "dicoms", aet=aet)
    if scheme in ("hl7", "hl7s"):
        host, _, port = rest.rpartition(":")
        return Address(text, Protocol.HL7, host, int(port), scheme == "hl7s")
    kind, _, transport = scheme.partition("+")
    tls = transport == "https"
    parts = urlsplit(f"{transport}://{rest}")
    port_number = parts.port or (443 if tls else 80)
    return Address(text, Protocol(kind), parts.hostname or "", port_number, tls, path=parts.path.rstrip("/"))
