from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from edge_app.core.errors import TrainingError
from edge_app.series.headers import quiet_pydicom
from edge_app.simulator.scanner import PERSONALITIES, TRAINING_PERSONALITIES
from tests.unit.training.data.conftest import HERE
from tests.unit.training.data.phantoms import SCANNER, SLICES, phantom
from training.data import synth
from training.data.synth import plan, write_corpus

KAGGLE = {
    "SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "StudyID",
    "ImagePositionPatient", "ImageOrientationPatient", "SamplesPerPixel", "PhotometricInterpretation", "Rows",
    "Columns", "PixelSpacing", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "WindowCenter",
    "WindowWidth", "RescaleIntercept", "RescaleSlope", "PixelData",
}  # fmt: skip


def test_rsna_files_have_kaggles_attributes_and_names(corpora: Path) -> None:
    files = list((corpora / "rsna/stage_2_train").iterdir())
    assert len(files) == 8 * SLICES
    with quiet_pydicom():  # ID_… is no UID, there as here
        ds = pydicom.dcmread(files[0])
        assert {element.keyword for element in ds} == KAGGLE
    assert files[0].name == f"{ds.SOPInstanceUID}.dcm"
    assert ds.SOPInstanceUID.startswith("ID_")
    assert len(ds.SOPInstanceUID) == 12


def test_the_rsna_table_has_six_rows_an_image(corpora: Path) -> None:
    lines = (corpora / "rsna/stage_2_train.csv").read_text().splitlines()
    assert lines[0] == "ID,Label"
    assert len(lines) == 1 + 6 * 8 * SLICES
    assert [line.split(",")[0].rpartition("_")[2] for line in lines[1:7]] == [
        "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any",
    ]  # fmt: skip
    assert sum(line.endswith("_any,1") for line in lines) == 4 * 2
    assert sum(line.endswith("_subdural,1") for line in lines) == 4 * 2


def test_aisd_has_ct_dwi_and_a_picture_and_a_mask_for_each_slice(corpora: Path) -> None:
    assert {path.name for path in (corpora / "aisd").iterdir()} == {"dicom-0", "dicom-1", "dicom-2", "image", "mask"}
    patient = corpora / "aisd/dicom-0/0000200"
    assert pydicom.dcmread(next((patient / "DWI").iterdir())).Modality == "MR"
    assert len(list((patient / "CT").iterdir())) == SLICES
    for kind in ("image", "mask"):
        names = sorted(path.name for path in (corpora / "aisd" / kind / "0000200").iterdir())
        assert names == [f"{k:03d}.png" for k in range(SLICES)]


def test_the_same_plan_writes_the_same_files(corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synth, "make_study", phantom)
    write_corpus("rsna", plan("rsna", 8, 100, [SCANNER]), tmp_path, HERE)
    for path in (corpora / "rsna").rglob("*.*"):
        assert (tmp_path / path.relative_to(corpora / "rsna")).read_bytes() == path.read_bytes()


def test_classes_and_scanners_take_turns() -> None:
    orders = plan("rsna", 40, 7, TRAINING_PERSONALITIES)
    assert [order.seed for order in orders] == list(range(7, 47))
    for label in ("negative", "hemorrhage"):
        names = [order.personality.name for order in orders if order.label == label]
        assert {names.count(p.name) for p in TRAINING_PERSONALITIES} <= {2, 3}
    assert all(order.personality.transfer_syntax == "1.2.840.10008.1.2.1" for order in orders)


def test_rsna_has_no_padding_because_kaggles_files_could_not_say_so() -> None:
    (order,) = plan("rsna", 1, 1, [PERSONALITIES["unseen_tilted"]])
    assert order.personality.padding is None


@pytest.mark.parametrize(
    ("layout", "labels", "named"),
    [
        ("dicom", [], "no layout 'dicom'"),
        ("rsna", ["ischemic"], "rsna cannot hold ischemic"),
        ("aisd", ["hemorrhage"], "aisd cannot hold hemorrhage"),
        ("generic", ["fracture"], "cannot hold fracture"),
    ],
)
def test_what_a_layout_cannot_hold_is_refused(layout: str, labels: list[str], named: str) -> None:
    with pytest.raises(TrainingError, match=named):
        plan(layout, 3, 1, [SCANNER], labels)  # type: ignore[arg-type]


def test_nothing_to_write_is_refused() -> None:
    with pytest.raises(TrainingError, match="nothing to write"):
        plan("rsna", 0, 1, [SCANNER])
