from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from edge_app.core.errors import HeaderError
from edge_app.reports.deidentified import deidentified, may_leave
from tests.stored_studies import ct_slice, ct_uid


def named() -> Dataset:
    ds = ct_slice(1, 3)
    ds.InstitutionName = "Klinikum Beispielstadt"
    ds.OperatorsName = "Schmidt^Anna"
    ds.StationName = "MSU-KA-1"
    block = ds.private_block(0x0009, "TESTWERK", create=True)
    block.add_new(1, "LO", "Müster, Erika")
    return ds


def test_nothing_that_names_the_patient_is_left() -> None:
    ds = deidentified(named(), "case-1")
    text = str(ds) + str(ds.file_meta)
    for word in ("Müster", "Erika", "PAT-1", "19510402", "A-0001", "Klinikum", "Schmidt", "MSU-KA-1", "20260314"):
        assert word not in text
    for uid in (ct_uid(1), ct_uid(1, 3), ct_uid(1, 0)):
        assert uid not in text
    assert (ds.PatientID, ds.PatientIdentityRemoved) == ("case-1", "YES")
    assert not [element for element in ds if element.tag.is_private]


def test_pixels_and_geometry_stay_and_slices_stay_together() -> None:
    original = named()
    pixels = original.pixel_array.copy()
    first, second = deidentified(original, "case-1"), deidentified(ct_slice(1, 4), "case-1")
    assert np.array_equal(first.pixel_array, pixels)
    assert list(first.ImagePositionPatient) == [-32, -32, 15]
    assert (first.RescaleIntercept, first.Manufacturer) == (-1024, "SYNTHETIC Testwerk")
    assert first.StudyInstanceUID == second.StudyInstanceUID != ct_uid(1)
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID


def test_a_name_in_a_field_that_the_profile_keeps_stops_the_export() -> None:
    ds = named()
    ds.ConvolutionKernel = "for PAT-1 only"
    with pytest.raises(HeaderError, match="still in the image"):
        deidentified(ds, "case-1")


def test_nothing_is_left_inside_of_sequences() -> None:
    ds, other = named(), Dataset()
    other.ReferencedSOPInstanceUID = "1.2.276.0.99.4711"
    other.ContentDate = "20251231"
    other.CodeMeaning = "Li, Bo"
    ds.ReferencedInstanceSequence = [other]
    ds.DerivationCodeSequence = [other]
    ds = deidentified(ds, "case-1")
    text = str(ds)
    assert [word for word in ("1.2.276.0.99.4711", "20251231", "Li, Bo") if word in text] == []
    assert [element.keyword for element in ds if element.VR == "SQ"] == ["DeidentificationMethodCodeSequence"]


def test_what_the_profile_s_table_does_not_name_stays_only_where_it_speaks_of_machine_or_image() -> None:
    ds = named()
    ds.PatientBirthDateInAlternativeCalendar = "Showa 26"
    ds.CommentsOnTheScheduledProcedureStep = "fell from a ladder"
    ds.FillerOrderNumberProcedure = "KA-77"
    ds.add_new(0x60000022, "LO", "drawn by Anna")
    ds.add_new(0xFFFCFFFC, "OB", b"Erika ")
    ds.KVP, ds.RescaleType = "120", "HU"
    text = str(deidentified(ds, "case-1"))
    words = ("Showa", "ladder", "KA-77", "Anna", "4572696b61", "Erika")
    assert [word for word in words if word in text] == []
    assert (ds.KVP, ds.RescaleType, ds.ConvolutionKernel, ds.Rows) == (120, "HU", "H30", 64)


def test_the_head_of_the_file_does_not_name_the_scanner() -> None:
    ds = named()
    ds.preamble = b"Erika".ljust(128, b"\0")
    ds.file_meta.SourceApplicationEntityTitle = "KLINIK_X_CT1"
    ds.file_meta.PrivateInformationCreatorUID = "1.2.276.0.99"
    ds.file_meta.PrivateInformation = b"Erika "
    content = BytesIO()
    deidentified(ds, "case-1").save_as(content, enforce_file_format=True)
    head = content.getvalue()[:600]
    assert [word for word in (b"Erika", b"KLINIK", b"1.2.276.0.99") if word in head] == []
    assert np.array_equal(dcmread(BytesIO(content.getvalue())).pixel_array, ct_slice(1, 3).pixel_array)


def test_an_overlay_in_the_pixels_own_bits_does_not_leave() -> None:
    ds = ct_slice(1, 1)
    ds.add_new(0x60000100, "US", 16)
    ds.add_new(0x60000102, "US", 12)
    assert not may_leave(ds)
    ds[0x60000102].value = 0
    assert may_leave(ds)


@pytest.mark.parametrize(
    ("changes", "leaves"),
    [
        ({}, True),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, False),
        ({"ImageType": ["DERIVED", "SECONDARY"]}, False),
        ({"BurnedInAnnotation": "YES"}, False),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, False),
    ],
)
def test_only_axial_images_without_writing_leave(changes: dict[str, object], leaves: bool) -> None:
    ds = ct_slice(1, 1)
    ds.update(changes)
    assert may_leave(ds) is leaves
