"""Objects that a scanner would never send: each is encoded bytes, and how a C-STORE request announces them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.instances import Instance, encode, make_instance
from tests.stored_studies import ct_slice

__all__ = ["FOREIGN_PIXELS", "NO_OBJECTS"]

_SIZ = b"\xff\x4f\xff\x51"
_UNDEFINED = b"\xff\xff\xff\xff"
_ITEM = b"\xfe\xff\x00\xe0" + _UNDEFINED


def _announced(content: bytes, syntax: str = ExplicitVRLittleEndian, sop_uid: str = "1.2.3") -> Instance:
    return Instance(content, sop_uid, CTImageStorage, syntax)


def _nested_before_the_uids(depth: int) -> Instance:
    # Icon Image Sequence (0008,1110) inside itself, before any study.
    sequence = b"\x08\x00\x10\x11SQ\x00\x00" + _UNDEFINED + _ITEM
    return _announced(sequence * depth)


def _with_length(length: int) -> Instance:
    content = bytearray(make_instance("1.2.3").content)
    at = content.find(b"\x20\x00\x0d\x00UI") + 6
    struct.pack_into("<H", content, at, length)
    return _announced(bytes(content))


def _uid(value: str) -> Instance:
    content = make_instance("1.2.3").content
    old = b"\x20\x00\x0e\x00UI" + struct.pack("<H", 30) + b"1.2.826.0.1.3680043.8.498.1.1\0"
    assert old in content
    raw = value.encode("utf-8") + b"\0" * (len(value.encode("utf-8")) % 2)
    return _announced(content.replace(old, b"\x20\x00\x0e\x00UI" + struct.pack("<H", len(raw)) + raw))


def _bomb() -> Instance:
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    zeros = bytes(1 << 20)
    packed = b"".join(deflate.compress(zeros) for _ in range(300)) + deflate.flush()
    return _announced(packed, DeflatedExplicitVRLittleEndian)


NO_OBJECTS: dict[str, Callable[[], Instance]] = {
    "nothing": lambda: _announced(b""),
    "noise": lambda: _announced(bytes(range(256)) * 20),
    "all ones": lambda: _announced(b"\xff" * 4096),
    "implicit announced as explicit": lambda: _announced(
        make_instance(transfer_syntax_uid=ImplicitVRLittleEndian).content
    ),
    "little endian announced as big": lambda: _announced(make_instance().content, ExplicitVRBigEndian),
    "plain announced as deflated": lambda: _announced(make_instance().content, DeflatedExplicitVRLittleEndian),
    "deflated bomb of 300 MiB zeros": _bomb,
    "5000 sequences in each other": lambda: _nested_before_the_uids(5000),
    "StudyInstanceUID of 65535 bytes": lambda: _with_length(65535),
    "StudyInstanceUID of one byte": lambda: _with_length(1),
    "cut off in the middle of the header": lambda: _announced(make_instance("1.2.3").content[:400]),
    "path in a UID": lambda: _uid("../../../../etc/passwd"),
    "absolute path in a UID": lambda: _uid("/etc/cron.d/x"),
    "shell in a UID": lambda: _uid("1.2;reboot;`id`$(id)"),
    "null byte in a UID": lambda: _uid("1.2\0.3"),
    "line break in a UID": lambda: _uid("1.2\n1.3"),
    "UID of 300 characters": lambda: _uid("1." * 150),
    "Unicode in a UID": lambda: _uid("1.2.３"),
    "another instance than announced": lambda: _announced(make_instance("1.2.4").content),
}
"""What cannot be taken in: answered with a failure, and kept in quarantine with the reason."""


def _pixels(number: int, syntax: str = ExplicitVRLittleEndian, **changes: object) -> Instance:
    dataset = ct_slice(66, number)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return _encoded(dataset, syntax)


def _encoded(dataset: Dataset, syntax: str) -> Instance:
    if "PixelData" in dataset and syntax not in (ExplicitVRLittleEndian, ExplicitVRBigEndian):
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    return Instance(encode(dataset, syntax), dataset.SOPInstanceUID, CTImageStorage, syntax)


def _compressed(number: int, syntax: str, damage: Callable[[bytearray], bytes]) -> Instance:
    dataset = ct_slice(66, number)
    dataset.compress(JPEG2000Lossless if syntax == HTJ2KLossless else syntax, generate_instance_uid=False)
    dataset.PixelData = damage(bytearray(dataset.PixelData))
    return _encoded(dataset, syntax)


def _claim(rows: int, columns: int) -> Callable[[bytearray], bytes]:
    def damage(data: bytearray) -> bytes:
        at = data.find(_SIZ)
        data[at + 8 : at + 16] = struct.pack(">II", columns, rows)
        return bytes(data)

    return damage


def _claim_jpegls(data: bytearray) -> bytes:
    at = data.find(b"\xff\xf7")
    struct.pack_into(">HH", data, at + 5, 65535, 65535)
    return bytes(data)


def _cut_in_half(data: bytearray) -> bytes:
    return bytes(data[: len(data) // 2])


def _noise_inside(data: bytearray) -> bytes:
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(range(64))
    return bytes(data)


def _jpeg_of(rows: int, columns: int) -> bytes:
    frame = b"\xff\xc3" + struct.pack(">HBHHBBBB", 11, 16, rows, columns, 1, 1, 0x11, 0)
    table = b"\xff\xc4" + struct.pack(">HB", 20, 0) + b"\x01" + bytes(15) + b"\x00"
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0)
    return b"\xff\xd8" + frame + table + scan + bytes(400) + b"\xff\xd9"


def _nested_behind_the_uids(number: int, depth: int) -> Instance:
    plain = _pixels(number)
    sequence = b"\x00\x54\x00\x01SQ\x00\x00" + _UNDEFINED + _ITEM  # Waveform Sequence (5400,0100)
    end = b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
    at = plain.content.find(b"\xe0\x7f\x10\x00")
    return replace(plain, content=plain.content[:at] + sequence * depth + end * depth + plain.content[at:])


FOREIGN_PIXELS: dict[str, Callable[[], Instance]] = {
    "65535 x 65535 claimed in the header": lambda: _pixels(1, Rows=65535, Columns=65535),
    "65535 x 65535 claimed by JPEG 2000": lambda: _compressed(2, JPEG2000Lossless, _claim(65535, 65535)),
    "2^31 x 2^31 claimed by HTJ2K": lambda: _compressed(3, HTJ2KLossless, _claim(1 << 31, 1 << 31)),
    "65535 x 65535 claimed by JPEG-LS": lambda: _compressed(4, JPEGLSLossless, _claim_jpegls),
    "65535 x 65535 claimed by JPEG lossless": lambda: _pixels(
        5, JPEGLosslessSV1, PixelData=encapsulate([_jpeg_of(65535, 65535)])
    ),
    "JPEG lossless of the right size, noise inside": lambda: _pixels(
        6, JPEGLosslessSV1, PixelData=encapsulate([_jpeg_of(64, 64)])
    ),
    "JPEG 2000 cut in half": lambda: _compressed(7, JPEG2000Lossless, _cut_in_half),
    "JPEG-LS cut in half": lambda: _compressed(8, JPEGLSLossless, _cut_in_half),
    "RLE cut in half": lambda: _compressed(9, RLELossless, _cut_in_half),
    "JPEG 2000 with noise inside": lambda: _compressed(10, JPEG2000Lossless, _noise_inside),
    "JPEG-LS with noise inside": lambda: _compressed(11, JPEGLSLossless, _noise_inside),
    "HTJ2K that is none": lambda: _compressed(12, HTJ2KLossless, _noise_inside),
    "RLE whose segments lie behind the end": lambda: _pixels(
        13, RLELossless, PixelData=encapsulate([struct.pack("<16L", 2, 64, 0xFFFFFFF0, *[0] * 13) + bytes(100)])
    ),
    "RLE with a billion segments": lambda: _pixels(
        14, RLELossless, PixelData=encapsulate([struct.pack("<16L", 1 << 30, *[64] * 15) + bytes(100)])
    ),
    "no frames in the fragments": lambda: _pixels(15, JPEG2000Lossless, PixelData=encapsulate([b"\0\0"])),
    "pixels behind the end": lambda: _pixels(16, PixelData=b"\0" * 100),
    "32 bits allocated": lambda: _pixels(17, BitsAllocated=32),
    "more bits stored than allocated": lambda: _pixels(18, BitsStored=64, HighBit=63),
    "a million frames": lambda: _pixels(19, NumberOfFrames="1000000"),
    "rescale slope that is no number": lambda: _pixels(20, RescaleSlope="nan"),
    "rescale slope beyond all numbers": lambda: _pixels(21, RescaleSlope="1e308"),
    "sequences 5000 deep behind the UIDs": lambda: _nested_behind_the_uids(22, 5000),
    "path and shell in the names": lambda: _pixels(
        23, PatientName="../../x^;reboot`id`$(id)|<b>", SeriesDescription="\x1b]0;title\x07%n%s{0}"
    ),
}
"""What is a CT slice by its header and is stored; the worker decodes it, or says why it cannot."""
