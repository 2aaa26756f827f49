"""The worker where something is broken: an image, a file, a network, the worker itself."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
from pydicom import FileDataset

from edge_app.core.errors import BackendError
from edge_app.core.types import FloatArray, SliceScores, StudyStatus, Verdict
from edge_app.worker.models import Models
from tests.unit.worker.bench import Bench


def test_a_slice_that_cannot_be_decoded_is_shown_with_its_problem_and_refuses_the_study(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    damaged = deepcopy(head[5])
    damaged.PixelData = damaged.PixelData[:-1000]
    bench.sender.push([*head[:5], damaged, *head[6:]])
    bench.settle_after(16)
    assert bench.result(uid).reasons[0].code == "Q-15"
    (frame,) = (f for f in bench.ledger.frames(uid) if f.sop_uid == damaged.SOPInstanceUID)
    assert frame.path is None and "PixelData" in frame.problem


def test_a_stored_file_that_cannot_be_read_refuses_the_study_and_nothing_else(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    bench.sender.push(head)
    victim = bench.ledger.find_instance(head[5].SOPInstanceUID)
    assert victim is not None
    (bench.ledger.paths.root / victim.path).write_bytes(b"damaged by a failing disk")
    bench.settle_after(16)
    result = bench.result(uid)
    assert result.status is StudyStatus.NO_RESULT
    assert "Q-15" in [r.code for r in result.reasons]


class Broken:
    """An image network that fails after some slices."""

    def __init__(self, models: Models, good: int) -> None:
        self._image = models.image
        self.good = good

    def predict(self, inputs: FloatArray, sop_uids: list[str]) -> list[SliceScores]:
        self.good -= 1
        if self.good < 0:
            raise BackendError("the network broke", remedy="none")
        return self._image.predict(inputs, sop_uids)


def test_a_network_that_fails_once_is_tried_again(
    bench: Bench, head: list[FileDataset], uid: str, models: Models
) -> None:
    broken = Broken(models, good=3)
    bench.start(replace(models, image=broken))  # type: ignore[arg-type]
    bench.sender.push(head)
    while broken.good >= 0:
        bench.worker.step()
    broken.good = 1000
    bench.settle_after(6)
    assert bench.result(uid).status is StudyStatus.RESULT


def test_a_network_that_fails_twice_ends_the_study_until_new_images_come(
    bench: Bench, head: list[FileDataset], uid: str, models: Models
) -> None:
    bench.start(replace(models, image=Broken(models, good=0)))  # type: ignore[arg-type]
    bench.sender.push(head[:-1])
    bench.settle_after(6)
    failed = bench.result(uid)
    assert (failed.status, failed.reasons[0].code, failed.verdict) == (StudyStatus.FAILED, "E-104", None)
    assert failed.patient_id == head[0].PatientID
    bench.start(models)
    bench.settle_after(60)
    assert bench.result(uid).revision == 1
    bench.sender.push(head[-1:])
    bench.settle_after(6)
    assert bench.result(uid).status is StudyStatus.RESULT


def test_one_crash_is_forgiven_and_the_study_read_again_from_the_start(
    bench: Bench, head: list[FileDataset], uid: str, models: Models
) -> None:
    bench.sender.push(head[:15])
    bench.settle()
    bench.start(models)
    bench.sender.push(head[15:])
    bench.settle_after(6)
    assert bench.result(uid).status is StudyStatus.RESULT
    assert bench.ledger.count_crashes(uid) == 0


def test_two_crashes_end_the_study_as_failed(bench: Bench, head: list[FileDataset], uid: str, models: Models) -> None:
    bench.sender.push(head)
    bench.settle()
    bench.start(models)
    bench.settle()
    bench.start(models)
    result = bench.result(uid)
    assert (result.status, result.reasons[0].code) == (StudyStatus.FAILED, "E-104")
    bench.start(models)
    bench.settle_after(60)
    assert bench.result(uid).revision == 1


def test_an_orderly_stop_is_no_crash(bench: Bench, head: list[FileDataset], uid: str, models: Models) -> None:
    bench.sender.push(head)
    for _ in range(3):
        bench.settle()
        bench.worker.stop()
        bench.start(models)
    bench.settle_after(6)
    assert bench.result(uid).status is StudyStatus.RESULT


def test_a_restart_after_the_result_does_not_analyse_again(
    bench: Bench, head: list[FileDataset], uid: str, models: Models
) -> None:
    bench.sender.push(head)
    bench.settle_after(6)
    bench.start(models)
    bench.settle_after(60)
    assert bench.result(uid).revision == 1


@pytest.mark.requirement("R29")
def test_an_analysis_that_takes_too_long_ends_without_result(bench: Bench, head: list[FileDataset], uid: str) -> None:
    bench.sender.push(head)
    bench.settle()
    bench.advance(6)
    bench.worker.step()
    assert bench.study(uid).status is StudyStatus.ANALYSING
    bench.settle_after(bench.settings.analysis.timeout_s + 1)
    result = bench.result(uid)
    assert (result.status, result.reasons[0].code) == (StudyStatus.NO_RESULT, "E-102")


def test_a_frame_that_cannot_be_written_does_not_stop_the_analysis(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    frames = bench.ledger.paths.frame(uid, "x").parent
    frames.parent.mkdir(parents=True, exist_ok=True)
    frames.write_bytes(b"in the way")
    bench.sender.push(head)
    bench.settle_after(6)
    assert bench.result(uid).status is StudyStatus.RESULT
    assert all(frame.path is None and frame.problem for frame in bench.ledger.frames(uid))


def test_an_image_of_absurd_size_in_another_series_does_not_cost_the_head_its_answer(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    absurd = deepcopy(head[0])
    absurd.SeriesInstanceUID = "1.2.826.0.1.3680043.10.999.9"
    absurd.SOPInstanceUID = absurd.file_meta.MediaStorageSOPInstanceUID = f"{absurd.SeriesInstanceUID}.1"
    absurd.PixelSpacing = ["1e9", "1e9"]  # smaller ones fill the memory first
    bench.sender.push([*head, absurd])
    bench.settle_after(16)
    result = bench.result(uid)
    assert (result.status, result.verdict) == (StudyStatus.RESULT, Verdict.HEMORRHAGE)


def test_heat_maps_that_cannot_be_written_do_not_cost_the_answer(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    maps = bench.ledger.paths.saliency(uid, 1).parent
    maps.parent.mkdir(parents=True, exist_ok=True)
    maps.write_bytes(b"in the way")
    bench.sender.push(head)
    bench.settle_after(6)
    assert (bench.result(uid).status, bench.result(uid).verdict) == (StudyStatus.RESULT, Verdict.HEMORRHAGE)
