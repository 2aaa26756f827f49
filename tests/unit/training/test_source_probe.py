"""Sources that differ in their scanners are told apart without any lesion; sources on the same scanner are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.brain_mask import brain_of, without_brain
from training.source_probe import LIMIT, VIEWS, probe_sources

from .heads import grainy, head, head_set

PER_SOURCE = 14


@pytest.mark.requirement("R87")
def test_a_corpus_where_source_is_class_is_called_source_confounded() -> None:
    coarse, fine = grainy(6.0), grainy(3.0, blur=0.8)
    studies = [("rsna", n % 2, coarse) for n in range(PER_SOURCE)] + [("aisd", 2, fine) for _ in range(PER_SOURCE)]
    probe = probe_sources([head_set(studies)])
    assert probe.confounded
    assert probe.headline.startswith("source-confounded")
    assert [view.view for view in probe.views] == list(VIEWS)
    for view in probe.views:
        assert view.balanced_accuracy["value"] > 0.9
        assert view.studies == (PER_SOURCE, PER_SOURCE)
        assert abs(view.shuffled - 0.5) < 0.15
    assert probe.to_json()["confounded"] is True


@pytest.mark.requirement("R87")
def test_sources_that_share_scanner_and_classes_are_not_told_apart() -> None:
    same = grainy(5.0)
    studies = [(source, n % 3, same) for source in ("rsna", "aisd") for n in range(24)]
    probe = probe_sources([head_set(studies)])
    assert not probe.confounded, probe.headline
    assert str(LIMIT) in probe.headline


def test_only_slices_without_lesion_count_as_lesion_free() -> None:
    same = grainy(1.0)
    studies = [("rsna", 0, same)] * 20 + [("aisd", 2, same)] * 20
    views = {view.view: view.balanced_accuracy["value"] for view in probe_sources([head_set(studies)]).views}
    assert views["full image"] > 0.9  # the lesions tell
    assert max(views["brain masked out"], views["lesion-free slices"]) < 0.75


def test_a_third_sources_lesions_do_not_tell_two_others_apart() -> None:
    free = {"bern": range(5), "rsna": range(3), "vienna": range(2, 5)}  # slices without lesion
    data = head_set([(source, 0, grainy(5.0)) for source in free for _ in range(16)])
    height = np.arange(len(data)) % 5
    labels = np.asarray([
        0 if k in free[data.studies[study].source] else 1
        for k, study in zip(height, data.study_of_slice, strict=True)
    ])  # fmt: skip
    images = np.clip(data.shards[0][0] + 8.0 * height[:, None, None, None], 0, 255).astype(np.uint8)
    data = replace(data, labels=labels, shards=((images, data.shards[0][1]),))
    views = [view for view in probe_sources([data]).views if view.view == VIEWS[2]]
    assert len(views) == 3
    assert all(view.balanced_accuracy["value"] < 0.65 for view in views)


def test_what_cannot_be_probed_is_said_and_never_called_sound() -> None:
    one = probe_sources([head_set([("rsna", n % 2, grainy(3.0)) for n in range(4)])])
    assert (one.views, one.confounded) == ((), False)
    assert "one source only (rsna)" in one.headline and "not excluded" in one.headline
    few = probe_sources([head_set([("rsna", 0, grainy(3.0))] * 5 + [("aisd", 2, grainy(3.0))] * 3)])
    assert "fewer than 4 patients of aisd" in few.headline


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_the_brain_and_the_lesion_in_it_are_masked_and_skull_and_scalp_stay(dtype: type) -> None:
    image = head(1, 1, grainy(3.0), True)
    stored = image if dtype == np.uint8 else (image / 255.0).astype(np.float16)
    blank = without_brain(stored[None])[0]
    y, x = np.mgrid[:224, :224] - 112.0
    radius = np.hypot(x / 70, y / 85)
    assert not blank[:, radius < 0.85].any()
    assert np.array_equal(blank[:, radius > 1.06], stored[:, radius > 1.06])
    assert stored[:, radius < 0.85].any()  # the original is unchanged


def test_where_the_skull_does_not_close_the_depth_under_the_skin_decides() -> None:
    image = head(1, 0, grainy(0.0), False)
    image[:, 90:140, :112] = np.minimum(image[:, 90:140, :112], image[:, 112, 112][:, None, None])  # no bone there
    assert brain_of(image)[112, 112] and brain_of(image)[70, 112]
