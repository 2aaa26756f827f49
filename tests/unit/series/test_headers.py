"""Headers are parsed tolerantly, but an image without UIDs is refused, and hostile files never crash the reader."""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from edge_app.core.errors import HeaderError, InputError, NotDicomError, PixelError
from edge_app.series import decode_slice, load_instance, read_header
from edge_app.series import headers as headers_module
from edge_app.series.deflated import MAX_INFLATED_BYTES
from tests.slices import CT, dataset


def _bytes(ds: pydicom.FileDataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_an_ordinary_header_is_read_whole() -> None:
    ds = dataset(
        PatientName="Süß^Jürgen", SpecificCharacterSet="ISO_IR 192", ConvolutionKernel=["H31s", "3"], PatientAge="074Y",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL "], AcquisitionDate="20240501", AcquisitionTime="101112.5",
        ImagesInAcquisition="32", ContrastBolusAgent="IODINE", PixelPaddingValue=7, SliceThickness="2.5",
    )  # fmt: skip
    header = read_header(ds)
    assert header.sop_class_uid == CT
    assert header.image_position_mm == (1, 2, 3)
    assert header.pixel_spacing_mm == (0.5, 0.4)
    assert header.convolution_kernel == "H31s 3"
    assert header.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert header.acquired_at == "20240501101112.5"
    assert header.patient_name == "Süß^Jürgen"
    assert (header.images_in_acquisition, header.pixel_padding_value, header.slice_thickness_mm) == (32, 7, 2.5)
    assert (header.rescale_slope, header.rescale_intercept, header.lossy) == (1, -1024, False)


def test_absent_attributes_become_none_or_empty() -> None:
    bare = Dataset()
    bare.SOPInstanceUID, bare.SOPClassUID, bare.StudyInstanceUID, bare.SeriesInstanceUID = "1.1", CT, "1.2", "1.3"
    header = read_header(bare)
    assert header.image_position_mm is header.image_orientation is header.pixel_spacing_mm is None
    assert header.rescale_slope is header.instance_number is header.slice_thickness_mm is None
    assert (header.rows, header.modality, header.transfer_syntax_uid, header.acquired_at) == (0, "", "", "")


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_missing_uid_is_refused_by_its_keyword(keyword: str) -> None:
    with pytest.raises(HeaderError, match=f"{keyword} is missing"):
        read_header(dataset(**{keyword: None}))


def test_a_uid_with_two_values_is_refused() -> None:
    ds = dataset()
    ds["StudyInstanceUID"]._value = pydicom.multival.MultiValue(str, ["1.2", "1.3"])
    with pytest.raises(HeaderError, match="several values"):
        read_header(ds)


def test_odd_values_are_tolerated() -> None:
    ds = dataset(AcquisitionDateTime="20240501120000", SliceThickness="0")
    for keyword, value in (("InstanceNumber", "abc"), ("RescaleSlope", "one"), ("SeriesNumber", "1.5")):
        ds.add_new(keyword, "LO", value)
    ds.add_new("PatientID", "OB", b"\1\2")
    ds.add_new("ImageOrientationPatient", "LO", ["1", "0", "0", "1", "0", "0"])
    ds.add_new("ImagePositionPatient", "LO", ["1", "x", "3"])
    ds.add_new("PixelSpacing", "LO", ["0,5", "-1"])
    header = read_header(ds)
    assert header.instance_number is header.rescale_slope is header.series_number is header.slice_thickness_mm is None
    assert header.image_orientation is header.image_position_mm is header.pixel_spacing_mm is None
    assert (header.patient_id, header.acquired_at) == ("", "20240501120000")


@pytest.mark.requirement("R60")
def test_an_identity_with_a_backslash_is_kept_whole() -> None:
    header = read_header(dataset(PatientID="DOMAIN\\4711", PatientName="Smith\\Jones^Al"))
    assert (header.patient_id, header.patient_name) == ("DOMAIN\\4711", "Smith\\Jones^Al")


def test_numbers_whose_differences_or_quotients_overflow_are_none() -> None:
    ds = dataset()
    ds.add_new("SliceThickness", "DS", "1e-320")
    ds.add_new("ImagePositionPatient", "DS", ["0", "0", "-1e308"])
    ds.add_new("PixelSpacing", "DS", ["1e300", "1e300"])
    ds.add_new("ImageOrientationPatient", "DS", ["1", "1e-310", "0", "0", "1", "0"])
    header = read_header(ds)
    assert header.slice_thickness_mm is header.image_position_mm is header.pixel_spacing_mm is None
    assert header.image_orientation == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def test_an_orientation_of_the_wrong_length_is_none() -> None:
    ds = dataset()
    ds.add_new("ImageOrientationPatient", "LO", ["2", "0", "0", "0", "2", "0"])
    assert read_header(ds).image_orientation is None


def test_an_attribute_that_cannot_be_decoded_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreadable(Dataset):
        def get(self, key: object, default: object = None) -> object:
            if key == "PatientID":
                raise ValueError("bad VR")
            return super().get(key, default)

    ds = Unreadable(dataset())
    assert read_header(ds).patient_id == ""


@pytest.mark.parametrize(("flag", "syntax"), [("01", "1.2.840.10008.1.2.1"), ("00", "1.2.840.10008.1.2.4.50")])
def test_lossy_is_known_from_the_attribute_or_the_transfer_syntax(flag: str, syntax: str) -> None:
    assert read_header(dataset(LossyImageCompression=flag, syntax=syntax)).lossy


def test_a_file_and_its_bytes_give_the_same_header(tmp_path: Path) -> None:
    path = tmp_path / "slice.dcm"
    path.write_bytes(_bytes(dataset()))
    assert load_instance(path)[0] == load_instance(path.read_bytes())[0]


def test_a_data_set_without_preamble_is_read() -> None:
    header, _ = load_instance(_bytes(dataset())[132:])
    assert header.sop_uid == "1.2.3.4"


@pytest.mark.parametrize("content", [b"", b"hello world", b"\0" * 4096, b"%PDF-1.7" + b"x" * 500])
def test_what_is_not_dicom_is_refused_as_such(content: bytes) -> None:
    with pytest.raises(NotDicomError):
        load_instance(content)


def test_dcmread_may_still_find_that_it_is_not_dicom(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise pydicom.errors.InvalidDicomError("no")

    monkeypatch.setattr(headers_module.pydicom, "dcmread", refuse)
    with pytest.raises(NotDicomError, match="no"):
        load_instance(_bytes(dataset()))


def test_a_directory_of_images_is_not_an_image() -> None:
    ds = dataset()
    ds.SOPClassUID = "1.2.840.10008.1.3.10"
    with pytest.raises(NotDicomError, match="DICOMDIR"):
        load_instance(_bytes(ds))


def test_a_missing_file_and_one_too_large_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"gone\.dcm cannot be read"):
        load_instance(tmp_path / "gone.dcm")
    monkeypatch.setattr(headers_module, "MAX_FILE_BYTES", 100)
    with pytest.raises(InputError, match="more than the 100"):
        load_instance(_bytes(dataset()))


def test_deflated_data_sets_are_read_and_bombs_are_not() -> None:
    ds = dataset(syntax=DeflatedExplicitVRLittleEndian)
    content = _bytes(ds)
    assert load_instance(content)[0].rows == 64
    meta_end = 132 + 12 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range((MAX_INFLATED_BYTES >> 20) + 2)) + packer.flush()
    with pytest.raises(InputError, match="inflate"):
        load_instance(content[:meta_end] + bomb)
    with pytest.raises(InputError, match="damaged"):
        load_instance(content[:meta_end] + b"\xff" * 50)


def test_a_number_cut_in_half_is_an_absent_number() -> None:
    ds = dataset()
    ds.add_new(0x00280120, "OB", b"\0\0")
    content = _bytes(ds).replace(b"\x28\x00\x20\x01OB\0\0\x02\0\0\0\0\0", b"\x28\x00\x20\x01SS\x01\0\0")
    assert load_instance(content)[0].pixel_padding_value is None


def test_deeply_nested_sequences_end_in_an_error_not_in_a_crash() -> None:
    content = _bytes(dataset())
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
    with pytest.raises(InputError):
        load_instance(content + b"\xe0\x7f\x11\x00SQ\0\0\xff\xff\xff\xff" + item * 20000)


PYDICOM_FILES = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))


@pytest.mark.parametrize("path", PYDICOM_FILES, ids=lambda path: path.name)
def test_no_file_of_pydicoms_own_collection_crashes_the_reader(path: Path) -> None:
    try:
        header, ds = load_instance(path)
    except InputError:
        return
    try:
        image = decode_slice(ds, header)
    except PixelError:
        return
    assert image.hu.dtype == np.int16


def test_a_sequence_where_text_belongs_is_ignored() -> None:
    ds = dataset()
    ds.add_new("PatientID", "SQ", Sequence([Dataset()]))
    assert read_header(ds).patient_id == ""


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    ("said", "zone", "acquired_at"),
    [
        ("20260314233000.5+0000", "", "20260315003000.5"),
        ("20260314233000-0500", "+0100", "20260315053000"),
        ("20260314233000", "+0000", "20260315003000"),
        ("20260314233000", "", "20260314233000"),
        ("202603142330", "+0000", "202603142330"),
        ("20260314233000", "GMT", "20260314233000"),
        ("00010101000000", "+1400", "00010101000000"),
    ],
)
def test_a_scan_s_time_is_that_of_the_vehicle_s_clock_where_the_image_names_its_zone(
    said: str, zone: str, acquired_at: str
) -> None:
    ds = dataset()
    ds.AcquisitionDateTime, ds.TimezoneOffsetFromUTC = said, zone
    assert read_header(ds).acquired_at == acquired_at


@pytest.mark.usefixtures("in_berlin")
def test_the_zone_counts_for_a_date_and_time_of_their_own_as_well() -> None:
    ds = dataset()
    ds.AcquisitionDate, ds.AcquisitionTime, ds.TimezoneOffsetFromUTC = "20260314", "233000.25", "+0000"
    assert read_header(ds).acquired_at == "20260315003000.25"
