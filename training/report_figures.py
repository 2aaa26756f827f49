"""The figures of an evaluation report, as SVG: reliability before and after calibration, and ROC curves."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edge_app.core.types import CLASSES

__all__ = ["reliability_figure", "roc_figure"]

_BEFORE, _AFTER, _GUIDE = "#b8b8b8", "#1f5f9e", "#999999"
_COLOURS = ("#6b6b6b", "#b3261e", "#1f5f9e")
_QUESTIONS = {"likeliest_class": "likeliest class", "hemorrhage": "haemorrhage", "ischemic": "ischaemic signs"}


def reliability_figure(calibration: Mapping[str, Any]) -> bytes:
    """Return the share that was so over what was said, with the number of studies in each bin.

    Parameters
    ----------
    calibration
        From `training.reliability.judge_calibration`.
    """
    figure = Figure(figsize=(10.5, 4.3), layout="constrained")
    axes = figure.subplots(2, 3, height_ratios=(3, 1), sharex=True, squeeze=False)
    for column, (name, title) in enumerate(_QUESTIONS.items()):
        top, bottom = axes[0, column], axes[1, column]
        top.plot([0, 1], [0, 1], color=_GUIDE, linewidth=0.8, linestyle="--")
        for when, colour, offset in (("before", _BEFORE, -0.012), ("after", _AFTER, 0.012)):
            judged = calibration[when][name]
            bins = [b for b in judged["reliability"] if b["n"]]
            middle = [(b["lo"] + b["hi"]) / 2 for b in bins]
            label = f"{when}: ECE {judged['ece']['value']:.3f}"
            top.plot(middle, [b["positives"] / b["n"] for b in bins], "o-", color=colour, label=label, markersize=4)
            bottom.bar([m + offset for m in middle], [b["n"] for b in bins], width=0.024, color=colour)
        top.set(title=title, ylim=(-0.03, 1.03), xlim=(0, 1))
        top.legend(loc="upper left", frameon=False, fontsize=8)
        bottom.set(xlabel="probability said")
    axes[0, 0].set_ylabel("share that was so")
    axes[1, 0].set_ylabel("studies")
    return _svg(figure)


def roc_figure(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], points: Mapping[str, Mapping[str, float]]
) -> bytes:
    """Return ROC curves of both findings with their thresholds, and the probabilities of studies by truth."""
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    axes = figure.subplots(1, 3, squeeze=False)[0]
    for index, name in enumerate(CLASSES[1:], start=1):
        true, score = labels == index, probabilities[:, index]
        if true.any() and not true.all():
            cuts = np.concatenate([[np.inf], np.unique(score)[::-1]])
            hits = [float((score[true] >= cut).mean()) for cut in cuts]
            alarms = [float((score[~true] >= cut).mean()) for cut in cuts]
            axes[0].plot(alarms, hits, color=_COLOURS[index], label=_QUESTIONS[name])
            for key, mark in (("t_lo", "v"), ("t_hi", "^")):
                cut = points[name][key]
                axes[0].plot(
                    (score[~true] >= cut).mean(), (score[true] >= cut).mean(), mark, color=_COLOURS[index], markersize=7
                )
        _strips(axes[index], score, labels, points[name], _QUESTIONS[name])
    axes[0].plot([0, 1], [0, 1], color=_GUIDE, linewidth=0.8, linestyle="--")
    axes[0].set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC (▽ t_lo, △ t_hi)")
    if axes[0].get_legend_handles_labels()[1]:
        axes[0].legend(loc="lower right", frameon=False, fontsize=8)
    return _svg(figure)


def _strips(
    axes: Axes, score: NDArray[np.float64], labels: NDArray[np.int64], point: Mapping[str, float], title: str
) -> None:
    rng = np.random.default_rng(0)
    for index in range(len(CLASSES)):
        some = score[labels == index]
        axes.plot(some, index + rng.uniform(-0.3, 0.3, len(some)), ".", color=_COLOURS[index], alpha=0.5, markersize=4)
    axes.axvspan(point["t_lo"], point["t_hi"], color="#f2d98d", alpha=0.6, linewidth=0)
    axes.set(title=f"{title}, by truth", xlim=(-0.02, 1.02), yticks=range(3), yticklabels=CLASSES)
    axes.set_xlabel("INDETERMINATE in the shaded part")


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "msu", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
