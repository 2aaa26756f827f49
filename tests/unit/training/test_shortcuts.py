"""A model that looks at the scanner is found out; one that looks at the lesion is not accused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training.feature_cache import FeatureCache, study_features
from training.features import FeatureSet, pad
from training.patient_model import PatientOutput
from training.shortcuts import answers_without_brain, contrast_within_sources

from .heads import grainy, head_set


class Watcher(nn.Module):
    """Stands for an image network: the middle of the brain, or the scalp, decides."""

    features = 1

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.weight = nn.Parameter(torch.zeros(len(where)))

    def scores(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        brain = image[:, 1, 110:135, 78:96].mean(dim=(1, 2)) * 140 - 10
        skull = image[:, 1, :, :].amax(dim=(1, 2)) * 140 - 10
        seen = brain if self.where == "brain" else skull
        logits = torch.stack([-((seen - centre) ** 2) for centre in (32.0, 70.0, 18.0)], dim=1) / 20
        return seen[:, None], logits


class Loudest(nn.Module):
    """Stands for a patient network: the slice that is surest of a finding decides."""

    def forward(self, features: torch.Tensor, position_mm: torch.Tensor, mask: torch.Tensor) -> PatientOutput:
        margin = (features[..., -2:] - features[..., -3:-2]).masked_fill(mask[..., None] == 0, -99).amax(dim=1)
        logits = nn.functional.pad(margin, (1, 0))
        return PatientOutput(logits, mask, torch.zeros(len(mask)))


SCANNER = grainy(2.0)
DATA = head_set([(source, label, SCANNER) for label in range(3) for source in ("rsna", "aisd") for _ in range(4)])


def test_a_model_that_looks_at_lesions_is_lost_without_the_brain(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, Watcher("brain"))  # type: ignore[arg-type]
    features = study_features(cache, DATA)
    logits = Loudest()(*_padded(features)).logits
    assert (logits.argmax(dim=1).numpy() == DATA.study_labels()).mean() > 0.9
    judged = answers_without_brain(cache, Loudest(), DATA)
    assert judged["chance"] == pytest.approx(1 / 3, abs=1e-3)
    assert not judged["shortcut"]


@pytest.mark.requirement("R87")
def test_a_model_that_needs_no_brain_is_called_a_shortcut(tmp_path: Path) -> None:
    scanners = {0: grainy(0.0), 1: grainy(0.0), 2: grainy(0.0)}
    data = head_set([("rsna" if label < 2 else "aisd", label, scanners[label]) for label in range(3) for _ in range(4)])
    images = data.shards[0][0].copy()
    for number, label in enumerate(data.study_labels()[data.study_of_slice]):
        bright = (32.0, 70.0, 18.0)[int(label)]  # the head rest of each source, so to say
        images[number, 1] = np.minimum(images[number, 1], round((bright + 10) / 140 * 255))
    shards = ((images, data.shards[0][1]),)
    marked = type(data)(**{n: getattr(data, n) for n in data.__dataclass_fields__ if n != "shards"}, shards=shards)
    cache = FeatureCache(tmp_path, Watcher("skull"))  # type: ignore[arg-type]
    judged = answers_without_brain(cache, Loudest(), marked)
    assert judged["shortcut"] and judged["balanced_accuracy"]["value"] > 0.9


@pytest.mark.requirement("R88")
def test_lesions_are_parted_from_the_same_patients_other_slices_within_each_source(tmp_path: Path) -> None:
    features = study_features(FeatureCache(tmp_path, Watcher("brain")), DATA)  # type: ignore[arg-type]
    rows = contrast_within_sources(features, DATA)
    assert {(row["source"], row["finding"]) for row in rows} == {
        (source, finding) for source in ("rsna", "aisd") for finding in ("hemorrhage", "ischemic")
    }
    for row in rows:
        assert (row["lesion_slices"], row["lesion_free_slices"], row["patients"]) == (8, 12, 4)
        assert row["slice_auc"]["value"] > 0.95
        assert row["called_on_lesion_free"]["value"] < 0.1


def test_a_lesion_is_compared_with_what_lies_nearest_to_its_height_above_or_below(tmp_path: Path) -> None:
    data = head_set([("rsna", 1, SCANNER)] * 5)
    known = study_features(FeatureCache(tmp_path, Watcher("brain")), data)  # type: ignore[arg-type]
    # From foot to head: clean, lesion, two unlabelled, clean at the very top, where the network sees ghosts.
    rows = np.float32([[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 0]])
    records = tuple(replace(record, slice_labels=(0, 1, -1, -1, 0)) for record in known.records)
    contrast = contrast_within_sources(FeatureSet(records, (rows,) * 5), data)
    assert contrast[0]["slice_auc"]["value"] == 1.0


def _padded(features: object) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    assert isinstance(features, FeatureSet)
    heights = [features.heights_mm(i) for i in range(len(features.records))]
    batch = pad(list(features.features), heights, features.labels())
    return batch.features, batch.position_mm, batch.mask
