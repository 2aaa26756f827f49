"""Sheets show what went wrong: the worst first, with the slices that spoke and the slices that hold the lesion."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from edge_app.core.types import Verdict
from training.families import Classifier
from training.feature_cache import FeatureCache
from training.image_model import DEMO_ARCHITECTURE
from training.worst_cases import _choose, draw_sheets, find_worst

from .heads import SLICES, grainy, head_set


def test_the_least_probable_truth_comes_first() -> None:
    labels = np.asarray([0, 1, 2, 1])
    probabilities = np.asarray([[0.9, 0.05, 0.05], [0.7, 0.2, 0.1], [0.2, 0.2, 0.6], [0.95, 0.03, 0.02]])
    cases = find_worst(labels, probabilities, [Verdict.NONE_DETECTED] * 4, 2)
    assert [(case.study, case.truth) for case in cases] == [(3, 1), (1, 1)]
    assert find_worst(labels, probabilities, [Verdict.NONE_DETECTED] * 4, 0) == []


def test_a_sheet_shows_loud_slices_and_slices_with_lesion_in_their_order() -> None:
    score, positive = np.zeros(40), np.zeros(40, bool)
    score[[5, 30]], positive[[17, 18]] = 0.9, True
    chosen = _choose(score, positive, np.full(40, np.nan, np.float32))
    assert len(chosen) == 8 and {5, 30, 17, 18} <= set(chosen.tolist())
    assert (np.diff(chosen) > 0).all()


def test_slices_with_lesion_have_a_red_frame(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = head_set([("rsna", 1, grainy(2.0))])
    for labels in ("softmax", "findings"):
        cache = FeatureCache(tmp_path / labels, Classifier(DEMO_ARCHITECTURE, labels=labels))
        cases = find_worst(data.study_labels(), np.asarray([[0.8, 0.1, 0.1]]), [Verdict.NONE_DETECTED], 1)
        sheet = cv2.imdecode(np.frombuffer(draw_sheets(cases, data, cache)[0], np.uint8), cv2.IMREAD_COLOR)
        side = sheet.shape[1] // SLICES
        assert sheet.shape[0] == 2 * side
        frames = [sheet[side, k * side + 1].astype(int) for k in range(SLICES)]
        assert [bool(frame[2] > 180 and frame[1] < 130) for frame in frames] == [False, True, True, False, False]
