"""What several claims need, made once: the image network, and features of all studies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.data.prepared import PreparedSet
from training.experiment import load_image_network, save_image_network
from training.families import Classifier
from training.feature_cache import FeatureCache, best_device, study_features
from training.features import FeatureSet
from training.image_model import COARSE_ARCHITECTURE
from training.proof.claim import Sizes
from training.proof.corpus import Corpus
from training.recipes import SliceRecipe, slice_recipe
from training.run_image import ImageRun, train_slices

__all__ = ["Ready", "image_run", "join", "make_ready", "untrained_features"]


@dataclass(frozen=True, eq=False, slots=True)
class Ready:
    """The corpus, opened, and the slice features of a trained image network."""

    folder: Path
    corpus: Corpus
    sets: dict[str, PreparedSet]
    features: dict[str, FeatureSet]
    image: Path
    sizes: Sizes


def image_run(corpus: Corpus, out: Path, sizes: Sizes) -> ImageRun:
    """Return the training of the proof's image network: the modern recipe, for a network of a million weights."""
    recipe: SliceRecipe = slice_recipe(
        "modern",
        epochs=sizes.image_epochs,
        learning_rate=2e-3,
        weight_decay=0.02,
        map_weight=1.0,
        patience=sizes.image_epochs,
        seed=sizes.seed,
    )
    return ImageRun(data=corpus.prepared, out=out, architecture=COARSE_ARCHITECTURE, recipe=recipe, weights="random")


def make_ready(folder: Path, corpus: Corpus, sizes: Sizes) -> Ready:
    """Train the image network and compute the features of all sides; goes on where it was stopped."""
    out = folder / "image"
    if not (out / "image.json").exists():
        train_slices(image_run(corpus, out, sizes))
    model, _ = load_image_network(out)
    sets = corpus.open()
    cache = FeatureCache(out, model, device=best_device())
    features = {side: study_features(cache, data, title=f"features, {side}") for side, data in sets.items()}
    return Ready(folder, corpus, sets, features, out, sizes)


def untrained_features(folder: Path, data: PreparedSet, seed: int) -> FeatureSet:
    """Return features of a network with random weights: little to learn from, but enough to know a study again."""
    torch.manual_seed(seed)
    model = Classifier(COARSE_ARCHITECTURE).eval()
    out = folder / "untrained"
    save_image_network(out, model, {"profile": "msu1"})
    return study_features(FeatureCache(out, model, device=best_device()), data, title="features, untrained")


def join(*parts: FeatureSet) -> FeatureSet:
    """Return the studies of several sets as one."""
    return FeatureSet(
        tuple(record for part in parts for record in part.records),
        tuple(np.asarray(rows) for part in parts for rows in part.features),
    )
