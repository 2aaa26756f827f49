"""A scanner (dcmtk) pushes to the real processes, and `msu cases` tells what the screen shows."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pydicom
import pytest

from edge_app.simulator import Artefacts, Label, SyntheticStudy, make_study, to_datasets, write_study
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.integration.conftest import Serving, run_msu, start_serving, stop_serving
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

SCANNER = "unseen_mobile32"
"""Sends uncompressed images, the only ones that dcmtk's storescu proposes by itself."""

EXPECTED = {"negative": "none_detected", "hemorrhage": "hemorrhage", "ischemic": "ischemic"}


def _head(seed: int, label: Label) -> SyntheticStudy:
    """Return a study without the artefacts that a seed may draw: they make the answer INDETERMINATE."""
    return make_study(seed, label, personality=SCANNER, artefacts=Artefacts(motion=False, metal=False))


def _study_uid(path: Path) -> str:
    return str(pydicom.dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


@pytest.mark.parametrize(("label", "seed"), [("negative", 31_001), ("hemorrhage", 31_002), ("ischemic", 31_003)])
def test_a_pushed_study_gets_the_verdict_of_its_lesion(
    serving: Serving, tmp_path: Path, label: Label, seed: int
) -> None:
    files = write_study(_head(seed, label), tmp_path)
    pushed = serving.storescu(files)
    assert pushed.returncode == 0, pushed.stderr
    case = serving.outcome(_study_uid(files[0]))
    assert case["status"] == "result"
    assert case["verdict"] == EXPECTED[label]
    assert case["model"]["synthetic"] is True
    assert case["timings_ms"]["last_slice_to_result"] > 0
    positions = [s["position_mm"] for s in case["slices"]]
    assert positions == sorted(positions)
    assert len(positions) == len(files)
    for probabilities in (case["probabilities"], *(s["probabilities"] for s in case["slices"])):
        assert probabilities.keys() == {"negative", "hemorrhage", "ischemic"}
        likelier = max(probabilities["hemorrhage"], probabilities["ischemic"])
        assert probabilities["negative"] == pytest.approx(1 - likelier, abs=1e-4), "each finding for itself (R22)"


def test_offline_and_live_give_the_same_answer(serving: Serving, tmp_path: Path) -> None:
    files = write_study(make_study(31_010, "hemorrhage"), tmp_path)
    sent = run_msu("send", tmp_path, "--to", serving.peer)
    assert sent.returncode == 0, sent.stderr
    live = serving.outcome(_study_uid(files[0]))
    offline = json.loads(run_msu("analyse", tmp_path, "--json").stdout)["studies"][0]
    for key in ("verdict", "probabilities", "slices", "series_uid", "reasons", "model"):
        assert offline[key] == live[key], key


def test_a_late_slice_makes_a_new_revision(serving: Serving, tmp_path: Path) -> None:
    files = write_study(_head(31_020, "negative"), tmp_path)
    assert serving.storescu(files[:-1]).returncode == 0
    study_uid = _study_uid(files[0])
    first = serving.outcome(study_uid)
    assert len(first["slices"]) == len(files) - 1
    assert serving.storescu(files[-1:]).returncode == 0

    def second() -> dict[str, object] | None:
        case = serving.outcome(study_uid)
        return case if case["revision"] == 2 else None

    assert len(wait_until(second, "revision 2")["slices"]) == len(files)  # type: ignore[arg-type]


def test_two_studies_interleaved_both_get_their_own_result(serving: Serving, tmp_path: Path) -> None:
    one = write_study(_head(31_030, "hemorrhage"), tmp_path / "one")
    two = write_study(_head(31_031, "negative"), tmp_path / "two")
    mixed = [path for pair in zip(one, two) for path in pair] + [*one[len(two) :], *two[len(one) :]]  # noqa: B905
    assert serving.storescu(mixed).returncode == 0
    for folder, files in ((tmp_path / "one", one), (tmp_path / "two", two)):
        (alone,) = json.loads(run_msu("analyse", folder, "--json").stdout)["studies"]
        together = serving.outcome(_study_uid(files[0]))
        assert together["probabilities"] == alone["probabilities"]
        assert together["slices"] == alone["slices"]


def test_a_slice_missing_in_the_middle_gives_no_result(serving: Serving, tmp_path: Path) -> None:
    files = write_study(_head(31_040, "negative"), tmp_path)
    assert serving.storescu(files[:15] + files[16:]).returncode == 0
    case = serving.outcome(_study_uid(files[0]))
    assert case["status"] == "no_result"
    assert case["verdict"] is None
    assert case["reasons"][0]["code"] == "Q-02"


def test_localizer_and_dose_screen_do_not_disturb(serving: Serving, tmp_path: Path) -> None:
    datasets = to_datasets(_head(31_050, "hemorrhage"), localizer=True, dose_screen=True)
    files = []
    for number, dataset in enumerate(datasets):
        files.append(tmp_path / f"{number:03}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    assert serving.storescu(files).returncode == 0
    assert serving.outcome(_study_uid(files[0]))["verdict"] == "hemorrhage"


def test_killed_processes_come_back_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    files = write_study(_head(31_060, "hemorrhage"), tmp_path / "study")
    serving = start_serving(tmp_path / "store")
    try:
        assert serving.storescu(files[:10]).returncode == 0
        with Ledger(StorePaths(serving.data), "test") as ledger:
            wait_until(lambda: {"receive", "work"} <= ledger.heartbeats().keys(), "first heartbeats")
            for process in ("work", "receive"):
                before = ledger.heartbeats()[process].pid
                os.kill(before, signal.SIGKILL)
                wait_until(lambda: ledger.heartbeats()[process].pid != before, f"{process} is back")  # noqa: B023
            assert len(ledger.instances()) == 10
        assert serving.storescu(files).returncode == 0  # the scanner sends the whole study again
        # Ten slices alone may have had their answer, if the processes took long to come back.
        case = serving.outcome(_study_uid(files[0]), slices=len(files))
        assert case["verdict"] == "hemorrhage"
    finally:
        assert stop_serving(serving) == 0
