"""What an evaluation says of its data, its networks and its worst cases: plain JSON types, and no patient's name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from edge_app.core.types import CLASSES
from training.data.prepared import PreparedSet
from training.feature_cache import FeatureCache
from training.shards import class_counts
from training.weights import weights_hash
from training.worst_cases import Case

__all__ = ["anonymous", "case_facts", "data_facts", "network_facts"]


def data_facts(folder: Path, facts: dict[str, Any], sets: dict[str, PreparedSet]) -> dict[str, Any]:
    """Return what was prepared, from what, and how it was split."""
    by_source = {
        side: {
            source: class_counts(data.study_labels()[np.asarray([s.source == source for s in data.studies])])
            for source in sorted({study.source for study in data.studies})
        }
        for side, data in sets.items()
    }
    scanners = sorted({f"{s.manufacturer} {s.model}".strip() or "not known" for s in sets["train"].studies})
    return {
        "folder": folder.name,
        "content_sha256": facts["content_sha256"],
        "profile": facts["preparation"]["profile"],
        "profile_sha256": facts["profile_sha256"],
        "max_slices": facts["preparation"]["max_slices"],
        "split_seed": facts["split_seed"],
        "licences": facts["licences"],
        "studies": by_source,
        "patients": {
            side: len({(study.source, study.patient_id) for study in data.studies}) for side, data in sets.items()
        },
        "scanners": scanners,
    }


def network_facts(
    cache: FeatureCache, image: dict[str, Any], patient_folder: Path, model: nn.Module, patient: dict[str, Any]
) -> dict[str, Any]:
    """Return which networks were judged, by their descriptions and hashes."""

    def recipe_of(described: dict[str, Any]) -> Any:
        recipe = described.get("recipe")
        return recipe.get("name") if isinstance(recipe, dict) else recipe

    return {
        "image": {
            "folder": cache.path.parent.name,
            "architecture": image["architecture"],
            "labels": image["labels"],
            "features": image["features"],
            "recipe": recipe_of(image) or "imported",
            "started_from": image.get("weights"),
            "data_sha256": image.get("data"),
            "sha256": weights_hash(cache.model),
        },
        "patient": {
            "folder": patient_folder.name,
            "architecture": patient["arch"],
            "labels": patient.get("labels", "softmax"),
            "recipe": recipe_of(patient),
            "seed": patient.get("seed"),
            "data_sha256": patient.get("data"),
            "sha256": weights_hash(model),
        },
    }


def case_facts(case: Case, data: PreparedSet) -> dict[str, Any]:
    """Return what was true and what was said of one study."""
    study = data.studies[case.study]
    return {
        "case": anonymous(study.key),
        "source": study.source,
        "truth": CLASSES[case.truth],
        "subtypes": list(study.subtypes),
        "lesion_volume_ml": study.lesion_volume_ml,
        "verdict": case.verdict.value,
        "probabilities": dict(zip(CLASSES, (round(p, 4) for p in case.probabilities), strict=True)),
    }


def anonymous(key: str) -> str:
    """Return a name for a study that says nothing of the patient; ``cases.csv`` tells which study it is."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:10]
