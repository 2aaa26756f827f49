"""Are the keys there that links and trust depend on? A missing one is noticed now, not when the scanner calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from edge_app.core.clock import UtcClock, utc_now
from edge_app.core.config import Settings
from edge_app.core.findings import Finding

__all__ = ["SOON", "check_keys"]

SOON = timedelta(days=14)
"""A certificate that ends within this is remarked on."""

_REMEDY = "Put the file where the settings name it, readable for this user (deploy/runbook.md, F-07)."


def check_keys(settings: Settings, *, now: UtcClock = utc_now) -> Finding:
    """Look at every certificate, key and authority that the settings name."""
    problems, remarks, looked = [], [], 0
    for what, certificate, key, authority in _wanted(settings):
        for path in filter(None, (certificate, key, authority)):
            looked += 1
            try:
                Path(path).read_bytes()
            except OSError as error:
                problems.append(f"{what}: {Path(path).name}: {error.strerror}")
        if problems:
            continue
        try:
            problem, remark = _judge(certificate, key, now)
        except (ValueError, TypeError) as error:
            problem, remark = f"cannot be read: {error}", ""
        problems += [f"{what}: {problem}"] if problem else []
        remarks += [f"{what}: {remark}"] if remark else []
    if problems:
        return Finding("Keys", False, "; ".join(problems), _REMEDY, "F-07")
    found = "; ".join(remarks) or (f"{looked} files in order" if looked else "none wanted by the settings")
    return Finding("Keys", True, found, "", "F-07")


def _wanted(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    receiver, delivery, worklist = settings.receiver, settings.delivery, settings.worklist
    if receiver.tls:
        yield "receiver", receiver.tls_certificate, receiver.tls_key, receiver.tls_authority
    yield "delivery", delivery.tls_certificate, delivery.tls_key, delivery.tls_authority
    yield "worklist", worklist.tls_certificate, worklist.tls_key, worklist.tls_authority
    for trusted in settings.analysis.trusted_keys:
        yield "trusted key", "", "", trusted


def _judge(certificate: str, key: str, now: UtcClock) -> tuple[str, str]:
    """Return (problem, remark) of a certificate and its key."""
    if not certificate:
        return "", ""
    shown = x509.load_pem_x509_certificates(Path(certificate).read_bytes())[0]
    if key:
        private = load_pem_private_key(Path(key).read_bytes(), password=None)
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if private.public_key().public_bytes(*form) != shown.public_key().public_bytes(*form):
            return "key and certificate do not belong together", ""
    ends = shown.not_valid_after_utc
    if ends <= now():
        return f"certificate ended on {ends:%Y-%m-%d}", ""
    return "", f"certificate ends on {ends:%Y-%m-%d}" if ends - now() < SOON else ""
