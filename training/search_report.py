"""What a search found: ``search.json``, ``history.png`` and ``importance.png``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from optuna.importance import get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from edge_app.core.errors import ConfigError, TrainingError
from training.data.atomic import replacing
from training.experiment import read_description, write_description
from training.search import Search, folder_of
from training.search_spaces import Drawn, sort_out

__all__ = ["FOUND", "read_found", "write_report"]

FOUND = "search.json"
_GREY, _BLUE, _RED = "#9a9a9a", "#1f5fa8", "#b3261e"


def write_report(study: Study, search: Search) -> dict[str, Any]:
    """Write the files and return what stands in ``search.json``.

    Raises
    ------
    TrainingError
        If no trial reached its end.
    """
    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        raise TrainingError(
            f"none of {len(trials)} trials in {search.out} reached its end: all diverged or ran out of memory",
            remedy="Look at the messages above; take a smaller --batch or other --archs.",
        )
    best = min(complete, key=lambda trial: (trial.value, trial.number))
    importance = _importance(study, complete)
    found = {
        "kind": search.kind,
        "recipe": search.recipe,
        "seed": search.seed,
        "trials": dict(Counter(trial.state.name.lower() for trial in trials)),
        "best": {
            "trial": best.number,
            "loss": best.value,
            "parameters": best.params,
            "folder": folder_of(best, search.out).name,
        },
        "importance": importance,
        "identity": study.user_attrs.get("identity", {}),
        "log": [
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "loss": trial.value,
                "epochs": len(trial.intermediate_values),
                **trial.params,
                **({"ended": trial.user_attrs["ended"]} if "ended" in trial.user_attrs else {}),
            }
            for trial in trials
        ],
    }
    _draw_history(trials, search.out / "history.png")
    if importance:
        _draw_importance(importance, search.out / "importance.png")
    write_description(search.out / FOUND, found)
    return found


def read_found(folder: Path, kind: str, recipe: str) -> Drawn:
    """Return the hyperparameters of the best trial of a finished search.

    Raises
    ------
    ConfigError
        If the search was for another network or recipe.
    TrainingError
        If there is none.
    """
    found = read_description(folder / FOUND, "msu train search")
    if (found["kind"], found["recipe"]) != (kind, recipe):
        raise ConfigError(
            f"{folder} is a search for {found['kind']} {found['recipe']}, not {kind} {recipe}",
            remedy="Give the same network and --recipe as in the search.",
        )
    return sort_out(found["best"]["parameters"], kind, recipe)


def _importance(study: Study, complete: list[FrozenTrial]) -> dict[str, float]:
    """Return how much each parameter decides, or nothing where too few trials differ to tell."""
    varied = {name for name in complete[0].params if len({trial.params.get(name) for trial in complete}) > 1}
    if len(complete) < 4 or not varied or len({trial.value for trial in complete}) < 2:
        return {}
    shares = get_param_importances(study, params=sorted(varied))
    return {name: round(float(share), 4) for name, share in shares.items() if np.isfinite(share)}


def _draw_history(trials: list[FrozenTrial], path: Path) -> None:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    ended = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED and trial.intermediate_values]
    axes.scatter([t.number for t in ended], [t.value for t in ended], color=_BLUE, s=18, label="finished")
    if pruned:
        lows = [min(t.intermediate_values.values()) for t in pruned]
        axes.scatter([t.number for t in pruned], lows, color=_GREY, s=18, marker="x", label="pruned")
    axes.step(
        [t.number for t in ended],
        np.minimum.accumulate([t.value for t in ended]),
        where="post",
        color=_RED,
        label="best so far",
    )
    axes.set(xlabel="trial", ylabel="best validation loss of the trial", title="History of the search")
    axes.legend()
    _save(figure, path)


def _draw_importance(importance: dict[str, float], path: Path) -> None:
    figure = Figure(figsize=(8, 1.2 + 0.45 * len(importance)), layout="constrained")
    axes = figure.add_subplot()
    names, shares = list(importance)[::-1], list(importance.values())[::-1]
    bars = axes.barh(names, shares, color=_BLUE)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set(xlabel="share in the differences of the validation loss", title="Importance of the parameters")
    axes.set_xlim(0, max(shares) * 1.12)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)
