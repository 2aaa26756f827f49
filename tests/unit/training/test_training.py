"""Training keeps the best weights, draws classes evenly, and changes studies only while it trains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from edge_app.core.errors import TrainingError
from training.augment import augment_slices
from training.features import FeatureSet, extract_features
from training.image_model import ImageModel
from training.novelty import choose_distance_threshold, fit_distance
from training.patient_model import PatientModel
from training.shards import StudyRecord, StudySet
from training.stopping import BestWeights
from training.targets import LABEL_MODES, study_targets
from training.train_image import ImageRecipe, balanced_batches, train_image
from training.train_patient import PatientRecipe, predict_patients, train_patient, vary_study

SMALL = ImageRecipe(epochs=1, slices_per_epoch=24, batch=6, validation_slices=12)


def test_early_stopping_gives_back_the_best_weights_not_the_last() -> None:
    model, best = nn.Linear(1, 1, bias=False), BestWeights(patience=2)
    for weight, loss in ((1.0, 0.9), (2.0, 0.5), (3.0, 0.7), (4.0, 0.8)):
        nn.init.constant_(model.weight, weight)
        assert best.update(model, loss) == (loss in (0.9, 0.5))
    assert best.exhausted
    best.restore(model)
    assert model.weight.item() == 2.0


def test_a_loss_that_is_not_a_number_stops_training() -> None:
    with pytest.raises(TrainingError, match="nan"):
        BestWeights(1).update(nn.Linear(1, 1), float("nan"))


def test_every_class_is_drawn_in_its_share(study_set: StudySet) -> None:
    recipe = replace(SMALL, slices_per_epoch=300, batch=10)
    drawn = np.concatenate(list(balanced_batches(study_set, recipe, seed=0)))
    shares = np.bincount(study_set.labels[drawn], minlength=3) / len(drawn)
    assert np.allclose(shares, recipe.class_shares, atol=0.01)


def test_the_same_seed_draws_the_same_slices(study_set: StudySet) -> None:
    first, again = (np.concatenate(list(balanced_batches(study_set, SMALL, seed=4))) for _ in range(2))
    assert np.array_equal(first, again)


def test_augmentation_moves_masks_along_with_images() -> None:
    images = torch.zeros(8, 3, 224, 224)
    images[:, :, 60:120, 130:190] = 1.0
    masks = nn.functional.avg_pool2d(images[:, :1], 8)
    moved, moved_masks = augment_slices(images, masks, (1e9, 1e9, 1e9), torch.Generator().manual_seed(0))
    bright = (nn.functional.avg_pool2d(moved[:, :1], 8) > 0.5).float()
    overlap = (bright * moved_masks).sum() / moved_masks.sum()
    assert overlap > 0.85
    assert float(moved.min()) >= 0.0 and float(moved.max()) <= 1.0


def test_both_networks_train_and_answer(study_set: StudySet) -> None:
    torch.manual_seed(0)
    image = ImageModel(shrink=2)
    log = train_image(image, study_set, study_set, (40.0, 140.0, 2800.0), SMALL)
    assert len(log) == 1 and not image.training
    features = extract_features(image, study_set)
    assert [len(rows) for rows in features.features] == [len(r.slice_labels) for r in study_set.records]
    for labels in LABEL_MODES:
        patient = PatientModel(image.features + 3, labels=labels)
        mixed = 0.5 if labels == "findings" else 0.0
        train_patient(patient, features, features, PatientRecipe(epochs=2, batch=6, both=mixed))
        logits, distances = predict_patients(patient, features)
        assert logits.shape == (18, 3) and distances.shape == (18,)
        again, _ = predict_patients(patient, features)
        assert torch.equal(logits, again)
        assert bool(logits[:, 0].any()) == (labels == "softmax")


@pytest.mark.requirement("R22")
def test_a_study_teaches_only_the_finding_that_its_source_labels() -> None:
    records = [
        StudyRecord(1, label, "", "", 0.0, 0.0, (0.0,), (label,), (0.0,), source)
        for label, source in [(1, "rsna"), (0, "rsna"), (2, "aisd"), (0, "aisd"), (1, ""), (2, "")]
    ]
    told = study_targets(records, "findings")
    assert told.weight.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1], [1, 1], [1, 1]]
    assert told.values[told.weight > 0].tolist() == [1, 0, 1, 0, 1, 0, 0, 1]
    balanced = study_targets(records, "findings", balanced=True)
    for column in range(2):
        weight, present = balanced.weight[:, column], told.values[:, column] > 0
        assert weight[present].sum() == pytest.approx(weight[~present].sum())
    with pytest.raises(TrainingError, match=r"no no-ischemic .* study .*"):
        study_targets([records[i] for i in (0, 1, 2)], "findings")


def test_studies_are_turned_upside_down_only_while_training() -> None:
    rows, heights = np.arange(12, dtype=np.float32).reshape(6, 2), np.arange(6, dtype=np.float32) * 5
    recipe = PatientRecipe(reverse=1.0, crop=0.0, feature_noise=0.0)
    turned, mirrored = vary_study(rows, heights, np.random.default_rng(0), recipe, np.zeros(2, np.float32))
    assert np.array_equal(turned, rows[::-1])
    assert np.array_equal(mirrored, heights)
    kept, same = vary_study(
        rows, heights, np.random.default_rng(0), replace(recipe, reverse=0.0), np.zeros(2, np.float32)
    )
    assert np.array_equal(kept, rows) and np.array_equal(same, heights)


def test_a_study_unlike_all_others_lies_above_the_threshold(study_set: StudySet) -> None:
    rng = np.random.default_rng(0)

    def studies(offset: float) -> FeatureSet:
        records = tuple(study_set.records) * 8
        rows = tuple(rng.standard_normal((6, 20), dtype=np.float32) + offset for _ in records)
        return FeatureSet(records, rows)

    model = PatientModel(20)
    train, validation, strange = studies(0.0), studies(0.0), studies(4.0)
    fit_distance(model, train)
    threshold = choose_distance_threshold(train, validation, model)
    assert float(predict_patients(model, validation)[1].max()) < threshold
    assert float(predict_patients(model, strange)[1].min()) > threshold
