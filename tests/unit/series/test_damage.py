"""A damaged JPEG Lossless stream decodes without a word; its pixels give it away, slice by slice or in the stack."""

from __future__ import annotations

import shutil
import struct
import subprocess
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom import FileDataset, dcmread
from pydicom.encaps import encapsulate, generate_frames

from edge_app.core.errors import PixelError
from edge_app.core.types import SliceHeader, SliceMeasures
from edge_app.series import check_quality, decode_slice, make_candidates, measure_slice, read_header
from edge_app.series.damage import looks_damaged
from tests.degraded import clean_head, hu_of, measured, streaked

Head = tuple[list[FileDataset], list[SliceHeader], dict[str, SliceMeasures]]


@pytest.fixture(scope="module")
def head() -> Head:
    _, objects = clean_head(62, "hemorrhage", "basic2")
    return objects, *measured(objects)


def test_anatomy_and_metal_do_not_look_damaged(head: Head) -> None:
    middle = head[0][len(head[0]) // 2]
    hu = hu_of(middle)
    assert not looks_damaged(hu)
    assert not looks_damaged(streaked(hu, float(middle.PixelSpacing[0]), 4.0, np.random.default_rng(1)))


def test_noise_of_full_range_looks_damaged(head: Head) -> None:
    hu = hu_of(head[0][12]).copy()
    hu[300:] = np.random.default_rng(2).integers(-1024, 3000, hu[300:].shape)
    assert looks_damaged(hu)


def test_an_rle_run_of_another_length_is_no_image_but_a_byte_of_padding_is_one(head: Head) -> None:
    ds = deepcopy(head[0][12])
    ds.compress("1.2.840.10008.1.2.5", encoding_plugin="pydicom", generate_instance_uid=False)
    good = decode_slice(ds, read_header(ds)).hu
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    (start,) = struct.unpack_from("<I", frame, 8)  # of the second segment, the last one
    longer = frame[:start] + bytes((255 - 60, 7)) + frame[start:]  # a run of 62 bytes before it
    for damaged, message in ((longer, "too many"), (longer[:-500], "decoded")):
        ds.PixelData = encapsulate([damaged])
        with pytest.raises(PixelError, match=message):
            decode_slice(ds, read_header(ds))
    ds.PixelData = encapsulate([frame + b"\0\0"])
    np.testing.assert_array_equal(decode_slice(ds, read_header(ds)).hu, good)


@pytest.mark.parametrize("option", ["+e1", "+el"])
def test_most_damage_to_jpeg_lossless_is_found_in_the_slice_or_in_its_stack(
    head: Head, tmp_path: Path, option: str
) -> None:
    if not (dcmcjpeg := shutil.which("dcmcjpeg", path="/usr/bin")):
        pytest.skip("dcmcjpeg is not installed (deploy/system-packages.sh test)")
    objects, headers, measures = head
    original = objects[len(objects) // 2]
    original.save_as(tmp_path / "plain.dcm", enforce_file_format=True)
    subprocess.run([dcmcjpeg, option, tmp_path / "plain.dcm", tmp_path / "jpeg.dcm"], check=True)
    ds = dcmread(tmp_path / "jpeg.dcm")
    good = decode_slice(ds, read_header(ds)).hu
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    rng, spoiled, found = np.random.default_rng(3), 0, 0
    for _ in range(16):
        damaged = bytearray(frame)
        at = int(rng.integers(len(frame) // 10, len(frame) // 2))
        damaged[at : at + 16] = rng.bytes(16)
        ds.PixelData = encapsulate([bytes(damaged)])
        ds["PixelData"].is_undefined_length = True
        try:
            image = decode_slice(ds, read_header(ds))
        except PixelError:
            spoiled, found = spoiled + 1, found + 1
            continue
        if np.count_nonzero(np.abs(image.hu.astype(int) - good) > 50) < 2000:
            continue  # a few mm²: nobody would see it either
        spoiled += 1
        (candidate,) = make_candidates(headers, {**measures, image.sop_uid: measure_slice(image)})
        assert candidate.stack is not None
        found += check_quality(candidate.stack, candidate.measures) is not None
    assert spoiled >= 8
    assert found >= 0.7 * spoiled, f"{found} of {spoiled}"
