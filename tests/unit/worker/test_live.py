"""The worker while everything goes well: slices, results, late and repeated images, several studies."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import FileDataset

from edge_app.core.config import AnalysisSettings
from edge_app.core.types import FloatArray, SliceScores, StudyStatus, Verdict
from edge_app.store.paths import uid_hash
from edge_app.worker.models import Models
from edge_app.worker.offline import analyse_paths
from tests.unit.worker.bench import Bench


def test_a_pushed_head_becomes_a_result_soon_after_the_sender_has_closed(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    bench.sender.push(head)
    bench.settle()
    assert bench.study(uid).status is StudyStatus.RECEIVING
    bench.settle_after(0.5)
    assert bench.study(uid).status is StudyStatus.RESULT
    assert bench.result(uid).verdict is Verdict.HEMORRHAGE


@pytest.mark.requirement("R28")
def test_the_live_result_is_that_of_the_offline_command_to_the_last_bit(
    bench: Bench, head: list[FileDataset], head_folder: Path, uid: str, models: Models
) -> None:
    bench.sender.push(head[::-2])
    bench.settle()
    bench.sender.push(head[-2::-2])
    bench.settle_after(6)
    (offline,) = analyse_paths([head_folder], models, AnalysisSettings())
    assert replace(bench.result(uid), timings_ms={}) == replace(offline, timings_ms={})


def test_slices_are_shown_and_scored_while_the_rest_still_arrives(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    with bench.sender.association() as association:
        for ds in head[:10]:
            bench.sender.store(ds, association)
        bench.settle()
        progress = bench.study(uid).progress
        assert (progress["images"], progress["analysed"]) == (10, 10)
        assert progress["coverage_mm"] == pytest.approx(60, abs=1)
        assert progress["needed_mm"] == 110
        frames = bench.ledger.frames(uid)
        assert len(frames) == 10
        heights = [frame.position_mm for frame in frames]
        assert heights == sorted(heights)  # type: ignore[type-var]


def test_a_frame_holds_the_slice_as_the_screen_draws_it(bench: Bench, head: list[FileDataset], uid: str) -> None:
    bench.sender.push(head[:1])
    bench.settle()
    (frame,) = bench.ledger.frames(uid)
    assert frame.path is not None
    hu = np.load(bench.ledger.paths.root / frame.path, mmap_mode="r")
    assert (hu.dtype, hu.shape) == (np.int16, (frame.rows, frame.columns))
    assert frame.row_spacing_mm == float(head[0].PixelSpacing[0])
    assert not list(bench.ledger.paths.frame(uid, "x").parent.glob(".*"))


def test_the_patient_band_names_patient_scanner_and_series(bench: Bench, head: list[FileDataset], uid: str) -> None:
    bench.sender.push(head)
    bench.settle()
    band = bench.study(uid).patient
    assert band["id"] == head[0].PatientID
    assert band["name"] == str(head[0].PatientName)
    assert band["series_uid"] == head[0].SeriesInstanceUID
    assert {"birth_date", "sex", "age", "accession", "study_date", "kernel", "manufacturer_model"} <= set(band)


@pytest.mark.requirement("R07")
def test_frames_of_waiting_images_come_before_any_model_is_touched(
    bench: Bench, head: list[FileDataset], uid: str, models: Models
) -> None:
    seen: list[tuple[int, int]] = []
    image = models.image

    class Spy:
        def predict(self, inputs: FloatArray, sop_uids: list[str]) -> list[SliceScores]:
            attempts = bench.ledger._rows("SELECT COUNT(*) FROM attempts WHERE outcome = 'running'")[0][0]
            seen.append((len(bench.ledger.frames(uid)), attempts))
            return image.predict(inputs, sop_uids)

    bench.sender.push(head)
    bench.start(replace(models, image=Spy()))  # type: ignore[arg-type]
    bench.settle()
    assert len(seen) == len(head)
    assert set(seen) == {(len(head), 1)}


def test_saliency_of_the_key_slices_is_there_with_the_result(bench: Bench, head: list[FileDataset], uid: str) -> None:
    bench.sender.push(head)
    bench.settle_after(6)
    result = bench.result(uid)
    with np.load(bench.ledger.paths.saliency(uid, result.revision)) as maps:
        for sop_uid in result.key_slices:
            assert maps[uid_hash(sop_uid)].shape == (3, 7, 7)
            assert maps[f"{uid_hash(sop_uid)}.to_slice"].shape == (2, 3)


@pytest.mark.requirement("R09")
def test_a_head_with_a_missing_slice_is_waited_for_and_then_refused_by_name(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    bench.sender.push(head[:12] + head[13:])
    bench.settle_after(14)
    assert bench.study(uid).status is StudyStatus.RECEIVING
    bench.settle_after(2)
    assert bench.result(uid).reasons[0].code == "Q-02"


def test_a_transfer_that_broke_off_is_named_as_the_reason(bench: Bench, head: list[FileDataset], uid: str) -> None:
    bench.sender.push(head[:12], outcome="aborted")
    bench.settle_after(16)
    result = bench.result(uid)
    assert (result.status, result.reasons[0].code) == (StudyStatus.NO_RESULT, "E-203")


@pytest.mark.requirement("R10")
def test_a_late_slice_withdraws_the_result_and_brings_a_new_revision(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    bench.sender.push(head[:-1])
    bench.settle_after(6)
    first = bench.result(uid)
    bench.sender.push(head[-1:])
    bench.worker.step()
    assert bench.study(uid).status is StudyStatus.RECEIVING
    bench.settle_after(6)
    second = bench.result(uid)
    assert (first.revision, second.revision) == (1, 2)
    assert (len(first.slices), len(second.slices)) == (len(head) - 1, len(head))
    assert bench.study(uid).status is StudyStatus.RESULT


def test_a_slice_that_comes_while_the_study_is_being_finished_is_in_the_first_result(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    bench.sender.push(head[:-1])
    bench.settle()
    bench.advance(6)
    bench.worker.step()
    assert bench.study(uid).status is StudyStatus.ANALYSING
    bench.sender.push(head[-1:])
    bench.settle_after(6)
    result = bench.result(uid)
    assert (result.revision, len(result.slices)) == (1, len(head))


def test_a_dose_page_after_the_result_changes_nothing(bench: Bench, other_head: list[FileDataset]) -> None:
    uid = other_head[0].StudyInstanceUID
    bench.sender.push(other_head[:-1])
    bench.settle_after(6)
    bench.sender.push(other_head[-1:])
    bench.settle_after(20)
    assert bench.study(uid).status is StudyStatus.RESULT
    assert bench.result(uid).revision == 1


def test_the_same_images_sent_again_change_nothing(bench: Bench, head: list[FileDataset], uid: str) -> None:
    bench.sender.push(head)
    bench.settle_after(6)
    bench.sender.push(head)
    bench.settle_after(20)
    assert bench.result(uid).revision == 1


@pytest.mark.requirement("R10")
def test_other_pixels_under_a_known_uid_withdraw_the_result_for_good(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    bench.sender.push(head)
    bench.settle_after(6)
    forged = deepcopy(head[3])
    forged.PixelData = head[4].PixelData
    bench.sender.push([forged])
    bench.settle_after(20)
    result = bench.result(uid)
    assert (result.revision, result.status) == (2, StudyStatus.NO_RESULT)
    assert [r.code for r in result.reasons] == ["Q-17"]
    bench.settle_after(20)
    assert bench.result(uid).revision == 2


def test_two_studies_that_arrive_interleaved_each_get_their_own_result(
    bench: Bench, head: list[FileDataset], other_head: list[FileDataset], uid: str
) -> None:
    with bench.sender.association() as one, bench.sender.association() as two:
        for first, second in zip(head, other_head, strict=False):
            bench.sender.store(first, one)
            bench.sender.store(second, two)
            bench.worker.step()
        for rest in other_head[len(head) :]:
            bench.sender.store(rest, two)
    bench.settle_after(6)
    for study_uid, sent in ((uid, head), (other_head[0].StudyInstanceUID, other_head[1:-1])):
        result = bench.result(study_uid)
        assert result.status is StudyStatus.RESULT
        assert {s.sop_uid for s in result.slices} == {ds.SOPInstanceUID for ds in sent}


@pytest.mark.requirement("R46")
def test_without_a_model_images_are_shown_and_every_study_says_so(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    bench.start(None, problem="E-101 bundle is damaged")
    bench.sender.push(head)
    bench.settle_after(6)
    result = bench.result(uid)
    assert (result.status, result.verdict, result.model) == (StudyStatus.NO_RESULT, None, None)
    assert [r.code for r in result.reasons] == ["E-101"]
    assert len(result.slices) == len(bench.ledger.frames(uid)) == len(head)
    beat = bench.ledger.heartbeats()["work"]
    assert beat.detail["problem"].startswith("E-101")


def test_the_heartbeat_names_model_and_backend(bench: Bench, models: Models) -> None:
    bench.settle()
    first = bench.ledger.heartbeats()["work"]
    assert first.detail["model"]["name"] == "tiny"
    assert first.detail["model"]["synthetic"] is True
    assert first.detail["backend"] == models.backend_name
    bench.settle_after(1)
    assert bench.ledger.heartbeats()["work"].at_s > first.at_s


def test_images_that_hold_no_ct_end_without_result(bench: Bench, other_head: list[FileDataset]) -> None:
    bench.sender.push(other_head[-1:])
    bench.settle_after(16)
    result = bench.result(other_head[0].StudyInstanceUID)
    assert (result.status, result.reasons[0].code) == (StudyStatus.NO_RESULT, "Q-14")
