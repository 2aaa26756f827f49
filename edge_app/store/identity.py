"""Whose bytes are these: the UIDs of an encoded data set, read without touching what lies behind them.

Only the attributes up to group 0020 are parsed, so pixels are never decoded, and a peer's broken pixel data cannot
harm the process that keeps the promise made to the scanner.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from io import BytesIO

from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from edge_app.core.damage import PYDICOM_ERRORS
from edge_app.core.errors import HeaderError

__all__ = ["Identity", "read_identity"]

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_PATIENT_ID = 0x00100020
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_NAMES = {
    _SOP_CLASS_UID: "SOPClassUID",
    _SOP_INSTANCE_UID: "SOPInstanceUID",
    _STUDY_INSTANCE_UID: "StudyInstanceUID",
    _SERIES_INSTANCE_UID: "SeriesInstanceUID",
}

_UID = re.compile(r"[0-9.]{1,64}")
"""PS3.5 Section 9.1, but tolerant of leading zeros in a component, which some devices write."""

INFLATE_LIMIT_BYTES = 1 << 20
"""How much of a deflated data set is inflated to find the UIDs: a bomb stays small, a header always fits."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The attributes by which the ledger knows an instance. `patient_id` may be empty (type 2)."""

    sop_uid: str
    sop_class_uid: str
    series_uid: str
    study_uid: str
    patient_id: str


def read_identity(content: bytes | memoryview, transfer_syntax_uid: str) -> Identity:
    """Read the identity of an encoded data set (PS3.10 without preamble and file meta information).

    Parameters
    ----------
    content
        The data set as received, in `transfer_syntax_uid`.

    Raises
    ------
    HeaderError
        If the bytes are not a data set in that transfer syntax, or a UID is missing or not one.
    """
    syntax = UID(transfer_syntax_uid)
    found: dict[int, bytes] = {}
    try:
        if syntax == DeflatedExplicitVRLittleEndian:
            # PS3.5 Annex A.5: raw deflate (RFC 1951), no zlib header.
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(bytes(content), INFLATE_LIMIT_BYTES)
        elements = data_element_generator(
            BytesIO(content), syntax.is_implicit_VR, syntax.is_little_endian, stop_when=_is_behind
        )
        for element in elements:
            if element.tag in _NAMES or element.tag == _PATIENT_ID:
                found[int(element.tag)] = bytes(element.value or b"")
    except PYDICOM_ERRORS as error:
        raise HeaderError(
            f"data set cannot be read as {syntax.name}: {type(error).__name__}",
            remedy="The sender's export is broken, or it names the wrong transfer syntax.",
        ) from error
    return Identity(
        sop_uid=_uid(found, _SOP_INSTANCE_UID),
        sop_class_uid=_uid(found, _SOP_CLASS_UID),
        series_uid=_uid(found, _SERIES_INSTANCE_UID),
        study_uid=_uid(found, _STUDY_INSTANCE_UID),
        patient_id=_text(found.get(_PATIENT_ID, b"")),
    )


def _is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > _SERIES_INSTANCE_UID


def _uid(found: dict[int, bytes], tag: int) -> str:
    value = found.get(tag, b"").decode("ascii", "replace").strip("\0 ")
    if not _UID.fullmatch(value):
        problem = "is not a UID" if value else "is missing"
        raise HeaderError(f"{_NAMES[tag]} {problem}", remedy="Ask the scanner's vendor: the object is not valid.")
    return value


def _text(value: bytes) -> str:
    # The ledger only tells patients apart by it; what a person reads comes from the worker's header parser, which
    # knows SpecificCharacterSet. Latin-1 never fails, so that no name can keep an image out.
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return text.strip("\0 ")
