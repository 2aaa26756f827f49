"""What makes a further revision of a result: a late slice, at once, and the crew's choice of another series."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
from pydicom import FileDataset

from edge_app.core.clock import monotonic_s
from edge_app.core.types import StudyStatus, Verdict
from edge_app.store.choices import choose_series
from edge_app.worker import live
from edge_app.worker.models import Models
from tests.unit.worker.bench import Bench


@pytest.fixture(scope="module")
def bone(head: list[FileDataset]) -> list[FileDataset]:
    """Return a second reconstruction of the head, with a sharp kernel."""
    copies = []
    for number, ds in enumerate(head):
        copy = deepcopy(ds)
        copy.SeriesInstanceUID = "1.2.826.0.1.3680043.10.999.7"
        copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = f"{copy.SeriesInstanceUID}.{number + 1}"
        copy.ConvolutionKernel, copy.SeriesNumber, copy.SeriesDescription = "BONE", 7, "HEAD BONE"
        copies.append(copy)
    return copies


@pytest.mark.requirement("R10")
def test_a_late_slice_becomes_a_new_revision_within_a_second_without_reading_the_others_again(
    bench: Bench, head: list[FileDataset], uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.sender.push(head[:-1])
    bench.settle_after(6)
    read = []
    original = live.read_instance
    monkeypatch.setattr(live, "read_instance", lambda path: read.append(path) or original(path))
    bench.clock.now_s = monotonic_s()  # what is received has the real time
    with bench.sender.association() as association:
        bench.sender.store(head[-1], association)
        bench.worker.step()
        assert bench.study(uid).status is StudyStatus.RECEIVING
        # The association stays open: the sender's silence is not waited for.
        bench.settle_after(0.9)
    result = bench.result(uid)
    assert (result.revision, len(result.slices), result.verdict) == (2, len(head), Verdict.HEMORRHAGE)
    assert len(read) == 1


def test_the_revision_after_a_late_slice_is_what_a_study_in_one_piece_gives(
    bench: Bench, head: list[FileDataset], uid: str, models: Models
) -> None:
    bench.sender.push(head[:-1])
    bench.settle_after(6)
    bench.clock.now_s = monotonic_s()
    bench.sender.push(head[-1:])
    bench.settle_after(0.9)
    late = bench.result(uid)
    choose_series(bench.sender.ledger, uid, "", by="test")
    bench.start(models)
    bench.settle_after(6)
    whole = bench.result(uid)
    assert (late.revision, whole.revision) == (2, 3)
    assert replace(whole, timings_ms={}, revision=2, series_entry=0) == replace(late, timings_ms={})


def test_slices_of_another_series_are_waited_for_as_ever(
    bench: Bench, head: list[FileDataset], bone: list[FileDataset], uid: str
) -> None:
    bench.sender.push(head)
    bench.settle_after(6)
    bench.clock.now_s = monotonic_s()
    with bench.sender.association() as association:
        for ds in bone:
            bench.sender.store(ds, association)
        bench.settle_after(2)
        assert bench.study(uid).status is StudyStatus.RECEIVING
        bench.settle_after(6)
    result = bench.result(uid)
    assert (result.revision, result.series_uid) == (2, head[0].SeriesInstanceUID)
    assert [(o.number, o.why, o.choosable) for o in result.series] == [(2, "nearest", True), (7, "sharp_kernel", True)]


@pytest.mark.requirement("R18")
def test_a_series_the_crew_chooses_is_analysed_as_a_new_revision_and_judged_by_the_same_gate(
    bench: Bench, head: list[FileDataset], bone: list[FileDataset], uid: str, models: Models
) -> None:
    bench.sender.push([*head, *bone])
    bench.settle_after(6)
    assert bench.result(uid).series_uid == head[0].SeriesInstanceUID
    choose_series(bench.sender.ledger, uid, bone[0].SeriesInstanceUID, by="nurse")
    bench.settle_after(6)
    second = bench.result(uid)
    assert (second.revision, second.series_uid) == (2, bone[0].SeriesInstanceUID)
    assert [r.code for r in second.reasons] == ["Q-03"]
    assert [(o.number, o.analysed, o.why) for o in second.series] == [(7, True, "crew"), (2, False, "crew_chose_other")]
    assert second.quality[0].startswith("chosen of 2 series: chosen by the crew: 25 slices")
    # A restart forgets neither the choice nor that it is done.
    bench.start(models)
    bench.settle_after(60)
    assert bench.result(uid).revision == 2
    choose_series(bench.sender.ledger, uid, "", by="nurse")
    bench.settle_after(6)
    third = bench.result(uid)
    assert (third.revision, third.series_uid, third.status) == (3, head[0].SeriesInstanceUID, StudyStatus.RESULT)


def test_a_choice_while_images_still_arrive_is_kept(
    bench: Bench, head: list[FileDataset], bone: list[FileDataset], uid: str
) -> None:
    bench.sender.push([*head[:5], *bone])
    bench.settle()
    choose_series(bench.sender.ledger, uid, bone[0].SeriesInstanceUID, by="nurse")
    bench.settle()
    bench.sender.push(head[5:])
    bench.settle_after(6)
    assert (bench.result(uid).revision, bench.result(uid).series_uid) == (1, bone[0].SeriesInstanceUID)


def test_a_choice_for_a_study_nobody_knows_harms_nothing(bench: Bench, head: list[FileDataset], uid: str) -> None:
    choose_series(bench.sender.ledger, "1.2.3", "1.2.3.4", by="nurse")
    bench.sender.push(head)
    bench.settle_after(6)
    assert bench.result(uid).status is StudyStatus.RESULT


@pytest.mark.requirement("R10")
def test_other_bytes_of_images_without_position_are_told_once_and_not_again_and_again(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    first, again = deepcopy(head[0]), deepcopy(head[0])
    del first.ImagePositionPatient
    bench.sender.push([first])
    bench.settle_after(16)
    bench.sender.push([again])
    for _ in range(3):
        bench.settle_after(16)
        bench.sender.ledger.beat()
    result = bench.result(uid)
    assert (result.revision, [r.code for r in result.reasons]) == (2, ["Q-14", "Q-17"])


@pytest.mark.requirement("R10", "R29")
def test_a_study_with_two_versions_of_an_image_that_takes_too_long_is_not_begun_again_for_ever(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    forged = deepcopy(head[3])
    forged.PixelData = head[4].PixelData
    bench.sender.push([*head, forged])
    bench.settle()
    bench.advance(6)
    bench.worker.step()
    bench.settle_after(bench.settings.analysis.timeout_s + 1)
    bench.sender.ledger.beat()
    bench.settle_after(6)
    assert (bench.result(uid).revision, bench.result(uid).reasons[0].code) == (1, "E-102")


@pytest.mark.requirement("R10")
def test_other_pixels_withdraw_a_result_however_many_studies_came_since(
    bench: Bench, head: list[FileDataset], uid: str
) -> None:
    bench.sender.push(head)
    bench.settle_after(6)
    for number in range(21):
        page = deepcopy(head[0])
        page.SOPClassUID = page.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        page.StudyInstanceUID = page.SeriesInstanceUID = f"1.2.826.0.1.3680043.10.999.{number + 20}"
        page.SOPInstanceUID = page.file_meta.MediaStorageSOPInstanceUID = f"{page.StudyInstanceUID}.1"
        bench.sender.push([page])
    bench.settle_after(16)
    assert bench.result(f"1.2.826.0.1.3680043.10.999.{20 + 20}").reasons[0].code == "Q-14"
    forged = deepcopy(head[3])
    forged.PixelData = head[4].PixelData
    bench.sender.push([forged])
    bench.settle_after(20)
    assert [r.code for r in bench.result(uid).reasons] == ["Q-17"]
