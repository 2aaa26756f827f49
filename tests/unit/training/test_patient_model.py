"""Padding never changes an answer, and positions mean millimetres."""

from __future__ import annotations

import pytest
import torch

from training.levels import LEVELS, STEP_MM, to_levels
from training.patient_model import PatientModel, encode_position
from training.patient_transformer import PatientTransformer

FEATURES = 11


@pytest.fixture(scope="module")
def model() -> PatientModel:
    torch.manual_seed(3)
    return PatientModel(FEATURES, width=16, hidden=8).eval()


@pytest.mark.parametrize("length", [1, 2, 40, 79, 80])
def test_padding_never_changes_the_answer(model: PatientModel, length: int) -> None:
    features, height = torch.randn(2, length, FEATURES), torch.arange(length).float().repeat(2, 1) * 5.0
    padded = torch.nn.functional.pad(features, (0, 0, 0, 13), value=5.0)
    padded[:, length:, 0] = float("nan")
    with torch.no_grad():
        alone = model(features, height, torch.ones(2, length))
        together = model(
            padded,
            torch.nn.functional.pad(height, (0, 13)),
            torch.nn.functional.pad(torch.ones(2, length), (0, 13)),
        )
    assert torch.allclose(alone.logits, together.logits, atol=1e-6)
    assert torch.allclose(alone.attention, together.attention[:, :length], atol=1e-6)
    assert torch.equal(together.attention[:, length:], torch.zeros(2, 13))
    assert torch.allclose(alone.distance, together.distance, atol=1e-5)


def test_studies_of_different_length_do_not_touch_each_other(model: PatientModel) -> None:
    features, height = torch.randn(2, 20, FEATURES), torch.arange(20).float().repeat(2, 1) * 5.0
    mask = (torch.arange(20) < torch.tensor([[20], [7]])).float()
    with torch.no_grad():
        both = model(features, height * mask, mask)
        short = model(features[1:, :7], height[1:, :7], torch.ones(1, 7))
    assert torch.allclose(both.logits[1:], short.logits, atol=1e-6)


def test_the_backward_direction_starts_at_the_last_true_slice(model: PatientModel) -> None:
    features = torch.randn(1, 5, FEATURES)
    changed = features.clone()
    changed[:, -1] += 1.0
    layer = model.layers[0]
    mirror = torch.tensor([[4, 3, 2, 1, 0]])
    with torch.no_grad():
        x, y = (model.project(f) for f in (features, changed))
        assert not torch.allclose(layer(x, mirror)[:, 0], layer(y, mirror)[:, 0])
        assert torch.equal(layer(x, mirror)[:, 0, :8], layer(y, mirror)[:, 0, :8])


def test_attention_sums_to_one(model: PatientModel) -> None:
    with torch.no_grad():
        output = model(torch.randn(3, 9, FEATURES), torch.arange(9).float().repeat(3, 1) * 4.0, torch.ones(3, 9))
    assert torch.allclose(output.attention.sum(dim=1), torch.ones(3))
    assert output.attention.min() > 0 and output.attention.std() > 0  # of several levels, each slice in some


def test_a_position_is_told_from_both_ends() -> None:
    height = torch.tensor([[0.0, 10.0, 40.0]])
    code = encode_position(height, torch.ones(1, 3))
    mirrored = encode_position(40.0 - height.flip(1), torch.ones(1, 3)).flip(1)
    half = code.shape[2] // 2
    up = [2 * i for i in range(half // 2)] + [half + 2 * i for i in range(half // 2)]
    down = [i + 1 for i in up]
    assert torch.allclose(code[..., up], mirrored[..., down], atol=1e-6)


@pytest.mark.requirement("R14")
@pytest.mark.parametrize("network", [PatientModel, PatientTransformer])
def test_twice_as_many_slices_that_show_nothing_new_are_the_same_study(network: type[PatientModel]) -> None:
    torch.manual_seed(4)
    model = network(FEATURES, width=16).eval()
    # Features that change evenly with height: what lies between two slices is their mean.
    features = torch.linspace(0, 1, 30)[None, :, None] * torch.randn(1, 1, FEATURES)
    height = torch.arange(30).float()[None] * 5.0
    between = (features[:, 1:] + features[:, :-1]) / 2
    finer = torch.cat([torch.stack([features[:, :-1], between], dim=2).flatten(1, 2), features[:, -1:]], dim=1)
    with torch.no_grad():
        thick = model(features, height, torch.ones(1, 30))
        thin = model(finer, torch.arange(59).float()[None] * 2.5, torch.ones(1, 59))
    assert torch.allclose(thick.logits, thin.logits, atol=2e-3)
    assert torch.allclose(thin.attention.sum(), torch.ones(()))


def test_slices_of_the_usual_thickness_are_levels_as_they_are() -> None:
    levels = to_levels(torch.arange(30).float()[None] * STEP_MM, torch.ones(1, 30))
    assert levels.mask.sum() == 30
    assert torch.equal(levels.share[0, :30], torch.eye(30))


@pytest.mark.parametrize("spacing_mm", [0.5, 1.25, 2.0, 4.0, 7.5, 10.0])
def test_no_slice_is_left_out_and_no_level_is_empty(spacing_mm: float) -> None:
    count = 80
    levels = to_levels(torch.arange(count).float()[None] * spacing_mm, torch.ones(1, count))
    shares = levels.share[0]
    assert torch.all(shares.sum(dim=0) > 0)
    assert torch.allclose(shares.sum(dim=1), levels.mask[0])
    assert levels.height_mm.max() <= (count - 1) * spacing_mm + STEP_MM
    assert levels.mask.sum() <= LEVELS


def test_thin_slices_below_thick_ones_fill_every_level_too() -> None:
    height = torch.cat([torch.arange(0.0, 40.0, 2.5), torch.arange(40.0, 150.0, 7.5)])[None]
    levels = to_levels(height, torch.ones_like(height))
    assert torch.allclose(levels.share[0].sum(dim=1), levels.mask[0])
    assert torch.all(levels.share[0].sum(dim=0) > 0)
