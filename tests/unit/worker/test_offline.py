from __future__ import annotations

import shutil
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import FileDataset, dcmread

from edge_app.core.config import AnalysisSettings
from edge_app.core.errors import InputError
from edge_app.core.reasons import SCANNER_REMARK
from edge_app.core.types import CLASSES, StudyResult, StudyStatus, Verdict
from edge_app.inference.predict import PatientScores
from edge_app.simulator import make_study, write_study
from edge_app.triage.decision import ISCHAEMIA_OFF
from edge_app.worker.models import Models, load_models
from edge_app.worker.offline import analyse_paths
from tests.bundles import VERDICT_BIAS, image_network, write_tiny_bundle

SETTINGS = AnalysisSettings()
COUNT = 25
"""Slices of the synthetic head."""


def analyse(models: Models, *paths: Path, settings: AnalysisSettings = SETTINGS) -> StudyResult:
    (result,) = analyse_paths(paths, models, settings)
    return result


def untimed(result: StudyResult) -> StudyResult:
    return replace(result, timings_ms={})


def test_a_head_gets_a_verdict_with_everything_the_contract_names(
    models: Models, head_folder: Path, head: list[FileDataset]
) -> None:
    result = analyse(models, head_folder)
    assert (result.status, result.verdict, result.reasons) == (StudyStatus.RESULT, Verdict.HEMORRHAGE, ())
    assert result.study_uid == head[0].StudyInstanceUID
    assert result.patient_id == head[0].PatientID
    assert result.series_uid == head[0].SeriesInstanceUID
    assert result.probabilities is not None
    assert list(result.probabilities) == list(CLASSES)
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert result.model == models.identity
    assert result.backend == models.backend_name
    assert len(result.key_slices) == 5
    assert {"decode", "preprocess", "image_model", "patient_model", "gate", "last_slice_to_result"} == set(
        result.timings_ms
    )


@pytest.mark.requirement("R14")
def test_slices_are_listed_from_foot_to_head_each_with_its_probabilities(
    models: Models, head_folder: Path, head: list[FileDataset]
) -> None:
    result = analyse(models, head_folder)
    by_height = sorted(head, key=lambda ds: float(ds.ImagePositionPatient[2]))
    assert [s.sop_uid for s in result.slices] == [ds.SOPInstanceUID for ds in by_height]
    positions = [s.position_mm for s in result.slices]
    assert positions == sorted(positions)
    assert all(set(s.probabilities) == set(CLASSES) for s in result.slices)


@pytest.mark.requirement("R28")
def test_the_same_files_in_any_folder_and_order_give_the_same_bits(
    models: Models, head_folder: Path, tmp_path: Path
) -> None:
    files = sorted(head_folder.iterdir())
    for number, path in enumerate(reversed(files)):
        (tmp_path / str(number % 3)).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / str(number % 3) / f"x{number:03}")
    first, second = analyse(models, head_folder), analyse(models, *reversed(list(tmp_path.iterdir())))
    assert untimed(first) == untimed(second)


def test_a_file_given_twice_is_one_image(models: Models, head_folder: Path, tmp_path: Path) -> None:
    shutil.copy(next(head_folder.iterdir()), tmp_path / "again.dcm")
    assert untimed(analyse(models, head_folder, head_folder, tmp_path)) == untimed(analyse(models, head_folder))


@pytest.mark.requirement("R10")
def test_one_uid_with_two_different_pixels_is_a_conflict(
    models: Models, head_folder: Path, head: list[FileDataset], tmp_path: Path
) -> None:
    other = deepcopy(head[3])
    other.PixelData = head[4].PixelData
    other.save_as(tmp_path / "other.dcm", enforce_file_format=True)
    result = analyse(models, head_folder, tmp_path)
    assert result.status is StudyStatus.NO_RESULT
    assert [r.code for r in result.reasons] == ["Q-17"]
    assert result.verdict is None and result.probabilities is None


def test_a_refused_study_still_lists_its_slices_in_order_with_their_probabilities(
    models: Models, head_folder: Path, tmp_path: Path
) -> None:
    for path in sorted(head_folder.iterdir())[:12]:
        shutil.copy(path, tmp_path)
    result = analyse(models, tmp_path)
    assert result.status is StudyStatus.NO_RESULT
    assert {"Q-09", "Q-10"} <= {r.code for r in result.reasons}
    assert len(result.slices) == 12
    assert all(s.probabilities for s in result.slices)
    assert result.key_slices == ()


def test_several_studies_come_back_ordered_by_their_uid(models: Models, head_folder: Path, tmp_path: Path) -> None:
    write_study(make_study(4712, "negative", personality="basic2"), tmp_path)
    results = analyse_paths([tmp_path, head_folder], models, SETTINGS)
    assert len(results) == 2
    assert [r.study_uid for r in results] == sorted(r.study_uid for r in results)
    assert all(r.status is StudyStatus.RESULT for r in results)


def test_the_localizer_and_the_dose_page_do_not_disturb(models: Models, tmp_path: Path) -> None:
    write_study(make_study(4711, "negative", personality="basic2"), tmp_path, localizer=True, dose_screen=True)
    result = analyse(models, tmp_path)
    assert result.status is StudyStatus.RESULT
    assert len(result.slices) == COUNT
    assert "chosen of 3 series" in result.quality[0]


def test_what_is_not_dicom_is_skipped(models: Models, head_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    assert untimed(analyse(models, head_folder, tmp_path)) == untimed(analyse(models, head_folder))


def test_a_damaged_file_is_remarked_on(models: Models, head_folder: Path, tmp_path: Path) -> None:
    whole = next(head_folder.iterdir()).read_bytes()
    (tmp_path / "half.dcm").write_bytes(whole[:300])
    result = analyse(models, head_folder, tmp_path)
    assert result.quality[-1] == "1 files cannot be read"


def test_an_image_cut_in_its_pixels_refuses_the_study_as_undecodable(
    models: Models, head_folder: Path, tmp_path: Path
) -> None:
    for path in head_folder.iterdir():
        shutil.copy(path, tmp_path)
    victim = sorted(tmp_path.iterdir())[10]
    victim.write_bytes(victim.read_bytes()[:-5000])
    result = analyse(models, tmp_path)
    assert result.reasons[0].code == "Q-15"
    assert sum(not s.probabilities for s in result.slices) == 1


@pytest.mark.parametrize("content", [None, b"text", b"\0" * 128 + b"DICM"])
def test_nothing_that_is_dicom_is_an_error_of_the_input(models: Models, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError):
        analyse_paths([tmp_path], models, SETTINGS)


def test_a_path_that_does_not_exist_is_an_error_of_the_input(models: Models, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        analyse_paths([tmp_path / "nothing"], models, SETTINGS)


def test_a_network_that_answers_nan_ends_as_failed_never_as_a_verdict(head_folder: Path, tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path, image=image_network(scale=float("nan")))
    with load_models(AnalysisSettings(bundle=str(folder), threads=1)) as models:
        result = analyse(models, head_folder)
    assert (result.status, result.verdict) == (StudyStatus.FAILED, None)
    assert result.reasons[0].code == "E-104"


@pytest.mark.requirement("R20")
def test_a_study_far_from_the_training_data_is_indeterminate(head_folder: Path, tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path, distance=1.5)
    with load_models(AnalysisSettings(bundle=str(folder), threads=1)) as models:
        result = analyse(models, head_folder)
    assert (result.status, result.verdict) == (StudyStatus.RESULT, Verdict.INDETERMINATE)
    assert [r.code for r in result.reasons] == ["Q-20"]


@pytest.mark.requirement("R06")
def test_switched_off_ischaemic_signs_are_not_shown_and_it_says_so(head_folder: Path, tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path, patient_bias=VERDICT_BIAS["ischemic"])
    settings = AnalysisSettings(bundle=str(folder), threads=1)
    with load_models(settings) as models:
        shown = analyse(models, head_folder)
        hidden = analyse(models, head_folder, settings=AnalysisSettings(ischaemia_output="off"))
    assert shown.verdict is Verdict.ISCHEMIC
    assert hidden.verdict is Verdict.NONE_DETECTED
    assert ISCHAEMIA_OFF in hidden.quality


def test_more_slices_than_the_patient_network_takes_are_thinned_and_it_says_so(
    head_folder: Path, tmp_path: Path
) -> None:
    with load_models(AnalysisSettings(bundle=str(write_tiny_bundle(tmp_path, max_slices=10)), threads=1)) as models:
        result = analyse(models, head_folder)
    assert result.status is StudyStatus.RESULT
    assert f"judged from 10 of {COUNT} slices" in result.quality[0]
    assert len(result.slices) == COUNT


@pytest.mark.requirement("R21")
def test_a_scanner_nobody_validated_is_remarked_on_or_gets_no_result(models: Models, head_folder: Path) -> None:
    assert SCANNER_REMARK in analyse(models, head_folder).quality
    withheld = analyse(models, head_folder, settings=AnalysisSettings(unvalidated_scanner="withhold"))
    assert (withheld.status, [r.code for r in withheld.reasons]) == (StudyStatus.NO_RESULT, ["Q-21"])
    named = AnalysisSettings(unvalidated_scanner="withhold", validated_scanners=("*Orbis | SIM Basic 2 | head",))
    known = analyse(models, head_folder, settings=named)
    assert known.status is StudyStatus.RESULT
    assert SCANNER_REMARK not in known.quality


@pytest.mark.requirement("R25")
def test_the_verdict_is_what_the_written_score_says_at_the_threshold(models: Models, head_folder: Path) -> None:
    t_hi = models.manifest.operating_points["hemorrhage"].t_hi

    class AtThreshold:
        def predict(self, scores: Sequence[object], positions_mm: Sequence[float]) -> PatientScores:
            found = {"negative": 0.1, "hemorrhage": t_hi - 1e-9, "ischemic": 0.0}
            return PatientScores(found, np.ones(len(scores), np.float32), 0.0)

    result = analyse(replace(models, patient=AtThreshold()), head_folder)
    assert result.probabilities is not None
    assert (result.probabilities["hemorrhage"] >= t_hi, result.verdict) == (True, Verdict.HEMORRHAGE)


@pytest.mark.requirement("R21")
def test_every_slice_must_come_from_a_validated_scanner_and_kernel(
    models: Models, head_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(head_folder, tmp_path / "mixed"))
    last = sorted(folder.iterdir())[-1]
    ds = dcmread(last)
    ds.ConvolutionKernel = "another"
    ds.save_as(last)
    named = AnalysisSettings(validated_scanners=("*Orbis | SIM Basic 2 | head",))
    assert SCANNER_REMARK in analyse(models, folder, settings=named).quality


REAL = {
    "skull_phantom_5mm": "Q-01",
    "skull_phantom_tilted": "Q-01",
    "skull_phantom_other_series/S1000": "Q-14",
    "skull_phantom_other_series/S4010": "Q-14",
    "enhanced_ct": "Q-14",
    "chest_contrast": "Q-01",
    "transfer_syntaxes": "Q-06",
    "geometry_faults/notavolume": "Q-11",
    "geometry_faults/sliceincrement": "Q-02",
    "geometry_faults/sliceorientation": "Q-08",
    "geometry_faults/slicecount": "Q-10",
}


@pytest.mark.requirement("R16")
@pytest.mark.parametrize(("folder", "code"), REAL.items())
def test_real_series_that_are_no_head_ct_get_no_result_and_a_fitting_reason(
    models: Models, shared_data: Path, folder: str, code: str
) -> None:
    for result in analyse_paths([shared_data / folder], models, SETTINGS):
        assert result.status is StudyStatus.NO_RESULT
        assert code in [r.code for r in result.reasons]


def test_the_real_planning_head_gets_a_result_with_its_slices_in_order(models: Models, shared_data: Path) -> None:
    result = analyse(models, shared_data / "head_neck_planning")
    assert result.status is StudyStatus.RESULT
    assert len(result.slices) == 90
    assert np.allclose(np.diff([s.position_mm for s in result.slices]), 3.0, atol=0.01)
