"""The model card: what a bundle is for, what it was made from and how it was judged, from its manifest alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_app.inference.manifest import Calibration, Labels, Manifest, SiteThresholds
from export.card_evaluation import card_evaluation, card_headline, card_reliability

__all__ = ["model_card"]

_MODES: dict[Labels, str] = {
    "softmax": "classes exclude each other (`softmax`)",
    "findings": "each finding for itself (`findings`)",
}


def model_card(manifest: Manifest) -> str:
    """Return the card as Markdown; every number in it is in the manifest."""
    headline = f"# {manifest.name} {manifest.version}"
    if manifest.synthetic:
        headline += " · SYNTHETIC, not for patients"
    parts = [
        headline,
        _purpose(manifest),
        *([said] if (said := card_headline(manifest.evaluation)) else []),
        "## What it is\n\n" + _networks(manifest),
        "## What it was made from\n\n" + _items(manifest.training),
        "## How it was judged\n\n" + card_evaluation(manifest.evaluation),
        "## What its numbers mean\n\n" + _thresholds(manifest),
        *(["## Thresholds of the site\n\n" + _site(manifest.site_thresholds)] if manifest.site_thresholds else []),
        *(["## Lower precisions\n\n" + _precisions(manifest)] if manifest.precisions else []),
        f"Made {manifest.created_utc} by commit `{manifest.producer_commit}`.",
    ]
    return "\n\n".join(parts) + "\n"


def _purpose(manifest: Manifest) -> str:
    if manifest.synthetic:
        return (
            "Trained and judged on simulated head CT only. It shows that the whole way works, from the scanner to the\n"
            "screen. It knows nothing about real patients, and no number below says anything about them."
        )
    return "Points out head CT studies with signs of haemorrhage or ischaemia. A doctor reads every image."


def _networks(manifest: Manifest) -> str:
    image, patient = manifest.image, manifest.patient
    return (
        f"- Each slice: {image.architecture}, {image.features} features, input {image.input_size}, prepared by\n"
        f"  profile `{manifest.preprocessing.profile}`; {_MODES[image.labels]}.\n"
        f"- The patient: {patient.architecture}, up to {patient.max_slices} slices; {_MODES[patient.labels]}."
    )


def _items(values: Mapping[str, object]) -> str:
    return "\n".join(f"- {key.replace('_', ' ')}: {_plain(value)}" for key, value in values.items())


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return str(value)


def _thresholds(manifest: Manifest) -> str:
    lines = [
        _probabilities(manifest.calibration),
        "",
        "| finding | not detected below | suspected from |",
        "|---|---|---|",
    ]
    for name, point in manifest.operating_points.items():
        # All four decimals: rounded, the card would name a study not detected that the vehicle does not.
        t_lo, t_hi = (f"{value:.4f}".removesuffix("0") for value in (point.t_lo, point.t_hi))
        lines.append(f"| {name} | {t_lo} | {t_hi} |")
    lines += [
        "",
        f"Studies farther than {manifest.patient.distance_threshold:.3f} from the training data are INDETERMINATE.",
    ]
    bins = card_reliability(manifest.calibration.reliability)
    return "\n".join(lines) + (f"\n\n{bins}" if bins else "")


def _probabilities(calibration: Calibration) -> str:
    if calibration.findings is None:
        return (
            "A patient's probabilities are those of three classes that exclude each other, and sum to one: where both\n"
            "findings are there, each pushes the other down. They are calibrated with temperature "
            f"{calibration.temperature:.3f},\nfitted on validation."
        )
    fitted = ", ".join(
        f"{name} {own.slope:.3f} · logit {own.intercept:+.3f}" for name, own in calibration.findings.items()
    )
    return (
        "Haemorrhage and ischaemic signs have a probability each, apart from the other's: a patient may have both.\n"
        f"Each is calibrated by itself, fitted on validation: {fitted}. What is called negative is one less the\n"
        "likelier finding, not a probability of its own."
    )


def _precisions(manifest: Manifest) -> str:
    lines = [
        "Against FP32 in ONNX Runtime, on the golden set; engines are judged again on each device.",
        "",
        "| network | patients | slices | classes changed | left haemorrhage | largest change of a probability |",
        "|---|---|---|---|---|---|",
    ]
    for name, gate in manifest.precisions.items():
        seen: Any = gate["measured"]
        changed = f"{seen['patient_flip_fraction']:.1%} of patients, {seen['slice_flip_fraction']:.1%} of slices"
        largest = f"{seen['max_patient_change']:.4f} of a patient, {seen['max_slice_change']:.4f} of a slice"
        lines.append(
            f"| {name} | {seen['patients']:.0f} | {seen['slices']:.0f} | {changed} | {seen['left_hemorrhage']:.0f} "
            f"| {largest} |"
        )
    return "\n".join(lines)


def _site(own: SiteThresholds) -> str:
    return (
        f"The thresholds above are not those of the evaluation: {own.clinician} answers for them. They were chosen on\n"
        f"the site's own patients, scored by bundle `{own.base_sha256[:16]}`, {own.created_utc[:10]}.\n\n"
        + _items(own.evidence)
    )
