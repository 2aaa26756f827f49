"""An evaluation as one HTML file that needs nothing else: pictures, figures and style are in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_app.core.types import CLASSES
from training.reliability import QUESTIONS
from training.report_figures import reliability_figure, roc_figure
from training.report_tables import head, matrix, number, picture, rate, table

__all__ = ["report_html"]

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c1c1c;background:#fff;max-width:1120px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #ccc}
table{border-collapse:collapse;margin:.6rem 0}th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}th{font-weight:600;color:#444}
.head{border-left:6px solid #b3261e;background:#fbeceb;padding:.5rem 1rem;margin:1rem 0}.head li{margin:.25rem 0}
.ci{color:#777;font-size:.86em}.note{color:#555;font-size:.92em;max-width:62rem}img{max-width:100%}
.unmet{color:#b3261e;font-weight:600}.sheet{margin:1.2rem 0}.pair{display:flex;gap:3rem;flex-wrap:wrap}
"""


def report_html(
    evaluation: Mapping[str, Any],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    sheets: Sequence[bytes],
) -> str:
    """Return the report.

    Parameters
    ----------
    evaluation
        What ``evaluation.json`` holds.
    labels, probabilities
        Of the judged studies, (studies,) and (studies, 3).
    sheets
        One JPEG for each of its worst cases.
    """
    side = evaluation["side"]
    judged = evaluation[side]
    networks = evaluation["networks"]
    title = f"{networks['image']['architecture']} + {networks['patient']['architecture']}"
    if evaluation["synthetic"]:
        title += " · SYNTHETIC"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class=note>{judged['n']} {side} studies of {judged['patients']} patients · "
        f"{evaluation['created_utc'][:16]} UTC · commit {escape(evaluation['commit'][:12])} · data "
        f"{evaluation['data']['content_sha256'][:12]}. Intervals are 95 %, by bootstrap over patients. "
        "All figures are of patients unless a table says slices.</p>",
        "<ul class=head>" + "".join(f"<li>{escape(line)}</li>" for line in evaluation["headline"]) + "</ul>",
        _results(evaluation, side),
        _sources(judged),
        _thresholds(evaluation, labels, probabilities),
        _calibration(evaluation["calibration"][side]),
        _lesions(judged),
        _probe(evaluation),
        _heat_map(evaluation["heat_map"]),
        _gates(evaluation["release_gates"]),
        _worst(evaluation["worst_cases"], sheets),
        _origin(evaluation),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _results(evaluation: Mapping[str, Any], side: str) -> str:
    rows = []
    for name in dict.fromkeys(("validation", side)):
        result = evaluation[name]
        rows.append((name, str(result["n"]), *map(rate, (result["accuracy"], result["decision_accuracy"],
                     result["abstention"])), str(result["unlike_training"])))  # fmt: skip
    judged = evaluation[side]
    return (
        "<h2>Result</h2>"
        + table(("studies", "n", "accuracy, likeliest class", "accuracy, decision rule", "INDETERMINATE", "unlike "
                  "training"), rows)
        + f"<p class=note>By class, on the {side} studies. Sensitivity and specificity by the vehicle's decision rule "
        "(INDETERMINATE is neither found nor excluded, unless the column says so); F1 by the likeliest class.</p>"
        + _class_table(judged)
        + '<div class="pair">' + _confusions(judged) + "</div>"
    )  # fmt: skip


def _class_table(judged: Mapping[str, Any]) -> str:
    heads = ("class", "F1", "AUC", "sensitivity", "INDETERMINATE as found", "INDETERMINATE left out", "specificity")
    keys = ("f1", "auc", "sensitivity", "sensitivity_indeterminate_as_detected", "sensitivity_without_indeterminate",
            "specificity")  # fmt: skip
    rows = [
        (f"{name} (n = {judged['studies'][name]})", *(rate(rates[key]) for key in keys))
        for name, rates in judged["per_class"].items()
    ]
    return table(heads, rows)


def _confusions(judged: Mapping[str, Any]) -> str:
    said = matrix("truth ↓, likeliest class →", CLASSES, CLASSES, judged["confusion"])
    ruled = ("none detected", "hemorrhage", "ischemic", "INDETERMINATE")
    return said + matrix("truth ↓, verdict →", CLASSES, ruled, judged["verdicts"])


def _sources(judged: Mapping[str, Any]) -> str:
    parts = ["<h2>By source</h2>"]
    for source, result in judged["by_source"].items():
        parts.append(f"<h3>{escape(source)} (n = {result['n']})</h3>" + _class_table(result))
        parts.append('<div class="pair">' + _confusions(result) + "</div>")
    return "".join(parts) + "<h3>By scanner</h3>" + _group_table("scanner", judged["by_scanner"])


def _thresholds(evaluation: Mapping[str, Any], labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> str:
    targets = evaluation["targets"]
    chosen = [
        (name, f"{point['t_lo']:.4f}", f"{point['t_hi']:.4f}") for name, point in evaluation["operating_points"].items()
    ]
    rows = [
        (f"{r['finding']}, {r['target_sensitivity']:.2f}", f"{r['threshold']:.4f}", rate(r["sensitivity"]),
         rate(r["specificity"]))
        for r in evaluation["operating_table"]
    ]  # fmt: skip
    return (
        "<h2>Operating points</h2>"
        f"<p class=note>Chosen on validation: t_lo for a sensitivity of {targets['sensitivity']}, t_hi for a "
        f"specificity of {targets['specificity']}, at most {targets['max_abstention']:.0%} between them. Below t_lo a "
        "finding is not detected, from t_hi on it is suspected, between them the vehicle says INDETERMINATE.</p>"
        + table(("finding", "t_lo", "t_hi"), chosen)
        + picture(roc_figure(labels, probabilities, evaluation["operating_points"]), "svg+xml", "ROC and probabilities")
        + "<p class=note>One threshold alone, by the sensitivity asked for on validation:</p>"
        + table(("finding, sensitivity asked", "threshold", "sensitivity", "specificity"), rows)
    )


def _calibration(judged: Mapping[str, Any]) -> str:
    rows = [
        (f"{name.replace('_', ' ')}, {when}", rate(judged[when][name]["ece"]), number(judged[when][name]["slope"]))
        for name in QUESTIONS
        for when in ("before", "after")
    ]
    return (
        f"<h2>Calibration</h2><p class=note>Fitted on validation: {_fitted(judged['after']['fitted'])}. "
        "Slope: 1 is right, below 1 too certain; none where the studies are parted without error.</p>"
        + picture(reliability_figure(judged), "svg+xml", "reliability diagrams before and after calibration")
        + table(("", "expected calibration error", "slope"), rows)
    )


def _fitted(fitted: Mapping[str, Any]) -> str:
    if "temperature" in fitted:
        return f"temperature {fitted['temperature']}"
    return "; ".join(
        f"{name}, by itself: {own['slope']} times its logit, {own['intercept']:+}" for name, own in fitted.items()
    )


def _lesions(judged: Mapping[str, Any]) -> str:
    parts = ["<h2>By lesion</h2><p class=note>Right by the decision rule, and right or INDETERMINATE. A study with "
             "several kinds of blood counts for each. Where no mask was drawn (RSNA) the volume is not known; the "
             "height of the labelled slices stands for it.</p>"]  # fmt: skip
    for title, key in (("lesion", "by_lesion"), ("volume", "by_volume"), ("extent", "by_extent")):
        parts.append(_group_table(title, judged[key]))
    return "".join(parts)


def _group_table(title: str, groups: Mapping[str, Any]) -> str:
    rows = [
        (name or "not known", str(group["n"]), rate({"value": group["decision_accuracy"], "ci95": group["ci95"]}),
         rate(group["right_or_indeterminate"]))
        for name, group in groups.items()
    ]  # fmt: skip
    return table((title, "n", "right", "right or INDETERMINATE"), rows)


def _probe(evaluation: Mapping[str, Any]) -> str:
    probe, blank = evaluation["source_probe"], evaluation["shortcuts"]["without_brain"]
    rows = [
        (view["view"], " : ".join(view["sources"]), " : ".join(map(str, view["studies"])),
         rate(view["balanced_accuracy"]), f"{view['shuffled']:.2f}", "told apart" if view["told_apart"] else "–")
        for view in probe["views"]
    ]  # fmt: skip
    slices = [
        (f"{row['source']}, {row['finding']}", f"{row['lesion_slices']} / {row['lesion_free_slices']}",
         str(row["patients"]), rate(row["slice_auc"]), rate(row["called_on_lesion_free"]))
        for row in evaluation["shortcuts"]["within_sources"]
    ]  # fmt: skip
    left_out = "".join(f"<li>{escape(line)}</li>" for line in probe["left_out"])
    return (
        "<h2>Source probe</h2>"
        f"<p><b>{escape(probe['headline'])}</b></p><p class=note>A plain classifier is asked for the data source of "
        f"studies (training and validation) it was not fitted on. Above {probe['limit']} they are told apart.</p>"
        + table(("view", "sources", "studies", "balanced accuracy", "sources shuffled", ""), rows)
        + (f"<ul>{left_out}</ul>" if left_out else "")
        + "<h2>Shortcuts</h2>"
        f"<p>With the brain masked out the whole model reaches {rate(blank['balanced_accuracy'])} balanced accuracy on "
        f"validation; chance is {blank['chance']:.2f}.</p>"
        "<p class=note>Within one source, slices with lesion against slices without, of the same patients and at the "
        "same heights (validation; slices, so not to be quoted as patient figures):</p>"
        + (
            table(("source, finding", "slices with / without", "patients", "AUC", "lesion-free slices called"), slices)
            if slices
            else "<p>Too few slices with lesion.</p>"
        )
    )


def _heat_map(judged: Mapping[str, Any]) -> str:
    asked = judged["asked"]
    rows = [
        ("maximum of the map on the lesion, or at most 16 mm beside it", rate(judged["hit_rate"]),
         f"≥ {asked['hit_rate']}"),
        ("likeness (SSIM) to the map of a network with random weights", rate(judged["ssim_randomised"]),
         f"≤ {asked['ssim_randomised']}"),
    ]  # fmt: skip
    return (
        "<h2>Heat maps</h2>"
        + table(("", "measured", "asked"), rows)
        + f"<p class=note>{judged['hit_rate']['n']} slices of validation whose lesion masks are known, at least "
        f"{asked['slices']} are asked. "
        + ("The screen may show heat maps.</p>" if judged["passed"] else "<b>The screen shows no heat maps.</b></p>")
    )


def _gates(gates: Iterable[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{gate['id']}</td><td style='text-align:left'>{escape(gate['asked'])}</td>"
        f"<td>{number(gate['measured'])}</td>"
        + ("<td>met</td></tr>" if gate["met"] else "<td class=unmet>not met</td></tr>")
        for gate in gates
    )
    return f"<h2>Release gates</h2><table>{head(('', 'asked', 'measured', ''))}{rows}</table>"


def _worst(cases: Sequence[Mapping[str, Any]], sheets: Sequence[bytes]) -> str:
    parts = ["<h2>Worst cases</h2><p class=note>The studies whose true class got the lowest probability. Upper row "
             "first window, lower row second; red frames are slices the data set calls positive; h and i are the "
             "slice's probabilities of haemorrhage and ischaemic signs; cases.csv tells the study.</p>"]  # fmt: skip
    for case, sheet in zip(cases, sheets, strict=True):
        probabilities = ", ".join(f"{name} {value:.3f}" for name, value in case["probabilities"].items())
        lesion = ", ".join(case["subtypes"])
        if case["lesion_volume_ml"] is not None:
            lesion += f" {case['lesion_volume_ml']} ml"
        parts.append(
            f"<div class=sheet><b>{case['case']}</b> · {escape(case['source'])} · truth {case['truth']} "
            f"{escape(lesion)} · verdict {case['verdict']} · {probabilities}<br>"
            + picture(sheet, "jpeg", f"slices of case {case['case']}") + "</div>"
        )  # fmt: skip
    return "".join(parts)


def _origin(evaluation: Mapping[str, Any]) -> str:
    data, networks = evaluation["data"], evaluation["networks"]
    rows = [
        (f"{side}, {source}", *(str(counts[name]) for name in CLASSES))
        for side, sources in data["studies"].items()
        for source, counts in sources.items()
    ]
    facts = [
        ("image network", f"{networks['image']['architecture']}, {networks['image']['recipe']}, labels "
         f"{networks['image']['labels']}, from {networks['image']['started_from']}, "
         f"{networks['image']['sha256'][:16]}"),
        ("patient network", f"{networks['patient']['architecture']}, {networks['patient']['recipe']}, "
         f"{networks['patient']['sha256'][:16]}"),
        ("preprocessing", f"{data['profile']}, {data['profile_sha256'][:16]}"),
        ("split", f"by patient, seed {data['split_seed']}; data {data['content_sha256'][:16]}"),
        ("test split opened", f"{evaluation['openings']['of_this_split']} times by all experiments, "
         f"{len(evaluation['openings']['of_this_experiment'])} by this one"),
        *(("", line) for line in data["licences"].values()),
    ]  # fmt: skip
    opened = [
        (opening["opened_utc"][:16], opening["commit"][:12], opening["reason"] or "first time")
        for opening in evaluation["openings"]["of_this_experiment"]
    ]
    return (
        "<h2>What it was made from</h2>" + table(("studies", *CLASSES), rows)
        + "<table>" + "".join(f"<tr><td>{escape(k)}</td><td style='text-align:left'>{escape(str(v))}</td></tr>"
                              for k, v in facts) + "</table>"
        + (table(("test split opened (UTC)", "commit", "why"), opened) if opened else "")
    )  # fmt: skip
