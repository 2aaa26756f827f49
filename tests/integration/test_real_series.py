"""Real CT series of many kinds: each gets a result or a fitting reason, and none crashes anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydicom
import pytest

from edge_app.receiver.contexts import supported_contexts
from tests.integration.conftest import Serving, run_msu

pytestmark = pytest.mark.integration

REFUSED = {
    "skull_phantom_5mm": {"Q-01", "Q-13"},
    "skull_phantom_tilted": {"Q-01", "Q-13"},
    "skull_phantom_other_series/S1000": {"Q-14", "Q-08"},
    "skull_phantom_other_series/S4010": {"Q-14"},
    "chest_contrast": {"Q-01", "Q-07", "Q-10", "Q-02", "Q-12", "Q-09"},
    "enhanced_ct": {"Q-14"},
    "transfer_syntaxes": {"Q-01", "Q-05", "Q-06", "Q-10", "Q-11", "Q-14", "Q-15", "Q-17"},
    "geometry_faults/gantrytilting": {"Q-01", "Q-09", "Q-10", "Q-13"},
    "geometry_faults/notavolume": {"Q-11"},
    "geometry_faults/slicecount": {"Q-14"},  # two MR images
    "geometry_faults/sliceincrement/001": {"Q-02", "Q-10"},
    "geometry_faults/sliceincrement/002": {"Q-02", "Q-10"},
    "geometry_faults/sliceorientation": {"Q-14"},  # MR images in two directions
}


def _analyse(folder: Path) -> list[dict[str, Any]]:
    done = run_msu("analyse", folder, "--json")
    assert done.returncode == 0, done.stderr
    studies: list[dict[str, Any]] = json.loads(done.stdout)["studies"]
    return studies


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_head_ct_gets_no_ai_result_with_a_fitting_reason(shared_data: Path, name: str) -> None:
    studies = _analyse(shared_data / name)
    assert studies
    for study in studies:
        assert study["status"] == "no_result"
        assert study["verdict"] is None
        assert study["probabilities"] is None
        assert study["reasons"][0]["code"] in REFUSED[name]


def _by_position(folder: Path) -> list[str]:
    found = []
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        found.append((float(dataset.ImagePositionPatient[2]), str(dataset.SOPInstanceUID)))
    return [uid for _, uid in sorted(found)]


def test_the_planning_head_gets_a_result_with_all_slices_in_order(shared_data: Path) -> None:
    folder = shared_data / "head_neck_planning"
    (study,) = _analyse(folder)
    assert study["status"] == "result"
    assert study["verdict"] in ("hemorrhage", "ischemic", "none_detected", "indeterminate")
    assert [s["sop_uid"] for s in study["slices"]] == _by_position(folder)


def test_real_series_pushed_to_the_port_disturb_nothing(shared_data: Path, serving: Serving) -> None:
    files = [p for p in sorted(shared_data.rglob("*.dcm")) if "transfer_syntaxes" not in p.parts]
    files += sorted((shared_data / "skull_phantom_5mm").glob("I*"))
    # Two of the geometry faults are MR, which no CT scanner sends and the receiver does not offer to take.
    offered = {context.abstract_syntax for context in supported_contexts()}
    files = [p for p in files if pydicom.dcmread(p, stop_before_pixels=True).SOPClassUID in offered]
    sent = run_msu("send", *files, "--to", serving.peer)
    assert sent.returncode == 0, sent.stderr
    expected = {str(pydicom.dcmread(p, stop_before_pixels=True).StudyInstanceUID) for p in files}
    for study_uid in expected:
        assert serving.outcome(study_uid)["status"] in ("result", "no_result")
