from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from edge_app.core.errors import InputError
from edge_app.series.headers import load_instance
from edge_app.simulator.dicom import to_datasets
from tests.unit.training.data.phantoms import phantom
from training.data.files import FileFacts, dicom_files, examine, load_image
from training.data.records import Reject


@pytest.fixture
def ct() -> pydicom.FileDataset:
    return to_datasets(phantom(1, "negative"))[2]


def written(ds: pydicom.FileDataset, folder: Path, name: str = "a.dcm") -> Path:
    ds.save_as(folder / name, enforce_file_format=True)
    return folder / name


def test_kaggles_files_have_no_sop_class_and_are_read_all_the_same(corpora: Path) -> None:
    path = next((corpora / "rsna/stage_2_train").glob("*.dcm"))
    with pytest.raises(InputError, match="SOPClassUID"):
        load_instance(path)  # the vehicle stays strict
    found = examine(corpora / "rsna", path, "rsna")
    assert isinstance(found, FileFacts)
    assert found.header.sop_uid == path.stem
    assert found.path == f"stage_2_train/{path.name}"


def test_wrapped_negative_numbers_are_unwrapped(ct: pydicom.FileDataset, tmp_path: Path) -> None:
    expected = load_image(written(ct, tmp_path))
    hu = np.frombuffer(ct.PixelData, "<u2").astype(int) + int(ct.RescaleIntercept)
    ct.PixelData, ct.RescaleIntercept = (hu % 4096).astype("<u2").tobytes(), 0
    np.testing.assert_array_equal(load_image(written(ct, tmp_path)).hu, expected.hu)


def test_an_image_with_a_little_metal_and_no_intercept_is_left_alone(ct: pydicom.FileDataset, tmp_path: Path) -> None:
    stored = np.frombuffer(ct.PixelData, "<u2").copy() % 1000
    stored[:20] = 3500
    ct.PixelData, ct.RescaleIntercept = stored.tobytes(), 0
    assert load_image(written(ct, tmp_path)).hu.max() == 3500


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("Modality", "MR", "not_ct"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"], "localizer"),
        ("PatientID", "", "no_patient"),
        ("ImagePositionPatient", None, "no_geometry"),
        ("PixelSpacing", None, "unreadable"),
        ("StudyInstanceUID", "", "unreadable"),
    ],
)
def test_files_that_cannot_be_used_are_rejected_with_a_reason(
    ct: pydicom.FileDataset, tmp_path: Path, keyword: str, value: object, code: str
) -> None:
    setattr(ct, keyword, value)
    found = examine(tmp_path, written(ct, tmp_path), "rsna")
    assert isinstance(found, Reject)
    assert (found.code, found.path, found.source) == (code, "a.dcm", "rsna")
    assert found.reason


@pytest.mark.parametrize("keep", [0, 100, 700, 3000])
def test_a_truncated_file_is_rejected(ct: pydicom.FileDataset, tmp_path: Path, keep: int) -> None:
    path = written(ct, tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    found = examine(tmp_path, path, "rsna")
    assert isinstance(found, Reject)
    assert found.code == "unreadable"


def test_a_slice_of_one_value_has_no_pixel_hash(ct: pydicom.FileDataset, tmp_path: Path) -> None:
    ct.PixelData = bytes(len(ct.PixelData))
    found = examine(tmp_path, written(ct, tmp_path), "rsna")
    assert isinstance(found, FileFacts)
    assert found.pixel_hash == ""


def test_equal_pixels_have_equal_hashes_whatever_the_header(ct: pydicom.FileDataset, tmp_path: Path) -> None:
    first = examine(tmp_path, written(ct, tmp_path), "rsna")
    ct.PatientID, ct.SOPInstanceUID = "another", "1.2.3"
    ct.file_meta.MediaStorageSOPInstanceUID = ct.SOPInstanceUID
    second = examine(tmp_path, written(ct, tmp_path, "b.dcm"), "rsna")
    assert isinstance(first, FileFacts)
    assert isinstance(second, FileFacts)
    assert first.pixel_hash == second.pixel_hash != ""


def test_tables_pictures_and_hidden_files_are_not_taken_for_dicom(tmp_path: Path) -> None:
    for name in ("a.dcm", "I10", "labels.csv", "b.png", ".hidden"):
        (tmp_path / name).touch()
    assert [path.name for path in dicom_files(tmp_path)] == ["I10", "a.dcm"]
