"""An evaluation in words: what stands at the top of the report, and what the bundle and its model card say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_app.core.types import CLASSES, FINDINGS
from training.calibrate import forgiving
from training.reliability import QUESTIONS

__all__ = ["bundle_description", "headline"]

PATIENT_NETWORKS = {
    ("gru", "ours"): "bidirectional GRU, 2 layers, at levels 5 mm apart, masked attention pooling",
    ("transformer", "ours"): "Transformer, at levels 5 mm apart, masked attention, attention pooling",
    ("gru", "seed2023"): "BiGRU as published (reads padding)",
    ("transformer", "seed2023"): "Transformer as published (averages over padding)",
}


def headline(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the sentences a reader must see before any number, the gravest first."""
    side = evaluation["side"]
    lines = []
    if evaluation["synthetic"]:
        lines.append("SYNTHETIC: trained or judged on simulated head CT; no number here says anything about patients")
    probe = evaluation["source_probe"]
    if probe["confounded"] or not probe["views"]:
        lines.append(probe["headline"])
    blank = evaluation["shortcuts"]["without_brain"]
    if blank["shortcut"]:
        accuracy = blank["balanced_accuracy"]["value"]
        lines.append(
            f"shortcut: with the brain masked out the model still reaches {accuracy:.2f} balanced accuracy "
            f"(chance {blank['chance']:.2f})"
        )
    lines += _trained_elsewhere(evaluation["networks"], evaluation["data"]["content_sha256"])
    lines += _one_source(evaluation["data"]["studies"])
    lines += _hanging_on_one(evaluation["validation"]["studies"], evaluation["targets"]["sensitivity"])
    masks = evaluation["heat_map"]["slices_with_masks"]
    if evaluation["heat_map"]["passed"] and (unseen := [name for name in FINDINGS if not masks[name]]):
        lines.append(f"heat maps passed without a single {unseen[0]} mask: whether they find it is not known")
    if side == "validation":
        lines.append("validation only: weights and thresholds were chosen on these studies; the test split is closed")
    openings = evaluation["openings"]["of_this_split"]
    if openings > 1:
        lines.append(f"this test split has been opened {openings} times, by all experiments: choosing among them is "
                     "choosing on the test")  # fmt: skip
    unmet = [gate for gate in evaluation["release_gates"] if not gate["met"]]
    if unmet:
        lines.append(f"{len(unmet)} of {len(evaluation['release_gates'])} release gates are not met: not for patients")
    if not evaluation["tells_distance"]:
        lines.append("a published patient network: it cannot tell studies unlike its training data")
    return lines


def _trained_elsewhere(networks: Mapping[str, Mapping[str, Any]], judged_sha256: str) -> list[str]:
    """Return what must be said of networks whose training data are not those judged: no split keeps the two apart."""
    strange = [name for name, network in networks.items() if network["data_sha256"] != judged_sha256]
    if not strange:
        return []
    which = f"the {' and the '.join(strange)} network"
    return [
        f"{which} learnt from other data than are judged here, or nobody knows from what: a split by these data cannot "
        "keep its patients out of validation and test"
    ]


def _one_source(studies: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[str]:
    """Return what must be said of classes that only one of several sources has (SCREEN.md R88)."""
    sources = sorted({source for side in studies.values() for source in side})
    alone = []
    for name in CLASSES:
        having = [s for s in sources if any(side.get(s, {}).get(name) for side in studies.values())]
        if len(sources) > 1 and len(having) == 1:
            alone.append(f"{name} comes from {having[0]} alone")
    if not alone:
        return []
    return [f"{', '.join(alone)}: such figures are UNVALIDATED until studies of other origin have passed"]


def _hanging_on_one(studies: Mapping[str, int], sensitivity: float) -> list[str]:
    """Return what must be said of thresholds that a single validation study has set."""
    few = [f"{studies[name]} {name}" for name in FINDINGS if studies[name] < forgiving(sensitivity)]
    if not few:
        return []
    return [
        f"only {' and '.join(few)} studies in validation: the least certain one of each sets its lower threshold; from "
        f"{forgiving(sensitivity):.0f} on a sensitivity of {sensitivity:g} lets it go"
    ]


def bundle_description(evaluation: Mapping[str, Any], name: str, version: str) -> dict[str, Any]:
    """Return the fields of a bundle's manifest that training knows, for `msu bundle make --description`."""
    image, patient, data = evaluation["networks"]["image"], evaluation["networks"]["patient"], evaluation["data"]
    kind = PATIENT_NETWORKS[patient["architecture"], patient["recipe"]]
    reliability = evaluation["calibration"]["validation"]["after"]["hemorrhage"]["reliability"]
    sides = [side for side in ("validation", "test") if side in evaluation]
    return {
        "name": name or f"msu-{image['architecture']}-{patient['architecture']}".replace("_", "-"),
        "version": version,
        "synthetic": evaluation["synthetic"],
        "preprocessing": {"profile": data["profile"], "sha256": data["profile_sha256"]},
        "image": {"architecture": image["architecture"], "features": image["features"], "labels": image["labels"]},
        "patient": {
            "architecture": kind,
            "max_slices": data["max_slices"],
            "labels": patient["labels"],
            "distance_threshold": evaluation["distance_threshold"],
        },
        "operating_points": evaluation["operating_points"],
        "calibration": {**evaluation["calibrated_by"], "reliability": reliability},
        "training": {
            "sources": sorted(data["studies"]["train"]),
            "studies": _sum(data["studies"]["train"]),
            "validation_studies": _sum(data["studies"]["validation"]),
            "scanners": data["scanners"],
            "image_recipe": image["recipe"],
            "patient_recipe": patient["recipe"],
            "split": f"by patient, seed {data['split_seed']}, checked for leaks",
            "data_sha256": data["content_sha256"],
            "selection": "weights, calibration and thresholds on validation; the test split is opened once",
            "licences": list(data["licences"].values()),
            "commit": evaluation["commit"],
        },
        "evaluation": {
            "headline": evaluation["headline"],
            **{side: evaluation[side] for side in sides},
            "calibration": {
                side: {when: {what: judged[when][what]["ece"] for what in QUESTIONS} for when in ("before", "after")}
                for side, judged in evaluation["calibration"].items()
            },
            "source_probe": evaluation["source_probe"],
            "shortcuts": evaluation["shortcuts"],
            "heat_map": evaluation["heat_map"],
            "release_gates": evaluation["release_gates"],
            "openings_of_this_test_split": evaluation["openings"]["of_this_split"],
            "weights": {name: network["sha256"] for name, network in evaluation["networks"].items()},
            "data_sha256": data["content_sha256"],
            "commit": evaluation["commit"],
        },
    }


def _sum(by_source: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(counts[name] for counts in by_source.values()) for name in CLASSES}
