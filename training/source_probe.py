"""Can the data source be told from images that hold no lesion, or no brain at all? Then classes may be told so, too.

Where a class comes from one source only, a network can learn the scanner in place of the disease, and no accuracy on
the same sources will show it (DeGrave et al., Nature Machine Intelligence 2021; SCREEN.md R87, M1, M8). So a plain
classifier is asked for the source of studies it was not fitted on, from three views of a few slices of each:

- the full image;
- the image with the brain masked out: scalp, skull, air, and the noise in them;
- slices without lesion.

It sees what no preprocessing takes away (noise, sharpness, densities, coarse shape), and no header, slice distance or
number of slices: each study is compared at the heights that a study of the other source, drawn at random, has in this
view, so that lesion-free slices do not tell by where the lesion was. Folds are by patient. A control with the sources
shuffled among the patients says what chance gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from training.bootstrap import PatientBootstrap
from training.brain_mask import without_brain
from training.data.prepared import PreparedSet
from training.shards import INPUT_SHAPE

__all__ = ["LIMIT", "VIEWS", "SourceProbe", "ViewProbe", "probe_sources"]

VIEWS = ("full image", "brain masked out", "lesion-free slices")

LIMIT = 0.6
"""Balanced accuracy above which sources count as told apart (chance is 0.5, they are compared two by two)."""

MAX_STUDIES = 200
"""Of each source: enough for an interval of a few percent."""

HEIGHTS = 12
"""Into which a brain is divided; one slice of each is looked at."""

FEWEST_PATIENTS = 4
_FOLDS = 5
_PENALTY = 200.0
"""Of the fit; there are more numbers to a study than studies."""

_SHUFFLES = 5
_FIELDS = 8
_BANDS = 14
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_CUT = 0.02
"""Pixels nearer to the ends of a window show no noise."""

Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ViewProbe:
    """How well two sources were told apart from one view."""

    view: str
    sources: tuple[str, str]
    studies: tuple[int, int]
    balanced_accuracy: dict[str, Any]
    """`value`, `n` and `ci95` (bootstrap over patients)."""
    shuffled: float
    """Mean balanced accuracy with the sources shuffled among the patients."""

    @property
    def told_apart(self) -> bool:
        """Whether the balanced accuracy is above `LIMIT`."""
        return self.balanced_accuracy["value"] > LIMIT


@dataclass(frozen=True, slots=True)
class SourceProbe:
    """What all views of all pairs of sources showed."""

    sources: tuple[str, ...]
    views: tuple[ViewProbe, ...]
    left_out: tuple[str, ...]
    """Why a view or source was not probed."""

    @property
    def confounded(self) -> bool:
        """Whether any view tells two sources apart."""
        return any(view.told_apart for view in self.views)

    @property
    def headline(self) -> str:
        """Return one sentence for the top of a report."""
        if self.confounded:
            worst = {
                name: max(v.balanced_accuracy["value"] for v in self.views if v.view == name)
                for name in VIEWS
                if any(v.view == name and v.told_apart for v in self.views)
            }
            named = ", ".join(f"{name} {value:.2f}" for name, value in worst.items())
            return (
                f"source-confounded: the data source can be told from the images (balanced accuracy: {named}; limit "
                f"{LIMIT}). Classes that differ in source may be told by their scanner, not by their disease."
            )
        if self.views:
            return f"the source probe found no view from which the source is told above {LIMIT} balanced accuracy"
        return f"source probe not possible: {'; '.join(self.left_out)}. Confounding by source is not excluded."

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "limit": LIMIT,
            "confounded": self.confounded,
            "headline": self.headline,
            "sources": list(self.sources),
            "views": [{**asdict(view), "told_apart": view.told_apart} for view in self.views],
            "left_out": list(self.left_out),
        }


def probe_sources(sets: Sequence[PreparedSet], *, seed: int = 2023, max_studies: int = MAX_STUDIES) -> SourceProbe:
    """Probe prepared studies; training and validation suffice, so that the test split can stay closed.

    Parameters
    ----------
    sets
        Sides of a split, taken together.
    seed
        Of the folds, the shuffled control and the choice among too many studies.
    max_studies
        Most studies of each source.
    """
    known = [(data, number) for data in sets for number in range(len(data.studies))]
    source_of = np.asarray([data.studies[number].source for data, number in known])
    sources = tuple(sorted(set(source_of.tolist())))
    if len(sources) < 2:
        return SourceProbe(sources, (), (f"there is one source only ({', '.join(sources)})",))
    rng = np.random.default_rng(seed)
    chosen = [
        int(i) for source in sources for i in sorted(rng.permutation(np.flatnonzero(source_of == source))[:max_studies])
    ]
    described = {i: _Described(*known[i]) for i in chosen}
    views, left_out = [], []
    bar = tqdm(total=len(VIEWS) * len(chosen) * (len(sources) - 1), desc="source probe", unit="study", disable=None)
    for view in VIEWS:
        places = {i: described[i].slices(view) for i in chosen}
        for pair in combinations(sources, 2):
            rows: dict[int, Table] = {}
            both = [i for i in chosen if source_of[i] in pair]
            for i in both:
                others = [j for j in both if source_of[j] != source_of[i] and places[j]]
                shared = set(places[i]) & set(places[others[int(rng.integers(len(others)))]]) if others else set()
                if shared:
                    rows[i] = described[i].study(view, [places[i][height] for height in sorted(shared)])
                bar.update()
            members = list(rows)
            patients = [f"{source_of[i]}|{known[i][0].studies[known[i][1]].patient_id}" for i in members]
            few = [s for s in pair if len({p for p in patients if p.startswith(f"{s}|")}) < FEWEST_PATIENTS]
            if few:
                left_out.append(f"{view}: fewer than {FEWEST_PATIENTS} patients of {' and '.join(few)}")
                continue
            table = np.stack([rows[i] for i in members])
            views.append(_probe(view, pair, table, source_of[members], patients, rng))
    bar.close()
    return SourceProbe(sources, tuple(views), tuple(left_out))


class _Described:
    """One study's slices by height, each described when it is first asked for."""

    def __init__(self, data: PreparedSet, number: int) -> None:
        self._data = data
        members = np.flatnonzero(data.study_of_slice == number)
        self._seen = members[data.seen[members]] if data.seen[members].any() else members
        self._rows: dict[tuple[bool, int], Table] = {}

    def slices(self, view: str) -> dict[int, int]:
        """Return one slice for each height (0 to `HEIGHTS` - 1 within the brain) that the view has there."""
        found: dict[int, int] = {}
        for place, number in enumerate(self._seen.tolist()):
            if view != VIEWS[2] or self._data.labels[number] == 0:
                found.setdefault(place * HEIGHTS // len(self._seen), number)
        return found

    def study(self, view: str, slices: Sequence[int]) -> Table:
        """Return mean and deviation of what describes some slices."""
        blank = view == VIEWS[1]
        for number in slices:
            if (blank, number) not in self._rows:
                images = self._data.inputs(np.asarray([number]))
                self._rows[blank, number] = _describe((without_brain(images) if blank else images)[0])
        each = np.stack([self._rows[blank, number] for number in slices])
        return np.concatenate([each.mean(axis=0), each.std(axis=0)])


def _describe(image: NDArray[Any]) -> Table:
    """Return densities, coarse shape, noise and spectrum of each channel of a model input."""
    parts: list[NDArray[Any]] = []
    unit = image.astype(np.float32) / np.float32(255.0 if image.dtype == np.uint8 else 1.0)
    for channel in unit:
        counts = np.bincount((channel * 255.0).astype(np.uint8).ravel(), minlength=256)[1:]
        below = np.cumsum(counts) / max(1, counts.sum())
        parts.append(np.searchsorted(below, _QUANTILES) / 255.0)
        parts.append(cv2.resize(channel, (_FIELDS, _FIELDS), interpolation=cv2.INTER_AREA).ravel())
        residual = channel - cv2.medianBlur(channel, 3)
        noisy = residual[(channel > _CUT) & (channel < 1 - _CUT)]
        parts.append(np.log10([noisy.std() + 1e-4 if len(noisy) else 1e-4]))
        power = np.abs(np.fft.rfft2(channel - channel.mean())) ** 2
        parts.append(np.log10(np.bincount(_RING, power.ravel(), minlength=_BANDS) / _RING_SIZE + 1e-3))
    return np.concatenate(parts).astype(np.float64)


def _rings(rows: int, columns: int) -> NDArray[np.int64]:
    """Return the ring of spatial frequency of each coefficient of a real Fourier transform, flat."""
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    return np.clip((frequency / 0.5 * _BANDS).astype(np.int64), 0, _BANDS - 1).ravel()


_RING = _rings(*INPUT_SHAPE[1:])
_RING_SIZE = np.bincount(_RING, minlength=_BANDS)


def _probe(
    view: str,
    pair: tuple[str, str],
    table: Table,
    source_of: NDArray[np.str_],
    patients: Sequence[str],
    rng: np.random.Generator,
) -> ViewProbe:
    second = source_of == pair[1]
    bootstrap = PatientBootstrap(patients)
    said = _said(table, second, patients)
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    first_of = np.asarray([second[patient == i][0] for i in range(len(names))])
    control = []
    for _ in range(_SHUFFLES):
        shuffled = rng.permutation(first_of)[patient]
        answer = _said(table, shuffled, patients)
        control.append(np.mean([(answer[shuffled == side] == side).mean() for side in (False, True)]))
    return ViewProbe(
        view,
        pair,
        (int((~second).sum()), int(second.sum())),
        bootstrap.balanced_accuracy(said, second),
        round(float(np.mean(control)), 4),
    )


def _said(table: Table, second: NDArray[np.bool_], patients: Sequence[str]) -> NDArray[np.bool_]:
    """Return whether each study is said to be of the second source, by a model fitted on other patients."""
    fewest = min(len({p for p, flag in zip(patients, second, strict=True) if flag == side}) for side in (False, True))
    folds = StratifiedGroupKFold(min(_FOLDS, fewest), shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), RidgeClassifier(_PENALTY, class_weight="balanced"))
    return np.asarray(cross_val_predict(model, table, second, groups=np.asarray(patients), cv=folds), bool)
