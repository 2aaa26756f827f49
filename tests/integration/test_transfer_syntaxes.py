"""[R12] Each CT transfer syntax, made by real encoders (dcmtk, OpenJPH, OpenJPEG), received and decoded to equal HU."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from edge_app.receiver.contexts import IMAGE_SYNTAXES
from edge_app.worker.reading import Reading, read_instance
from tests.integration.conftest import dcmtk
from tests.integration.receiving import associating, receiving, send
from tests.stored_studies import ct_slice

pytestmark = pytest.mark.integration

DCMTK = {
    ImplicitVRLittleEndian: ("dcmconv", "+ti"),
    ExplicitVRBigEndian: ("dcmconv", "+tb"),
    DeflatedExplicitVRLittleEndian: ("dcmconv", "+td"),
    RLELossless: ("dcmcrle",),
    JPEGLossless: ("dcmcjpeg", "+el"),
    JPEGLosslessSV1: ("dcmcjpeg", "+e1"),
    JPEGLSLossless: ("dcmcjpls", "+el"),
}
DCMTK_LOSSY = {JPEGBaseline8Bit: ("dcmcjpeg", "+eb"), JPEGLSNearLossless: ("dcmcjpls", "+en", "+md", "3")}


def _noisy() -> Dataset:
    """Return a slice with something to lose in it."""
    dataset = ct_slice(7, 1)
    noise = np.random.default_rng(7).integers(0, 300, (64, 64)).astype("<u2")
    dataset.PixelData = (np.frombuffer(dataset.PixelData, "<u2").reshape(64, 64) + noise).tobytes()
    return dataset


def _file(folder: Path, dataset: Dataset) -> Path:
    path = folder / "plain.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _encoded_by_dcmtk(folder: Path, dataset: Dataset, tool: str, *options: str) -> Dataset:
    coded = folder / "coded.dcm"
    # Without "unique instance UID": it is the same slice.
    same = ["+un"] if tool == "dcmcjpeg" else []
    subprocess.run([dcmtk(tool), *options, *same, str(_file(folder, dataset)), str(coded)], check=True, timeout=60)
    return dcmread(coded)


def _encoded_by_openjph(folder: Path, dataset: Dataset, syntax: str, *options: str) -> Dataset:
    encoder = shutil.which("ojph_compress")
    if encoder is None:
        pytest.skip("OpenJPH is not installed (deploy/system-packages.sh test)")
    pixels = np.frombuffer(dataset.PixelData, "<u2").reshape(64, 64)
    (folder / "slice.pgm").write_bytes(b"P5\n64 64\n65535\n" + pixels.astype(">u2").tobytes())
    target = folder / "slice.j2c"
    command = [encoder, "-i", str(folder / "slice.pgm"), "-o", str(target), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    # The code stream has 16 bits, as the picture file has.
    dataset.BitsStored, dataset.HighBit = 16, 15
    dataset.PixelData = encapsulate([target.read_bytes()])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def _received(folder: Path, dataset: Dataset) -> Reading:
    """Push one object to a receiver, and read what it stored as the worker does."""
    syntax = dataset.file_meta.TransferSyntaxUID
    with receiving(folder / "store") as running, associating(running.port, syntax=syntax) as association:
        assert send(association, dataset) == 0x0000
        (row,) = running.ledger.instances()
        assert row.transfer_syntax_uid == syntax
        return read_instance(running.ledger.paths.root / row.path)


def _hu(dataset: Dataset) -> np.ndarray:
    return np.frombuffer(dataset.PixelData, "<u2").reshape(64, 64).astype(np.int16) - 1024


@pytest.mark.requirement("R12")
@pytest.mark.parametrize("syntax", DCMTK, ids=lambda uid: uid.keyword)
def test_what_dcmtk_encodes_without_loss_comes_back_to_the_grey_level(tmp_path: Path, syntax: str) -> None:
    dataset = _noisy()
    expected = _hu(dataset)
    coded = _encoded_by_dcmtk(tmp_path, dataset, *DCMTK[syntax])
    assert coded.file_meta.TransferSyntaxUID == syntax
    reading = _received(tmp_path, coded)
    assert reading.image is not None, reading.problem
    np.testing.assert_array_equal(reading.image.hu, expected)
    assert not reading.header.lossy


def test_htj2k_without_loss_comes_back_to_the_grey_level(tmp_path: Path) -> None:
    dataset = _noisy()
    expected = _hu(dataset)
    reading = _received(tmp_path, _encoded_by_openjph(tmp_path, dataset, HTJ2KLossless, "-reversible", "true"))
    assert reading.image is not None, reading.problem
    np.testing.assert_array_equal(reading.image.hu, expected)
    assert not reading.header.lossy


def test_jpeg_2000_without_loss_comes_back_to_the_grey_level(tmp_path: Path) -> None:
    dataset = _noisy()
    expected = _hu(dataset)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    reading = _received(tmp_path, dataset)
    assert reading.image is not None, reading.problem
    np.testing.assert_array_equal(reading.image.hu, expected)
    assert not reading.header.lossy


@pytest.mark.parametrize("syntax", DCMTK_LOSSY, ids=lambda uid: uid.keyword)
def test_what_lost_grey_levels_is_shown_and_known_to_be_lossy(tmp_path: Path, syntax: str) -> None:
    coded = _encoded_by_dcmtk(tmp_path, _noisy(), *DCMTK_LOSSY[syntax])
    assert coded.file_meta.TransferSyntaxUID == syntax
    reading = _received(tmp_path, coded)
    assert reading.image is not None, reading.problem
    assert reading.header.lossy


def test_extended_jpeg_of_12_bits_has_no_decoder_fit_for_the_vehicle_and_says_so(tmp_path: Path) -> None:
    reading = _received(tmp_path, _encoded_by_dcmtk(tmp_path, _noisy(), "dcmcjpeg", "+ee"))
    assert reading.header.transfer_syntax_uid == JPEGExtended12Bit
    assert reading.header.lossy
    assert "cannot be decoded" in reading.problem


def test_jpeg_2000_with_loss_is_shown_and_known_to_be_lossy(tmp_path: Path) -> None:
    dataset = _noisy()
    dataset.compress(JPEG2000, j2k_cr=[20], generate_instance_uid=False)
    reading = _received(tmp_path, dataset)
    assert reading.image is not None, reading.problem
    assert reading.header.lossy


def test_htj2k_under_the_syntax_that_may_lose_is_not_offered() -> None:
    assert HTJ2K not in IMAGE_SYNTAXES
