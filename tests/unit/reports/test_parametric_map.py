"""Where the model looked, in the patient's coordinates, whichever way the scanner wrote its slices."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from edge_app.core.types import SliceImage
from edge_app.reports import make_reports
from edge_app.reports.header import Looked, ReportInput
from edge_app.reports.parametric_map import MODEL_INPUT, make_parametric_maps
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths, uid_hash
from tests.stored_studies import add_ct_study, ct_slice, ct_uid, study_result
from tests.unit.reports.conftest import FACTS, RESULTS, make_input

SIZE = 64
SCALE = SIZE / MODEL_INPUT
WHOLE = np.array([[SCALE, 0, SCALE / 2 - 0.5], [0, SCALE, SCALE / 2 - 0.5]])
"""The model input covers the slice from edge to edge."""


def report(name: str = "haemorrhage", *, to_slice: NDArray[np.float64] = WHOLE, **header: object) -> ReportInput:
    source = ct_slice(1, 4)
    for keyword, value in header.items():
        setattr(source, keyword, value)
    maps = np.zeros((3, 7, 7), np.float32)
    maps[1, 0, 6] = 2.0
    picture = SliceImage(ct_uid(1, 4), np.full((SIZE, SIZE), 30, np.int16), (1.0, 1.0))
    return make_input(
        RESULTS[name],
        sources=[source],
        pictures={ct_uid(1, 4): picture},
        looked={ct_uid(1, 4): Looked(maps, to_slice)},
    )


def place(ds: Dataset) -> tuple[list[float], list[float], list[float]]:
    """Return origin, orientation and spacing of the one frame."""
    shared = ds.SharedFunctionalGroupsSequence[0]
    (frame,) = ds.PerFrameFunctionalGroupsSequence
    return (
        [float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient],
        [float(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient],
        [float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing],
    )


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0], "ImagePositionPatient": [31, -32, 20]},
        {"ImageOrientationPatient": [1, 0, 0, 0, -1, 0], "ImagePositionPatient": [-32, 31, 20]},
        {"ImageOrientationPatient": [0, 1, 0, 1, 0, 0], "ImagePositionPatient": [-32, -32, 20]},
    ],
)
def test_the_map_lies_on_the_slice_however_the_scanner_turned_it(header: dict[str, object]) -> None:
    (ds,) = make_parametric_maps(report(**header))
    origin, orientation, spacing = place(ds)
    first = -32.5 + SIZE / 7 / 2
    assert origin == pytest.approx([first, first, 20.0])
    assert orientation == pytest.approx([1, 0, 0, 0, 1, 0])
    assert spacing == pytest.approx([SIZE / 7, SIZE / 7])
    values = hd.Image.from_dataset(ds).get_frame(1, apply_real_world_transform=True)
    assert (values[0, 6], values[6, 0]) == (pytest.approx(2.0), 0.0)


def test_a_turned_model_input_gives_a_turned_frame_and_an_askew_one_none() -> None:
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    (ds,) = make_parametric_maps(report(to_slice=np.hstack([turn * SCALE, [[5.0], [7.0]]])))
    assert place(ds)[1] == pytest.approx([0.8, 0.6, 0, -0.6, 0.8, 0])
    askew = np.array([[SCALE, SCALE, 0], [0, SCALE, 0]])
    assert make_parametric_maps(report(to_slice=askew)) == []


@pytest.mark.requirement("R37")
def test_it_says_what_it_is_and_not_detected_has_none() -> None:
    (ds,) = make_parametric_maps(report())
    mapping = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeMeaning == "Class activation"
    assert ds.ContentDescription == "Shows where the model looked, not the lesion border"
    assert ds.ContentQualification == "RESEARCH"
    assert make_parametric_maps(report("revised")) == []


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_the_map_passes_dciodvfy_without_errors(tmp_path: Path) -> None:
    (ds,) = make_parametric_maps(report())
    ds.save_as(tmp_path / "pm.dcm", enforce_file_format=True)
    said = subprocess.run(["dciodvfy", str(tmp_path / "pm.dcm")], capture_output=True, text=True, check=False)
    assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []


@pytest.mark.requirement("R38")
def test_maps_go_out_only_where_they_are_wanted_and_released(tmp_path: Path) -> None:
    from edge_app.reports import report_files

    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        add_ct_study(ledger)
        stored = ledger.add_result(study_result(), last_instance_id=6)
        path = ledger.paths.saliency(ct_uid(1), 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        names = [uid_hash(ct_uid(1, n)) for n in (2, 4)]
        arrays = {name: np.ones((3, 7, 7), np.float32) for name in names}
        np.savez_compressed(path, **arrays, **{f"{name}.to_slice": WHOLE for name in names})
        released = replace(FACTS, heat_maps=True)
        assert "pm-1.dcm" not in report_files(stored, ledger, ledger.paths, facts=released)
        assert "pm-1.dcm" not in report_files(stored, ledger, ledger.paths, facts=FACTS, parametric_maps=True)
        wanted = report_files(stored, ledger, ledger.paths, facts=released, parametric_maps=True)
        assert {"pm-1.dcm", "pm-2.dcm"} < set(wanted)


def test_without_maps_there_are_none_among_the_objects() -> None:
    assert not [name for name in make_reports(make_input(RESULTS["haemorrhage"])) if name.startswith("pm")]
