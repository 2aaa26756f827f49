from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from edge_app.core.errors import TrainingError
from tests.unit.training.data.conftest import HERE
from tests.unit.training.data.phantoms import SLICES, SPACING_MM, phantom
from training.data.aisd import read_aisd

PATIENT = "0000200"


def rewrite(folder: Path, change: object) -> None:
    """Give every picture of a patient another content and, in the end, its old name."""
    for path in folder.glob("*.png"):
        cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))  # type: ignore[operator]


def lesion_areas(seed: int) -> list[float]:
    return [float(mask.sum()) * SPACING_MM**2 for mask in phantom(seed, "ischemic").lesion_mask]


def test_masks_label_the_slices_and_dwi_is_left_alone(corpora: Path) -> None:
    studies, rejects = read_aisd(corpora / "aisd", HERE)
    assert {r.code for r in rejects} == {"not_ct"}
    assert all("/DWI/" in r.path for r in rejects)
    assert len(studies) == 4
    for seed, study in zip(range(200, 204), studies, strict=True):
        assert study.label == 2
        assert [s.label for s in study.slices] == [0, 0, 2, 2, 0, 0]
        np.testing.assert_allclose([s.lesion_area_mm2 for s in study.slices], lesion_areas(seed), atol=0.01)
        assert study.lesion_volume_ml == pytest.approx(sum(lesion_areas(seed)) * 12 / 1000, abs=0.01)
        assert study.slices[2].mask_values == (3,)
        assert study.manufacturer == "SYNTHETIC Mobilis"


@pytest.mark.parametrize("upwards", [False, True])
def test_masks_find_their_slices_whatever_their_order_and_turn(aisd: Path, upwards: bool) -> None:
    expected = {study.key: study for study in read_aisd(aisd, HERE)[0]}
    for kind in ("image", "mask"):
        folder = aisd / kind / PATIENT
        rewrite(folder, lambda picture: np.rot90(picture)[:, ::-1])
        if upwards:
            content = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
            for path, other in zip(sorted(folder.glob("*.png")), content[::-1], strict=True):
                path.write_bytes(other)
    found = {study.key: study for study in read_aisd(aisd, HERE)[0]}
    assert found.keys() == expected.keys()
    for key, study in found.items():
        assert [s.lesion_area_mm2 for s in study.slices] == [s.lesion_area_mm2 for s in expected[key].slices]
    assert sorted(study.mask_turn for study in found.values()) != [0, 0, 0, 0]


@pytest.mark.parametrize("written", ["", "ANONYMOUS"])
def test_patients_without_an_id_of_their_own_are_known_by_their_folder(aisd: Path, written: str) -> None:
    for path in aisd.glob("dicom-*/*/CT/*"):
        ds = pydicom.dcmread(path)
        ds.PatientID = written
        ds.save_as(path)
    studies, _ = read_aisd(aisd, HERE)
    assert [study.patient_id for study in studies] == [f"{seed:07d}" for seed in range(200, 204)]


def test_an_unknown_mask_value_is_refused_with_its_file(aisd: Path) -> None:
    rewrite(aisd / "mask" / PATIENT, lambda picture: np.where(picture > 0, 9, 0).astype(np.uint8))
    studies, rejects = read_aisd(aisd, HERE)
    assert len(studies) == 3
    (reason,) = [r.reason for r in rejects if r.code == "pictures"]
    assert "unknown values 9" in reason
    assert PATIENT in reason


def test_a_mask_of_another_size_is_refused(aisd: Path) -> None:
    rewrite(aisd / "mask" / PATIENT, lambda picture: picture[::2, ::2])
    studies, rejects = read_aisd(aisd, HERE)
    assert len(studies) == 3
    assert any("its slice (64, 64)" in r.reason for r in rejects)


def test_a_patient_with_fewer_masks_than_slices_is_left_out(aisd: Path) -> None:
    for kind in ("image", "mask"):
        (aisd / kind / PATIENT / "000.png").unlink()
    studies, rejects = read_aisd(aisd, HERE)
    assert len(studies) == 3
    assert any(r.code == "mask_count" and f"{SLICES - 1} masks" in r.reason for r in rejects)


def test_a_patient_without_masks_and_masks_without_a_patient_are_listed(aisd: Path) -> None:
    (aisd / "mask" / PATIENT).rename(aisd / "mask" / "9999999")
    studies, rejects = read_aisd(aisd, HERE)
    assert len(studies) == 3
    assert {r.code for r in rejects} == {"not_ct", "unlabelled", "missing"}


def test_pictures_of_another_patient_are_refused(aisd: Path) -> None:
    shutil.rmtree(aisd / "image" / PATIENT)
    (aisd / "image" / PATIENT).mkdir()
    for k in range(SLICES):
        noise = np.random.default_rng(k).integers(0, 255, (64, 64), dtype=np.uint8)
        cv2.imwrite(str(aisd / "image" / PATIENT / f"{k:03d}.png"), noise)
    studies, rejects = read_aisd(aisd, HERE)
    assert len(studies) == 3
    assert any("do not clearly show" in r.reason for r in rejects)


@pytest.mark.parametrize("gone", ["image", "mask"])
def test_a_missing_part_is_named(aisd: Path, gone: str) -> None:
    shutil.rmtree(aisd / gone)
    with pytest.raises(TrainingError, match=f"{gone} is missing"):
        read_aisd(aisd, HERE)
