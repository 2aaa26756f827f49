"""The studies a model was most wrong about, as sheets of pictures: to be looked at before any number is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import CLASSES, Verdict
from edge_app.inference.predict import class_probabilities
from training.data.prepared import PreparedSet
from training.feature_cache import FeatureCache

__all__ = ["Case", "draw_sheets", "find_worst"]

COLUMNS = 8
_TILE = 180
_LESION = (80, 80, 255)
_WORDS = (235, 235, 235)
_QUALITY = 82


@dataclass(frozen=True, slots=True)
class Case:
    """One study, by its number in the judged set, with what was true and what was said."""

    study: int
    truth: int
    verdict: Verdict
    probabilities: tuple[float, ...]


def find_worst(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], said: Sequence[Verdict], count: int
) -> list[Case]:
    """Return the `count` studies whose true class got the lowest probability, the worst first."""
    right = probabilities[np.arange(len(labels)), labels]
    return [
        Case(int(i), int(labels[i]), said[i], tuple(float(p) for p in probabilities[i]))
        for i in np.argsort(right, kind="stable")[:count]
    ]


def draw_sheets(cases: Sequence[Case], data: PreparedSet, cache: FeatureCache) -> list[bytes]:
    """Return a JPEG for each case: eight slices, foot to head, in two windows.

    Four are those that speak most for what was wrongly said (or, where all is right, for the truth), four those with
    most lesion, or evenly spaced ones; slices that the data set calls positive have a red frame.
    """
    return [_sheet(case, data, cache) for case in cases]


def _sheet(case: Case, data: PreparedSet, cache: FeatureCache) -> bytes:
    members = np.flatnonzero(data.study_of_slice == case.study)
    members = members[data.seen[members]] if data.seen[members].any() else members
    logits = cache.rows(data, members, title="worst cases", quiet=True)[:, -len(CLASSES) :].astype(np.float64)
    each = class_probabilities(logits, cache.model.labels)
    wrong = int(np.argmax(case.probabilities))
    chosen = _choose(each[:, wrong], data.labels[members] > 0, data.lesion_area_mm2[members])
    images = data.inputs(members[chosen])
    unit = images if images.dtype == np.uint8 else (images * 255.0).round().astype(np.uint8)
    rows = [np.concatenate([_tile(image[channel]) for image in unit], axis=1) for channel in (0, 1)]
    sheet = cv2.cvtColor(np.concatenate(rows, axis=0), cv2.COLOR_GRAY2BGR)
    for column, place in enumerate(chosen):
        left = column * _TILE
        if data.labels[members[place]] > 0:
            cv2.rectangle(sheet, (left + 1, 1), (left + _TILE - 2, 2 * _TILE - 2), _LESION, 2)
        words = f"{place + 1}/{len(members)}  h {each[place, 1]:.2f}  i {each[place, 2]:.2f}"
        cv2.putText(sheet, words, (left + 6, 2 * _TILE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.38, _WORDS, 1, cv2.LINE_AA)
    _, content = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return content.tobytes()


def _choose(score: NDArray[np.float64], positive: NDArray[np.bool_], area: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the places of at most `COLUMNS` slices, in their order."""
    count = len(score)
    if count <= COLUMNS:
        return np.arange(count)
    lesion = np.where(positive, np.nan_to_num(area, nan=1.0) + 1.0, 0.0)
    order = [*np.argsort(-score, kind="stable")[: COLUMNS // 2]]
    order += [i for i in np.argsort(-lesion, kind="stable") if lesion[i] > 0 and i not in order][: COLUMNS // 2]
    spread = np.linspace(0, count - 1, COLUMNS).round().astype(int)
    order += [i for i in (*spread, *range(count)) if i not in order]
    return np.sort(np.asarray(list(dict.fromkeys(order))[:COLUMNS], np.int64))


def _tile(channel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(channel, (_TILE, _TILE), interpolation=cv2.INTER_AREA), np.uint8)
