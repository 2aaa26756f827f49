"""One trial of a search: train what was drawn, and leave its weights in the trial's folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_app.inference.manifest import Labels
from training.features import FeatureSet
from training.recipes import SliceRecipe
from training.run_image import CHECKPOINT, ImageRun, train_slices
from training.run_patient import save_patient, train_studies
from training.search import TrialRunner
from training.search_spaces import Drawn
from training.stopping import Watch

__all__ = ["PatientTrials", "image_trials"]


def image_trials(run: ImageRun) -> TrialRunner:
    """Return what trains an image network as `run` says, but for what was drawn."""

    def train(drawn: Drawn, folder: Path, watch: Watch) -> float:
        recipe: SliceRecipe = replace(run.recipe, **drawn.changes)
        described = train_slices(replace(run, out=folder, architecture=drawn.architecture, recipe=recipe), watch=watch)
        (folder / CHECKPOINT).unlink(missing_ok=True)  # twice the size of the weights, and of no more use
        return float(described["best"]["loss"])

    return train


@dataclass(frozen=True, eq=False, slots=True)
class PatientTrials:
    """Trains patient networks on features that are computed once."""

    arch: str
    recipe: str
    known: FeatureSet
    held_out: FeatureSet
    origin: dict[str, Any]
    """Of the features, for the description of the weights."""
    labels: Labels
    epochs: int | None = None
    seed: int = 2023
    device: str = "cpu"

    def __call__(self, drawn: Drawn, folder: Path, watch: Watch) -> float:
        """Train one."""
        model, description = train_studies(
            self.arch,
            self.recipe,
            self.known,
            self.held_out,
            epochs=self.epochs,
            seed=self.seed,
            labels=self.labels,
            device=self.device,
            changes=drawn.changes,
            sizes=drawn.sizes,
            watch=watch,
        )
        folder.mkdir(parents=True, exist_ok=True)
        save_patient(folder, model, {**description, **self.origin})
        return float(description["best"]["loss"])
