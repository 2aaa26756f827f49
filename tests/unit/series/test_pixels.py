"""Stored pixels become HU in the standard orientation; size claims are checked before decoding."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from edge_app.core.errors import PixelError
from edge_app.core.types import SliceImage
from edge_app.series import decode_slice, read_header
from edge_app.series.codestream import claimed_size, is_irreversible_jpeg2000
from edge_app.series.pixels import turn_to_standard
from tests.slices import dataset

LOSSLESS = {
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
}


def _decode(ds: pydicom.Dataset) -> SliceImage:
    return decode_slice(ds, read_header(ds))


def test_stored_values_become_hu_and_the_array_is_read_only() -> None:
    image = _decode(dataset(np.full((20, 30), 1064, np.uint16)))
    assert image.hu.dtype == np.int16
    assert (image.hu == 40).all()
    assert image.spacing_mm == (0.5, 0.4)
    assert not image.hu.flags.writeable


def test_fractional_slopes_and_signed_pixels_are_rounded() -> None:
    image = _decode(dataset(np.array([[-2, -1], [1, 2]], np.int16), RescaleSlope="1.5", RescaleIntercept="0.2"))
    assert image.hu.tolist() == [[-3, -1], [2, 3]]


def test_whole_slopes_other_than_one_scale() -> None:
    assert _decode(dataset(np.full((4, 4), 20, np.int16), RescaleSlope="2", RescaleIntercept="0")).hu[0, 0] == 40


def test_padding_becomes_air() -> None:
    stored = np.array([[0, 500], [524, 5000]], np.int16)
    assert _decode(dataset(stored, PixelPaddingValue=5000)).hu.tolist() == [[-1024, -524], [-500, -1000]]
    ranged = _decode(dataset(stored, PixelPaddingValue=500, PixelPaddingRangeLimit=524))
    assert ranged.hu.tolist() == [[-1024, -1000], [-1000, 3976]]
    assert _decode(dataset(stored, RescaleIntercept="-2000")).hu[0, 0] == -1000


def test_values_beyond_int16_are_clipped() -> None:
    image = _decode(dataset(np.full((2, 2), 60000, np.uint16), RescaleIntercept="0"))
    assert (image.hu == 32767).all()


@pytest.mark.parametrize("syntax", LOSSLESS, ids=LOSSLESS.values())
def test_lossless_syntaxes_decode_to_the_same_hu(syntax: str) -> None:
    plain = dataset(np.random.default_rng(1).integers(0, 4000, (64, 48)).astype(np.uint16))
    packed = dataset(plain.pixel_array)
    packed.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(_decode(packed).hu, _decode(plain).hu)
    assert not read_header(packed).lossy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"RescaleSlope": None}, "RescaleSlope"),
        ({"RescaleIntercept": None}, "RescaleIntercept"),
        ({"PixelSpacing": None}, "PixelSpacing"),
        ({"NumberOfFrames": "2"}, "NumberOfFrames is 2"),
        ({"SamplesPerPixel": 3}, "no CT image"),
        ({"PhotometricInterpretation": "RGB"}, "no CT image"),
        ({"BitsAllocated": 32}, "BitsAllocated"),
        ({"Rows": 65535, "Columns": 65535}, "65535"),
        ({"Rows": 0}, "0 × 48"),
        ({"Rows": 63}, "bytes instead of"),
        ({"PixelData": b""}, "no PixelData"),
        ({"BitsStored": 20}, "cannot be decoded"),
    ],
)
def test_claims_that_do_not_hold_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PixelError, match=words):
        _decode(dataset(**changes))


def test_an_unknown_transfer_syntax_is_refused() -> None:
    with pytest.raises(PixelError, match=r"1\.2\.3\.4\.5"):
        _decode(dataset(syntax="1.2.3.4.5"))


def test_a_decoder_that_returns_another_shape_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    ds = dataset()
    monkeypatch.setattr(type(ds), "pixel_array", property(lambda _: np.zeros((2, 64, 48), np.uint16)))
    with pytest.raises(PixelError, match="not one plane"):
        _decode(ds)


def test_a_code_stream_that_claims_another_size_is_refused_before_decoding() -> None:
    ds = dataset()
    ds.compress("1.2.840.10008.1.2.4.90", generate_instance_uid=False)
    data = bytearray(ds.PixelData)
    at = data.find(b"\xff\x4f\xff\x51")
    data[at + 8 : at + 16] = struct.pack(">II", 65535, 65535)
    ds.PixelData = bytes(data)
    with pytest.raises(PixelError, match="65535 × 65535"):
        _decode(ds)


def test_more_compressed_bytes_than_pixels_are_refused() -> None:
    ds = dataset(syntax="1.2.840.10008.1.2.5", PixelData=encapsulate([bytes(200_000)]))
    with pytest.raises(PixelError, match="compressed PixelData"):
        _decode(ds)


def test_sizes_are_read_from_jpeg_frame_headers() -> None:
    ds = dataset()
    ds.compress("1.2.840.10008.1.2.4.80", generate_instance_uid=False)
    assert claimed_size(ds.PixelData) == (64, 48)
    assert claimed_size(b"nothing like it") is None
    assert claimed_size(b"\xff\xd8\xff\xd9\xff") is None
    assert claimed_size(b"\xff\x4f\xff\x51\0\0") is None


def test_the_irreversible_transform_of_jpeg_2000_is_seen() -> None:
    cod = b"\xff\x4f\xff\x51" + bytes(38) + b"\xff\x52" + bytes([0, 12, 0, 0, 0, 1, 0, 5, 4, 4, 0])
    assert is_irreversible_jpeg2000(cod + b"\0")
    assert not is_irreversible_jpeg2000(cod + b"\1")
    assert not is_irreversible_jpeg2000(cod)
    assert not is_irreversible_jpeg2000(b"")
    ds = dataset()
    ds.compress("1.2.840.10008.1.2.4.90", generate_instance_uid=False)
    assert not is_irreversible_jpeg2000(ds.PixelData)


LEFT, BACK = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
MARKED = np.arange(6, dtype=np.int16).reshape(2, 3)


def _minus(direction: tuple[float, float, float]) -> tuple[float, float, float]:
    return (-direction[0], -direction[1], -direction[2])


@pytest.mark.parametrize(
    ("along_row", "along_column", "stored"),
    [
        (LEFT, BACK, MARKED),
        (_minus(LEFT), BACK, MARKED[:, ::-1]),
        (LEFT, _minus(BACK), MARKED[::-1]),
        (_minus(LEFT), _minus(BACK), MARKED[::-1, ::-1]),
        (BACK, LEFT, MARKED.T),
        (_minus(BACK), LEFT, MARKED.T[:, ::-1]),
        (BACK, _minus(LEFT), MARKED.T[::-1]),
        (_minus(BACK), _minus(LEFT), MARKED.T[::-1, ::-1]),
    ],
)
def test_every_way_of_storing_a_slice_turns_to_the_standard(
    along_row: tuple[float, float, float], along_column: tuple[float, float, float], stored: np.ndarray[Any, Any]
) -> None:
    spacing = (0.5, 0.4) if stored.shape == (2, 3) else (0.4, 0.5)
    turned, turned_spacing = turn_to_standard(stored, (*along_row, *along_column), spacing)
    np.testing.assert_array_equal(turned, MARKED)
    assert turned_spacing == (0.5, 0.4)
    assert turned.flags.c_contiguous


def test_a_sagittal_slice_and_one_without_orientation_stay_as_stored() -> None:
    for orientation in ((0.0, 1.0, 0.0, 0.0, 0.0, -1.0), None):
        turned, spacing = turn_to_standard(MARKED, orientation, (0.5, 0.4))
        np.testing.assert_array_equal(turned, MARKED)
        assert spacing == (0.5, 0.4)
