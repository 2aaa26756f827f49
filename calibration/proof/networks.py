"""A big network taught on SYNTHETIC slices as well as the machine can in a few minutes, and a patient network behind.

With a GPU all of it is trained; without, only the head on what the random network makes of slices. Either way FP32
gives answers that INT8 can keep or lose. How well they fit the labels is measured, and is not what is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from edge_app.core.types import FloatArray
from export.golden import GoldenSet
from training.families import Classifier
from training.features import FeatureSet
from training.patient_model import PatientModel
from training.shards import StudySet
from training.train_patient import PatientRecipe, train_patient

__all__ = ["Taught", "golden_from", "teach", "unit_slices"]

RIDGE = 1e-2
"""Of the features' mean square: a head that fits noise would lose more to INT8 than a trained one."""

BATCH = 32

RECIPE = PatientRecipe(batch=4, epochs=100, patience=100)
"""Until the patient network is sure of those it learns from: where classes all but tie, as after a few steps, the last
digits of a probability decide, and a flip says nothing of INT8."""


@dataclass(frozen=True, eq=False, slots=True)
class Taught:
    """Both networks on the CPU, and how they were made."""

    image: Classifier
    patient: PatientModel
    how: str


def teach(architecture: str, train: StudySet, studies: NDArray[np.int64], *, epochs: int, seed: int = 2023) -> Taught:
    """Return networks taught on `train`, the patient network only on `studies` of it.

    `epochs` only counts where there is a GPU.
    """
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Classifier(architecture).to(device)
    if device == "cuda":
        _fit(model, train, epochs, seed)
    else:
        _settle(model, train)
    rows = _rows(model, train)
    head = _set_head(model, rows, train.labels)
    ends = np.cumsum([len(record.slice_labels) for record in train.records])
    tables = np.split(np.concatenate([rows, head(torch.from_numpy(rows)).detach().numpy()], axis=1), ends[:-1])
    known = FeatureSet(tuple(train.records), tuple(tables))
    torch.manual_seed(seed)
    patient = PatientModel(model.features + 3)
    train_patient(patient, known.subset(studies), known.subset(studies), RECIPE)
    how = (
        f"trained {epochs} epochs on a GPU, head by ridge regression" if device == "cuda" else "only the head, by ridge"
    )
    return Taught(model.cpu().eval(), patient.cpu().eval(), how)


def unit_slices(data: StudySet, slices: NDArray[np.int64]) -> FloatArray:
    """Return (n, 3, 224, 224) float32 in [0, 1]."""
    return np.ascontiguousarray(data.inputs(slices).astype(np.float32) / 255.0)


def golden_from(data: StudySet, studies: NDArray[np.int64]) -> GoldenSet:
    """Return whole studies as a golden set."""
    members = [np.flatnonzero(data.study_of_slice == number) for number in studies]
    positions = [np.asarray(data.records[number].positions_mm, np.float64) for number in studies]
    return GoldenSet(
        unit_slices(data, np.concatenate(members)),
        np.repeat(np.arange(len(studies)), [len(part) for part in members]),
        np.concatenate(positions),
        data.study_labels()[studies],
    )


def _fit(model: Classifier, data: StudySet, epochs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = epochs * (len(data) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-4, total_steps=max(steps, 2), pct_start=0.1)
    counts = np.bincount(data.labels, minlength=3)
    weight = torch.tensor(counts.sum() / (3.0 * np.maximum(counts, 1)), dtype=torch.float32, device="cuda")
    model.train()
    with tqdm(total=steps, desc=f"training {model.architecture}", unit="step") as bar:
        for _ in range(epochs):
            order = rng.permutation(len(data))
            for first in range(0, len(order) - BATCH + 1, BATCH):
                part = np.sort(order[first : first + BATCH])
                images = torch.from_numpy(data.inputs(part)).to("cuda").float() / 255.0
                if rng.random() < 0.5:
                    images = images.flip(3)
                labels = torch.from_numpy(data.labels[part]).to("cuda")
                with torch.autocast("cuda", torch.bfloat16):
                    logits = model.scores(images)[1]
                loss = nn.functional.cross_entropy(logits.float(), labels, weight)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                bar.update()
    model.eval()


@torch.no_grad()
def _settle(model: Classifier, data: StudySet) -> None:
    """Give batch normalisations the statistics of slices; untrained, values would grow with every block."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
    model.train()
    model.scores(torch.from_numpy(unit_slices(data, np.linspace(0, len(data) - 1, 16).round().astype(np.int64))))
    model.eval()


@torch.no_grad()
def _set_head(model: Classifier, rows: FloatArray, labels: NDArray[np.int64]) -> nn.Linear:
    """Fit the head to the features in closed form, classes weighing alike, and return it on the CPU."""
    mean = rows.mean(axis=0, dtype=np.float64)
    x = rows - mean
    weight = (len(labels) / (3.0 * np.maximum(np.bincount(labels, minlength=3), 1)))[labels][:, None]
    gram = x.T @ (weight * x)
    target = np.eye(3)[labels] - 1 / 3
    found = np.linalg.solve(gram + RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)), x.T @ (weight * target))
    scale = 6.0
    head = [module for module in model.net.modules() if isinstance(module, nn.Linear) and module.out_features == 3][-1]
    head.weight.copy_(torch.from_numpy(scale * found.T))
    head.bias.copy_(torch.from_numpy(-scale * found.T @ mean))
    return head.cpu()


@torch.no_grad()
def _rows(model: Classifier, data: StudySet) -> FloatArray:
    """Return the features (N, F) of all slices; what stands before the head does not change when it is set."""
    model.eval()
    device = next(model.parameters()).device
    rows = []
    for first in tqdm(range(0, len(data), BATCH), desc="features", unit="batch"):
        part = np.arange(first, min(first + BATCH, len(data)))
        rows.append(model.scores(torch.from_numpy(unit_slices(data, part)).to(device))[0].float().cpu().numpy())
    return np.concatenate(rows)
