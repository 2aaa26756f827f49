"""`msu certs`: an authority for tests and for a vehicle without a hospital PKI, and the key pairs that it signs.

Each pair is good for both sides of a connection (PS3.15 Annex B.9 asks both to show a certificate). RSA, because not
every scanner's TLS knows elliptic-curve certificates; PS3.15 Annex B.10 asks for 2048 bits at least.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_app.core.clock import utc_now
from edge_app.core.errors import ConfigError

__all__ = ["make_certificates"]

KEY_BITS = 3072
AUTHORITY = "authority"
_CLOCK_SLACK = datetime.timedelta(days=1)
"""Certificates are good from a day ago: the clocks of vehicle and scanner differ."""


def make_certificates(
    folder: Path, names: Sequence[str], *, hosts: Sequence[str] = ("localhost", "127.0.0.1"), days: int = 365
) -> dict[str, str]:
    """Write ``authority.pem`` and, for each name, ``NAME.pem`` and ``NAME.key.pem``; keys are readable by us alone.

    Parameters
    ----------
    hosts
        Host names and IP addresses for the certificates (subjectAltName).
    days
        How long they are good.

    Returns
    -------
    dict
        For each name the SHA-256 of its certificate in lower-case hex, as ``receiver.peers`` wants it.

    Raises
    ------
    ConfigError
        If a file is there already: a new authority would shut out everybody who trusts the old one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority_key = _make_key()
    authority_name = _name("MSU-TRIAGE TEST AUTHORITY")
    authority = _sign(_builder(authority_name, authority_name, authority_key, days, is_authority=True), authority_key)
    _write_certificate(folder / f"{AUTHORITY}.pem", authority)
    _write_key(folder / f"{AUTHORITY}.key.pem", authority_key)
    fingerprints = {}
    for name in names:
        key = _make_key()
        builder = _builder(_name(name), authority_name, key, days, is_authority=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        certificate = _sign(builder, authority_key)
        _write_certificate(folder / f"{name}.pem", certificate)
        _write_key(folder / f"{name}.key.pem", key)
        fingerprints[name] = certificate.fingerprint(hashes.SHA256()).hex()
    return fingerprints


def _make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, days: int, *, is_authority: bool
) -> x509.CertificateBuilder:
    now = utc_now()
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if is_authority:
        return builder
    both_sides = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return builder.add_extension(both_sides, critical=False)


def _sign(builder: x509.CertificateBuilder, authority_key: rsa.RSAPrivateKey) -> x509.Certificate:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return builder.add_extension(identifier, critical=False).sign(authority_key, hashes.SHA256())


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    _write(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _write_key(path: Path, key: rsa.RSAPrivateKey) -> None:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _write(path, key.private_bytes(encoding, form, serialization.NoEncryption()), 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already", remedy="Give `msu certs` a new folder.") from error
    with os.fdopen(handle, "wb") as file:
        file.write(content)
