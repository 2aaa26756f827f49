from __future__ import annotations

import pytest

from edge_app.core.config import Settings
from edge_app.core.errors import ConfigError
from edge_app.delivery.address import Address, Protocol, parse_address

ADDRESSES = {
    "CSC A@10.1.2.3:104": ("CSC A", "10.1.2.3", 104, "", Protocol.DICOM, False),
    "CSC@[fd00::1]:104": ("CSC", "fd00::1", 104, "", Protocol.DICOM, False),
    "dicom://CSC@centre:104": ("CSC", "centre", 104, "", Protocol.DICOM, False),
    "dicoms://CSC@centre:2762": ("CSC", "centre", 2762, "", Protocol.DICOM, True),
    "stow+https://centre/dicom-web/": ("", "centre", 443, "/dicom-web", Protocol.STOW, True),
    "stow+http://127.0.0.1:8042/dicom-web": ("", "127.0.0.1", 8042, "/dicom-web", Protocol.STOW, False),
    "fhir+https://centre:8443/fhir": ("", "centre", 8443, "/fhir", Protocol.FHIR, True),
    "hl7://10.1.2.3:2575": ("", "10.1.2.3", 2575, "", Protocol.HL7, False),
    "hl7s://record:2576": ("", "record", 2576, "", Protocol.HL7, True),
    "notify+https://centre": ("", "centre", 443, "", Protocol.NOTIFY, True),
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_is_read_from_its_text(text: str) -> None:
    aet, host, port, path, protocol, tls = ADDRESSES[text]
    assert parse_address(text) == Address(text, protocol, host, port, tls, aet=aet, path=path)


@pytest.mark.parametrize("text", ADDRESSES)
def test_the_settings_take_every_form(text: str) -> None:
    settings = Settings().replaced(delivery={"destination": text, "also": [text], "alternatives": [text]})
    assert settings.delivery.also == (text,)


@pytest.mark.parametrize(
    "text", ["centre", "ftp://centre", "https://centre/x", "stow+https://u:p@centre/x", "CSC@centre", "hl7://record"]
)
def test_the_settings_refuse_others(text: str) -> None:
    with pytest.raises(ConfigError):
        Settings().replaced(delivery={"destination": text})


def test_only_dicom_destinations_take_images() -> None:
    assert [protocol for protocol in Protocol if protocol.takes_images] == [Protocol.DICOM, Protocol.STOW]
