"""The model card's part about how a model was judged; every number comes from the manifest's `evaluation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_app.inference.manifest import ReliabilityBin

__all__ = ["card_evaluation", "card_headline", "card_reliability"]

_SPLITS = ("validation", "test")


def card_headline(evaluation: Mapping[str, Any]) -> str:
    """Return what must be read before any number, or "" where nothing is said."""
    return "\n".join(f"> - {line}" for line in evaluation.get("headline", ()))


def card_evaluation(evaluation: Mapping[str, Any]) -> str:
    """Return tables of accuracy, of each class and of groups, then what else was looked at."""
    judged = {name: evaluation[name] for name in _SPLITS if isinstance(evaluation.get(name), Mapping)}
    if not judged:
        return "Not judged."
    parts = [
        _table(
            ("data", "n", "accuracy (highest class)", "accuracy (decision rule)", "INDETERMINATE"),
            [
                (name, r["n"], _rate(r["accuracy"]), _rate(r["decision_accuracy"]), r["indeterminate"])
                for name, r in judged.items()
            ],
        )
    ]
    side = "test" if "test" in judged else "validation"
    if side != "test":
        parts.append("The test split has not been opened: weights and thresholds were chosen on these studies.")
    parts += [
        f"On the {side} studies, by the decision rule, with 95 % bootstrap intervals:",
        _classes(judged[side]["per_class"]),
        *_groups(judged[side]),
    ]
    for part in (_calibration, _probe, _heat_map, _gates):
        parts += part(evaluation)
    if "data_sha256" in evaluation:
        opened = evaluation["openings_of_this_test_split"]
        parts.append(
            f"Data `{evaluation['data_sha256'][:16]}`, judged by commit `{evaluation['commit']}`; this test split has "
            f"been opened {opened} time{'' if opened == 1 else 's'} by all experiments."
        )
    return "\n\n".join(parts)


def card_reliability(bins: Sequence[ReliabilityBin]) -> str:
    """Return how many validation studies that scored like this had a haemorrhage, or "" where that is not known."""
    rows = [(f"{b.lo:.1f}–{b.hi:.1f}", b.n, b.positives, f"{b.positives / b.n:.2f}") for b in bins if b.n]
    if not rows:
        return ""
    heads = ("probability of haemorrhage", "n", "had one", "share")
    return "Of the validation studies that scored like this:\n\n" + _table(heads, rows)


def _classes(per_class: Mapping[str, Any]) -> str:
    extra = [name for name in ("f1", "auc") if all(name in rates for rates in per_class.values())]
    rows = [
        (
            name,
            rates["sensitivity"]["n"],
            _rate(rates["sensitivity"]),
            _rate(rates["specificity"]),
            *(_rate(rates[key]) for key in extra),
        )
        for name, rates in per_class.items()
    ]
    return _table(("class", "n", "sensitivity", "specificity", *(name.upper() for name in extra)), rows)


def _groups(judged: Mapping[str, Any]) -> list[str]:
    parts = []
    for title in ("lesion", "scanner", "volume", "extent"):
        groups = judged.get(f"by_{title}", {})
        rows = [
            (name or "not known", group["n"], _rate({"value": group["decision_accuracy"], "ci95": group.get("ci95")}))
            for name, group in groups.items()
        ]
        if rows:
            parts.append(_table((title, "n", "accuracy (decision rule)"), rows))
    return parts


def _calibration(evaluation: Mapping[str, Any]) -> list[str]:
    rows = [
        (side, what.replace("_", " "), _rate(judged["before"][what]), _rate(judged["after"][what]))
        for side, judged in evaluation.get("calibration", {}).items()
        for what in judged["after"]
    ]
    heads = ("data", "probability of", "before", "after")
    return ["Expected calibration error, before and after calibration:", _table(heads, rows)] if rows else []


def _probe(evaluation: Mapping[str, Any]) -> list[str]:
    probe = evaluation.get("source_probe")
    if not probe:
        return []
    parts = [f"**Source probe:** {probe['headline']}"]
    rows = [
        (v["view"], " / ".join(v["sources"]), _rate(v["balanced_accuracy"]), f"{v['shuffled']:.2f}")
        for v in probe["views"]
    ]
    if rows:
        parts.append(_table(("view", "sources", "balanced accuracy", "sources shuffled"), rows))
    blank = evaluation.get("shortcuts", {}).get("without_brain")
    if blank:
        parts.append(
            f"With the brain masked out the model reaches {_rate(blank['balanced_accuracy'])} balanced accuracy; "
            f"chance is {blank['chance']:.2f}."
        )
    return parts


def _heat_map(evaluation: Mapping[str, Any]) -> list[str]:
    judged = evaluation.get("heat_map")
    if not judged:
        return ["Heat maps were not judged: the screen shows none."]
    asked, hit, alike = judged["asked"], judged["hit_rate"], judged["ssim_randomised"]
    return [
        f"**Heat maps** {'have passed' if judged['passed'] else 'have NOT passed, and the screen shows none'}: on "
        f"{hit['n']} validation slices with a lesion the maximum lies on it or at most 16 mm beside it in "
        f"{_rate(hit)} (asked: ≥ {asked['hit_rate']}); the map of a network with random weights is alike by SSIM "
        f"{_rate(alike)} (asked: ≤ {asked['ssim_randomised']})."
    ]


def _gates(evaluation: Mapping[str, Any]) -> list[str]:
    rows = [
        (gate["id"], gate["asked"], "–" if gate["measured"] is None else gate["measured"],
         "met" if gate["met"] else "**not met**")
        for gate in evaluation.get("release_gates", ())
    ]  # fmt: skip
    return ["Release gates:", _table(("", "asked", "measured", ""), rows)] if rows else []


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def _rate(rate: Mapping[str, Any]) -> str:
    if rate["value"] is None:
        return "–"
    interval = rate.get("ci95")
    return f"{rate['value']:.3f}" + (f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else "")
