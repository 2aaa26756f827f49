from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from edge_app.delivery.compress import SMALLER, LinkSpeed, compressed, is_compressible
from edge_app.delivery.items import Item, items_of_instances
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.stored_studies import add_ct_study


def item(folder: Path, size: int = 256, syntax: str = ExplicitVRLittleEndian) -> Item:
    with Ledger(StorePaths(folder / "store"), "test") as ledger:
        add_ct_study(ledger, slices=1, size=size, syntax=syntax)
        return items_of_instances(ledger.instances(), ledger.paths)[0]


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("signed", [False, True])
def test_an_image_keeps_its_uid_and_every_grey_level(tmp_path: Path, syntax: str, signed: bool) -> None:
    sent = item(tmp_path)
    if signed:
        ds = dcmread(sent.path)
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 1, 16, 15
        noise = np.random.default_rng(1).integers(-1500, 3000, (256, 256)).astype("<i2")
        ds.PixelData = noise.tobytes()
        ds.save_as(sent.path)
    made = compressed(sent, [syntax])
    assert made is not None
    original = dcmread(sent.path)
    assert made.SOPInstanceUID == original.SOPInstanceUID
    assert made.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(made.pixel_array, original.pixel_array)
    assert "LossyImageCompression" not in made


def test_the_peer_s_syntaxes_decide_and_jpeg_ls_is_preferred(tmp_path: Path) -> None:
    sent = item(tmp_path)
    assert compressed(sent, []) is None
    made = compressed(sent, reversed(SMALLER))
    assert made is not None
    assert made.file_meta.TransferSyntaxUID == JPEGLSLossless


def test_small_and_compressed_objects_stay_as_they_are(tmp_path: Path) -> None:
    assert is_compressible(item(tmp_path / "a"))
    assert not is_compressible(item(tmp_path / "b", size=64))
    assert not is_compressible(item(tmp_path / "c", size=512, syntax=RLELossless))
    assert not is_compressible(Item("1", "", "", tmp_path, ""))


def test_what_cannot_be_decoded_goes_as_it_is(tmp_path: Path) -> None:
    sent = item(tmp_path)
    ds = dcmread(sent.path)
    ds.PixelData = ds.PixelData[:1000]
    ds.save_as(sent.path)
    assert compressed(sent, SMALLER) is None


def test_a_link_counts_as_slow_until_it_was_measured_and_found_fast() -> None:
    speed = LinkSpeed(1000.0)
    assert speed.is_slow
    speed.note(1000, 0.001)
    assert speed.kbit_s is None
    speed.note(1_000_000, 1.0)
    assert speed.kbit_s == 8000.0
    assert not speed.is_slow
    for _ in range(5):
        speed.note(20_000, 2.0)
    assert speed.is_slow
    assert not LinkSpeed(0.0).is_slow
