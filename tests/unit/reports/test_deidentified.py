from __future__ import annotations

import numpy as np
import pytest
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
