"""From an experiment's folders to ONNX files that say what they are and were compared with torch on real slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.facts import network_facts
from export.golden_make import unit_inputs
from export.onnx_export import ExportCheck, export_image_model, export_patient_model
from training.data.prepared import PreparedSet, open_prepared
from training.experiment import check_preprocessing, load_image_network, prepared_facts
from training.feature_cache import FeatureCache, study_features
from training.run_patient import check_origin, load_patient
from training.weights import weights_hash

__all__ = ["export_image", "export_patient"]

STUDIES = 6
"""Real studies that a patient network is compared on."""


def export_image(experiment: Path, data: Path, out: Path, *, slices: int = 24) -> ExportCheck:
    """Export the image network of an experiment.

    Parameters
    ----------
    experiment
        Folder from `msu train image` or `msu train import image`.
    data
        Prepared slices, of which those of the validation side are compared on.
    out
        The ONNX file.
    slices
        How many are compared, of all classes and heights.

    Raises
    ------
    TrainingError
        If experiment or data cannot be used, or do not belong together.
    ExportError
        If the export fails its checks.
    """
    model, description = load_image_network(experiment)
    held_out, profile, synthetic = _held_out(data)
    check_preprocessing(experiment, description, data)
    order = np.lexsort((held_out.position_mm, held_out.labels))
    chosen = order[np.linspace(0, len(order) - 1, min(slices, len(order))).round().astype(np.int64)]
    facts = network_facts(
        profile,
        commit=str(description.get("commit", "unknown")),
        synthetic=synthetic or bool(description.get("synthetic")),
        labels=model.labels,
        architecture=f"{model.architecture}, {model.labels}",
    ) | {"weights": weights_hash(model)}
    return export_image_model(model, unit_inputs(held_out, chosen), out, facts, last_use=True)


def export_patient(experiment: Path, image: Path, data: Path, out: Path) -> ExportCheck:
    """Export the patient network of an experiment.

    Parameters
    ----------
    experiment
        Folder from `msu train patient` or `msu train import`.
    image
        Folder of the image network whose features it reads.
    data, out
        As for `export_image`.

    Raises
    ------
    TrainingError
        If experiment or data cannot be used, or the networks do not belong together.
    ExportError
        If the export fails its checks.
    """
    model, description = load_patient(experiment)
    features, image_description = load_image_network(image)
    held_out, profile, synthetic = _held_out(data)
    check_origin(experiment, description, image, features)
    few = held_out.subset_of_studies(range(0, len(held_out.studies), max(1, len(held_out.studies) // STUDIES)))
    rows = study_features(FeatureCache(image, features), few, title="features")
    studies = [(table[:80], rows.heights_mm(number)[:80]) for number, table in enumerate(rows.features)]
    facts = network_facts(
        profile,
        commit=str(description.get("commit", "unknown")),
        synthetic=synthetic or bool(description.get("synthetic") or image_description.get("synthetic")),
        labels=description.get("labels", "softmax"),
        architecture=f"{description['arch']}, {description['recipe']}",
    ) | {"weights": weights_hash(model), "image_weights": weights_hash(features)}
    return export_patient_model(model, description["features"], out, facts, studies=studies)


def _held_out(data: Path) -> tuple[PreparedSet, str, bool]:
    sets, facts = open_prepared(data), prepared_facts(data)
    return sets["validation"], facts["preparation"]["profile"], bool(facts["synthetic"])
