"""Real series in one's own layout: `msu data` reads what scanners wrote, in order, and leaves the rest out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from training.data.generic import read_generic
from training.data.parallel import Workers
from training.data.records import IndexedStudy, Reject

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def found(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, IndexedStudy], list[Reject]]:
    root = tmp_path_factory.mktemp("own")
    names = ("head_neck_planning", "skull_phantom_tilted", "skull_phantom_5mm", "geometry_faults", "enhanced_ct")
    for name in names:
        (root / name).symlink_to(shared_data / name, target_is_directory=True)
    (root / "labels.csv").write_text("study,label\n" + "".join(f"{name},negative\n" for name in names))
    studies, rejects = read_generic(root, Workers(processes=1))
    return {study.slices[0].path.split("/")[0]: study for study in studies}, rejects


def test_slices_of_a_reversed_planning_scan_are_in_order(
    found: tuple[dict[str, IndexedStudy], list[Reject]],
) -> None:
    study = found[0]["head_neck_planning"]
    assert len(study.slices) == 90
    assert study.spacing_mm == pytest.approx(3.0)
    heights = [s.image_position_mm[2] for s in study.slices]
    assert heights == sorted(heights)
    assert [s.path for s in study.slices] == sorted((s.path for s in study.slices), reverse=True)


def test_a_tilted_gantry_is_measured_along_the_normal(found: tuple[dict[str, IndexedStudy], list[Reject]]) -> None:
    study = found[0]["skull_phantom_tilted"]
    assert study.tilt_deg == pytest.approx(16.5, abs=0.1)
    assert study.spacing_mm == pytest.approx(2.4, abs=0.01)


def test_what_is_no_single_study_of_ct_slices_is_listed_with_its_reason(
    found: tuple[dict[str, IndexedStudy], list[Reject]],
) -> None:
    studies, rejects = found
    assert set(studies) == {"head_neck_planning", "skull_phantom_tilted", "skull_phantom_5mm"}
    codes = Counter((reject.path.split("/")[0], reject.code) for reject in rejects)
    assert codes["geometry_faults", "several_studies"] == 1
    assert codes["enhanced_ct", "not_ct"] == 1
    assert codes["enhanced_ct", "empty"] == 1
    assert codes["skull_phantom_5mm", "unreadable"] == 1  # the DICOMDIR beside the slices
