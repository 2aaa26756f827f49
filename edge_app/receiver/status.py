"""The rim where our errors become DIMSE status codes.

C-STORE response status: PS3.4 Annex B.2.3, Table B.2-1. The codes within A7xx, A9xx and Cxxx are ours to choose;
deploy's conformance statement lists them.
"""

from __future__ import annotations

from edge_app.core.errors import DiskFullError, InputError, MismatchError, MsuError

__all__ = ["SUCCESS", "status_of"]

SUCCESS = 0x0000
"""The bytes are on disk, synced and in the ledger; nothing less is answered with it."""

OUT_OF_RESOURCES = 0xA700
"""Refused: Out of Resources. Not enough disk space; the sender may try again later."""

CANNOT_STORE = 0xA701
"""Refused: Out of Resources. The disk or the ledger failed; also worth another try."""

MISMATCH = 0xA900
"""Error: Data Set does not match SOP Class. The object is not the one that the request announced."""

CANNOT_UNDERSTAND = 0xC000
"""Error: Cannot understand. The data set cannot be identified; sending it again will not help."""


def status_of(error: MsuError) -> int:
    """Return the C-STORE status that tells the sender what to do about an error."""
    if isinstance(error, DiskFullError):
        return OUT_OF_RESOURCES
    if isinstance(error, MismatchError):
        return MISMATCH
    if isinstance(error, InputError):
        return CANNOT_UNDERSTAND
    return CANNOT_STORE
