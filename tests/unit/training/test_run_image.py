"""Image networks train on prepared slices, survive a kill without a trace, on any number of devices."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_app.core.errors import ConfigError, TrainingError
from training.data.prepared import open_prepared
from training.experiment import load_image_network, save_image_network
from training.families import Classifier
from training.image_model import DEMO_ARCHITECTURE
from training.image_trainer import ImageRun, Trainer
from training.published_weights import import_image
from training.recipes import SLICE_RECIPES, slice_recipe
from training.run_image import CHECKPOINT
from training.slice_batches import Augmentation, load_ahead, plan_steps, to_unit
from training.targets import loss_sum, make_targets, map_loss_sum
from training.weights import read_state_dict

ROOT = Path(__file__).resolve().parents[3]
ALONE = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def command(prepared: Path, out: Path, *extra: str) -> list[str]:
    words = f"train image --data {prepared} --out {out} --weights random --accelerator cpu --batch 12 --epochs 2"
    return ["-m", "edge_app", *words.split(), *extra]


def run(words: list[str], launcher: tuple[str, ...] = ()) -> None:
    subprocess.run([sys.executable, *launcher, *words], env=ALONE, cwd=ROOT, check=True, capture_output=True)


def test_published_hyperparameters_are_the_default_recipe() -> None:
    recipe = SLICE_RECIPES["seed2023"]
    assert (recipe.optimiser, recipe.learning_rate, recipe.weight_decay) == ("adam", 1e-6, 1e-7)
    assert (recipe.batch, recipe.epochs) == (32, 500)
    with pytest.raises(ConfigError, match="learning_rate"):
        slice_recipe("modern", learning_rate=-1.0)


def test_no_source_teaches_what_it_does_not_label(prepared: Path) -> None:
    data = open_prepared(prepared)["train"]
    targets = make_targets(data, "findings")
    sources = np.asarray([study.source for study in data.studies])[data.study_of_slice]
    assert (targets.weight[sources == "rsna"] == [1, 0]).all()
    assert (targets.weight[sources == "aisd"] == [0, 1]).all()
    raw = torch.zeros(len(data), 2, requires_grad=True)
    loss_sum(raw, torch.from_numpy(targets.values), torch.from_numpy(targets.weight)).backward()
    assert (raw.grad.numpy()[sources == "rsna", 1] == 0).all()
    assert (raw.grad.numpy()[sources == "aisd", 0] == 0).all()


def test_a_slice_without_a_label_teaches_nothing(prepared: Path) -> None:
    data = open_prepared(prepared)["train"]
    labels = data.labels.copy()
    labels[:2] = -1
    for mode in ("softmax", "findings"):
        targets = make_targets(replace(data, labels=labels), mode)
        assert not np.isin([0, 1], targets.usable()).any()
        assert len(targets.usable()) == len(data) - 2


def test_an_empty_class_is_named(prepared: Path) -> None:
    data = open_prepared(prepared)["train"]
    with pytest.raises(TrainingError, match="no ischemic slice"):
        make_targets(replace(data, labels=np.where(data.labels == 2, 0, data.labels)), "softmax")


def test_balanced_weights_give_each_class_the_same_sum(prepared: Path) -> None:
    data = open_prepared(prepared)["train"]
    targets = make_targets(data, "softmax", balanced=True)
    sums = [targets.weight[data.labels == index].sum() for index in range(3)]
    assert np.allclose(sums, sums[0])


def test_steps_and_changes_do_not_depend_on_the_number_of_devices(prepared: Path) -> None:
    data = open_prepared(prepared)["train"]
    targets = make_targets(data, "softmax")
    plan = plan_steps(targets.usable(), 8, seed=1, epoch=3)
    augment = Augmentation((40.0, 140.0, 2800.0), 1, torch.device("cpu"))
    whole = next(iter(load_ahead(data, targets, plan[:1])))
    changed, moved = augment(to_unit(whole.images), to_unit(whole.masks), whole.slices, 3)
    for rank in (0, 1):
        part = next(iter(load_ahead(data, targets, plan[:1], rank=rank, devices=2)))
        images, masks = augment(to_unit(part.images), to_unit(part.masks), part.slices, 3)
        assert torch.allclose(images, changed[rank::2], atol=1e-6)
        assert torch.allclose(masks, moved[rank::2], atol=1e-6)
        assert (part.total_weight, part.total_masks) == (whole.total_weight, whole.total_masks)
    assert not torch.equal(changed, augment(to_unit(whole.images), to_unit(whole.masks), whole.slices, 4)[0])


def test_a_step_of_fewer_slices_than_devices_leaves_some_of_them_without_any(prepared: Path) -> None:
    data = open_prepared(prepared)["validation"]
    targets = make_targets(data, "softmax")
    last = [targets.usable()[:1]]  # as the end of the validation split may be
    one, none = (next(iter(load_ahead(data, targets, last, rank=rank, devices=2))) for rank in (0, 1))
    assert (len(one.slices), len(none.slices)) == (1, 0)
    assert none.images.shape == (0, 3, 224, 224) and none.masks.shape == (0, 28, 28)
    assert none.total_weight == one.total_weight == 1


@pytest.mark.parametrize("mode", ["softmax", "findings"])
def test_lesion_masks_teach_where_and_only_where_they_are_known(prepared: Path, mode: str) -> None:
    data = open_prepared(prepared)["train"]
    targets = make_targets(data, mode)
    step = next(iter(load_ahead(data, targets, [targets.usable()])))
    blood = step.values == 1 if mode == "softmax" else step.values[:, 0] == 1
    infarct = step.values == 2 if mode == "softmax" else step.values[:, 1] == 1
    assert not step.mask_known[blood].any() and step.mask_known[infarct].all()  # RSNA has no masks, AISD has
    assert step.total_masks == step.mask_known.sum()
    model = Classifier(DEMO_ARCHITECTURE, labels=mode, maps=True).train()
    where = model(to_unit(step.images[infarct][:2])).saliency
    assert where.shape == (2, 3 if mode == "softmax" else 2, 14, 14)
    masks, values = to_unit(step.masks), step.values
    told = torch.zeros(len(values), where.shape[1], 7, 7)
    share = torch.nn.functional.adaptive_avg_pool2d(masks[:, None], (7, 7))[:, 0]
    told[:, -1] = torch.where((share > 0.25) & infarct[:, None, None], 9.0, -9.0)
    right = map_loss_sum(told, masks, values, step.weight, step.mask_known)
    assert right < map_loss_sum(-told, masks, values, step.weight, step.mask_known)
    assert map_loss_sum(told, masks, values, step.weight, torch.zeros_like(step.mask_known)) == 0
    assert not any(name.startswith("where") for name in model.net.state_dict())


def test_no_source_teaches_where_a_finding_is_not_that_it_does_not_label(prepared: Path) -> None:
    data = open_prepared(prepared)["train"]
    targets = make_targets(data, "findings")
    step = next(iter(load_ahead(data, targets, [targets.usable()])))
    sources = np.asarray([study.source for study in data.studies])[data.study_of_slice[step.slices]]
    where = torch.zeros(len(step.slices), 2, 7, 7, requires_grad=True)
    map_loss_sum(where, to_unit(step.masks), step.values, step.weight, step.mask_known).backward()
    taught = where.grad.abs().sum(dim=(2, 3)).numpy() > 0
    assert not taught[sources == "rsna", 1].any() and not taught[sources == "aisd", 0].any()
    assert taught[sources == "rsna", 0].any() and taught[sources == "aisd", 1].all()


def test_weights_that_started_from_simulated_slices_keep_the_mark_on_real_ones(prepared: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_image_network(tmp_path / "first", Classifier(DEMO_ARCHITECTURE), {"profile": "msu1", "synthetic": True})
    shutil.copytree(prepared, tmp_path / "data")
    facts = json.loads((tmp_path / "data" / "prepared.json").read_text())
    (tmp_path / "data" / "prepared.json").write_text(json.dumps({**facts, "synthetic": False}))
    for weights, mark in ((str(tmp_path / "first" / "image.pt"), True), ("random", False)):
        out = tmp_path / weights.replace("/", "-")
        trainer = Trainer(
            ImageRun(tmp_path / "data", out, DEMO_ARCHITECTURE, SLICE_RECIPES["modern"], weights=weights,
                     accelerator="cpu")
        )  # fmt: skip
        trainer.begin()
        trainer.log.append({"epoch": 1, "loss": 1.0})
        assert trainer.finish()["synthetic"] is mark
        trainer.close()
    import_image(tmp_path / "first" / "image.pt", DEMO_ARCHITECTURE, tmp_path / "taken", profile="msu1")
    assert load_image_network(tmp_path / "taken")[1]["synthetic"] is True


@pytest.mark.integration
def test_a_killed_run_goes_on_to_the_same_weights_bit_by_bit(prepared: Path, tmp_path: Path) -> None:
    modern = ("--arch", DEMO_ARCHITECTURE, "--recipe", "modern", "--labels", "findings", "--checkpoint-steps", "1")
    modern += ("--map-weight", "1")
    run(command(prepared, tmp_path / "whole", *modern))
    words = command(prepared, tmp_path / "killed", *modern)
    process = subprocess.Popen([sys.executable, *words], env=ALONE, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / CHECKPOINT).exists() and time.monotonic() < deadline:
        assert process.poll() is None
        threading.Event().wait(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "image.pt").exists()
    run(words)
    whole, again = (read_state_dict(tmp_path / name / "image.pt") for name in ("whole", "killed"))
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    logs = [json.loads((tmp_path / name / "image.json").read_text())["log"] for name in ("whole", "killed")]
    assert logs[0] == logs[1]
    model, description = load_image_network(tmp_path / "killed")
    assert model.labels == "findings" and description["architecture"] == DEMO_ARCHITECTURE
    assert list((tmp_path / "killed" / "tensorboard").iterdir())
    other = subprocess.run([sys.executable, *words, "--seed", "5"], env=ALONE, cwd=ROOT, capture_output=True, text=True)
    assert other.returncode == 9 and "another recipe" in other.stderr


@pytest.mark.integration
def test_two_processes_give_the_same_result_as_one(prepared: Path, tmp_path: Path) -> None:
    extra = ("--arch", "squeezenet1_1", "--recipe", "seed2023", "--learning-rate", "1e-4")
    run(command(prepared, tmp_path / "one", *extra))
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run(command(prepared, tmp_path / "two", *extra, "--devices", "2"), torchrun)
    one, two = (json.loads((tmp_path / name / "image.json").read_text()) for name in ("one", "two"))
    for alone, together in zip(one["log"], two["log"], strict=True):
        assert together == pytest.approx(alone, rel=1e-4)
    weights = [read_state_dict(tmp_path / name / "image.pt") for name in ("one", "two")]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=5e-5)  # half a step of Adam
