from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from edge_app.simulator import PERSONALITIES, SyntheticStudy, make_study, to_datasets, write_study
from edge_app.simulator.imaging import reconstruction_circle

AT = datetime(2026, 3, 14, 14, 5, 31, tzinfo=timezone(timedelta(hours=1)))


def _few_slices(study: SyntheticStudy, count: int = 3) -> SyntheticStudy:
    """Cut a study short, so that slow encoders do not hold up the tests."""
    middle = len(study.hu) // 2
    part = slice(middle, middle + count)
    return replace(
        study,
        hu=study.hu[part],
        lesion_mask=study.lesion_mask[part],
        label_per_slice=study.label_per_slice[part],
        positions=study.positions[part],
    )


@pytest.mark.parametrize("name", sorted(PERSONALITIES))
def test_every_personality_writes_valid_objects_that_decode_to_the_same_hu(name: str, tmp_path: Path) -> None:
    study = _few_slices(make_study(11, "negative", personality=name))
    paths = write_study(study, tmp_path, localizer=True, dose_screen=True, acquired_at=AT)
    assert len(paths) == 5
    for hu, path in zip(study.hu, paths[1:-1], strict=True):
        ds = dcmread(path)
        assert ds.file_meta.TransferSyntaxUID == study.personality.transfer_syntax
        seen = ds.pixel_array.astype(int) * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
        circle = reconstruction_circle(ds.Rows)
        assert np.array_equal(seen[circle], hu[circle])
        if study.personality.padding is not None:
            assert ds.PixelPaddingValue == study.personality.padding
            assert np.all(ds.pixel_array[~circle] == study.personality.padding)
        else:
            assert np.array_equal(seen, hu)
    _validate(paths)


def _validate(paths: list[Path]) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (deploy/system-packages.sh test)")
    for path in paths:
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, check=False)
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert not [line for line in said.splitlines() if line.startswith("Error")], f"{path.name}:\n{said}"


def test_the_same_study_gets_the_same_uids_and_a_key_changes_all_of_them(negative_study: SyntheticStudy) -> None:
    few = _few_slices(negative_study)
    first, again, other = (to_datasets(few, acquired_at=AT, study_key=key) for key in ("", "", "second"))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        one, two, three = ([str(ds[keyword].value) for ds in found] for found in (first, again, other))
        assert one == two
        assert not set(one) & set(three)


def test_nothing_in_the_header_tells_the_label() -> None:
    headers = []
    for label in ("negative", "hemorrhage", "ischemic"):
        study = _few_slices(make_study(13, label, personality="basic2"))
        ds = to_datasets(study, acquired_at=AT)[0]
        headers.append({e.keyword: str(e.value) for e in ds if e.VR not in ("UI", "OW") and e.keyword != "PixelData"})
    assert headers[0] == headers[1] == headers[2]


def test_every_object_says_that_it_is_synthetic(negative_study: SyntheticStudy) -> None:
    for ds in to_datasets(_few_slices(negative_study), localizer=True, dose_screen=True, acquired_at=AT):
        assert "SYNTHETIC" in ds.PatientComments
        assert "SYNTHETIC" in ds.Manufacturer


def test_time_and_zone_of_the_acquisition_are_written(negative_study: SyntheticStudy) -> None:
    ds = to_datasets(_few_slices(negative_study), acquired_at=AT)[0]
    assert (ds.StudyDate, ds.StudyTime, ds.TimezoneOffsetFromUTC) == ("20260314", "140531", "+0100")


def test_tag_habits_differ() -> None:
    first = {
        name: to_datasets(_few_slices(make_study(3, "negative", personality=name)), acquired_at=AT)
        for name in ("basic2", "tilted4", "mobile16", "fixed64")
    }
    assert "BodyPartExamined" not in first["basic2"][0]
    assert "PatientAge" not in first["basic2"][0]
    assert [ds.InstanceNumber for ds in first["tilted4"]] == [1, 1, 1]
    assert [ds.InstanceNumber for ds in first["mobile16"]] == [3, 2, 1]
    assert list(first["fixed64"][0].WindowCenter) == [40, 600]
    assert first["tilted4"][0].ImageOrientationPatient[4] < 1


def test_names_of_other_scripts_survive(tmp_path: Path) -> None:
    study = _few_slices(make_study(3, "negative", personality="helix16"), 1)
    ds = dcmread(write_study(study, tmp_path, acquired_at=AT)[0])
    assert str(ds.PatientName) == study.patient.name
    assert ds.PatientName.ideographic
