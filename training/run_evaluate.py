"""Judge an experiment: image and patient network on prepared studies; read from top to bottom.

Calibration and thresholds come from validation studies, and so do the checks for shortcuts; the source probe looks at
training and validation. The test split is opened once (`training.opening`), after all that. What comes out is
``evaluation.json``, ``report.html``, ``cases.csv`` (which study is which case: stays at home) and ``bundle.json``, from
which `msu bundle make` takes what the vehicle needs to know, and the model card.
"""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_app.core.clock import utc_iso, utc_now
from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES, FINDINGS
from edge_app.inference.manifest import Calibration
from edge_app.store.lock import hold_alone
from training import calibrate
from training.bootstrap import PatientBootstrap
from training.commit import producer_commit
from training.data.atomic import replacing
from training.data.prepared import PreparedSet, open_prepared
from training.evaluate import Thresholds, evaluate_studies, verdicts
from training.evaluation_facts import anonymous, case_facts, data_facts, network_facts
from training.evaluation_text import bundle_description, headline
from training.experiment import prepared_facts, read_description, write_description
from training.feature_cache import FeatureCache, open_cache, study_features, study_records
from training.heat_gate import judge_heat_maps
from training.opening import Answers, SealedTest
from training.operating import operating_table, release_gates
from training.reliability import judge_calibration
from training.report_html import report_html
from training.run_patient import check_origin, load_patient
from training.shards import class_counts
from training.shortcuts import answers_without_brain, contrast_within_sources
from training.source_probe import probe_sources
from training.targets import study_targets
from training.train_patient import predict_patients
from training.weights import weights_hash
from training.worst_cases import Case, draw_sheets, find_worst

__all__ = ["BUNDLE", "CASES", "EVALUATION", "REPORT", "EvaluateRun", "evaluate_experiment"]

EVALUATION, REPORT, CASES, BUNDLE = "evaluation.json", "report.html", "cases.csv", "bundle.json"
FORMAT = 1
NO_DISTANCE = 1.0
"""Threshold for published networks, which tell no distance (0)."""


@dataclass(frozen=True, slots=True)
class EvaluateRun:
    """What to judge, on what, and where to."""

    data: Path
    image: Path
    patient: Path
    out: Path
    side: str = "test"
    """``test``, or ``validation``, which leaves the test split closed."""
    device: str = ""
    open_again: str = ""
    """Why the test split is opened again for other weights in the same folder."""
    target_sensitivity: float = calibrate.TARGET_SENSITIVITY
    target_specificity: float = calibrate.TARGET_SPECIFICITY
    max_abstention: float = calibrate.MAX_ABSTENTION
    cases: int = 12
    """Worst cases shown."""
    name: str = ""
    version: str = "0.1.0"


@dataclass(frozen=True, eq=False, slots=True)
class _Side:
    data: PreparedSet
    logits: torch.Tensor
    distances: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.data.study_labels()

    @property
    def patients(self) -> list[str]:
        return [f"{study.source}|{study.patient_id}" for study in self.data.studies]

    @property
    def sources(self) -> list[str]:
        return [study.source for study in self.data.studies]


def evaluate_experiment(run: EvaluateRun) -> dict[str, Any]:
    """Judge, write everything to `run.out`, and return what ``evaluation.json`` holds.

    Raises
    ------
    LeakageError
        If the prepared splits leak.
    StoreError
        If the same experiment is being judged already.
    TrainingError
        If data and networks do not belong together, or the test split was opened before with others.
    """
    if not run.patient.is_dir():
        raise TrainingError(f"there is no folder {run.patient}", remedy="Make it with `msu train patient` or `import`.")
    with hold_alone(run.patient / "evaluate.lock"):
        return _evaluate(run)


def _evaluate(run: EvaluateRun) -> dict[str, Any]:
    sets, facts = open_prepared(run.data), prepared_facts(run.data)
    cache = open_cache(run.image, run.data, run.device)
    model, described = load_patient(run.patient)
    image_described = read_description(run.image / "image.json", "msu train image")
    check_origin(run.patient, described, run.image, cache.model)
    sealed = SealedTest(
        run.patient,
        run.data,
        data_sha256=facts["content_sha256"],
        image_sha256=weights_hash(cache.model),
        patient_sha256=weights_hash(model),
        commit=producer_commit(),
    )

    known = study_features(cache, sets["validation"], title="validation")
    logits, distances = predict_patients(model, known)  # type: ignore[arg-type]
    validation = _Side(sets["validation"], logits, distances.double().numpy())
    calibrator, thresholds = _choose(validation, described, run)
    shortcuts = {
        "without_brain": answers_without_brain(cache, model, validation.data),
        "within_sources": contrast_within_sources(known, validation.data),
        "side": "validation",
    }
    heat_map = _judge_maps(cache.model, validation)
    probe = probe_sources([sets["train"], sets["validation"]])

    judged = validation if run.side == "validation" else _open_test(run, sealed, cache, model, sets["test"])
    draws, results, calibration = {}, {}, {}
    for side, of in {"validation": validation, run.side: judged}.items():
        draws[side] = PatientBootstrap(of.patients)
        results[side] = evaluate_studies(
            study_records(of.data), calibrate.calibrated(of.logits, calibrator), of.distances, thresholds,
            patients=of.patients, sources=of.sources,
        )  # fmt: skip
        calibration[side] = judge_calibration(of.logits, of.labels, calibrator, draws[side])
    probabilities = calibrate.calibrated(judged.logits, calibrator)
    worst = find_worst(judged.labels, probabilities, verdicts(probabilities, judged.distances, thresholds), run.cases)
    evaluation: dict[str, Any] = {
        "format": FORMAT,
        "created_utc": utc_iso(utc_now()),
        "commit": producer_commit(),
        "side": run.side,
        "synthetic": bool(facts["synthetic"] or image_described.get("synthetic") or described.get("synthetic")),
        "data": data_facts(run.data, facts, sets),
        "networks": network_facts(cache, image_described, run.patient, model, described),
        "operating_points": {name: point.model_dump() for name, point in thresholds.operating_points.items()},
        "targets": {
            "sensitivity": run.target_sensitivity,
            "specificity": run.target_specificity,
            "max_abstention": run.max_abstention,
        },
        "calibrated_by": calibrator.model_dump(mode="json", exclude={"reliability"}, exclude_none=True),
        "distance_threshold": round(thresholds.distance, 4),
        "tells_distance": described.get("distance_threshold") is not None,
        **results,
        "calibration": calibration,
        "operating_table": operating_table(
            (calibrate.calibrated(validation.logits, calibrator), validation.labels),
            (probabilities, judged.labels),
            draws[run.side],
        ),
        "release_gates": release_gates(results[run.side], calibration[run.side]),
        "source_probe": probe.to_json(),
        "shortcuts": shortcuts,
        "heat_map": heat_map,
        "openings": {"of_this_experiment": sealed.openings, "of_this_split": sealed.count()},
        "worst_cases": [case_facts(case, judged.data) for case in worst],
    }
    evaluation["headline"] = headline(evaluation)
    _write(run, evaluation, judged, probabilities, worst, cache)
    return evaluation


def _judge_maps(model: nn.Module, validation: _Side) -> dict[str, Any]:
    """Return whether heat maps find the lesions of validation studies, where masks say where these are."""
    data, patients = validation.data, validation.patients
    shown = np.flatnonzero(data.mask_known & (data.labels > 0))
    judged = judge_heat_maps(model, data, shown, [patients[study] for study in data.study_of_slice[shown]])
    return judged | {
        "slices_with_masks": {n: count for n, count in class_counts(data.labels[shown]).items() if n in FINDINGS}
    }


def _choose(validation: _Side, described: dict[str, Any], run: EvaluateRun) -> tuple[Calibration, Thresholds]:
    """Return calibration and thresholds, chosen on validation studies."""
    labels = validation.labels
    for index, name in enumerate(CLASSES):
        if not (labels == index).any():
            raise TrainingError(
                f"no {name} study in validation to choose thresholds by", remedy="Add studies and split again."
            )
    targets = study_targets(study_records(validation.data), described.get("labels", "softmax"))
    calibrator = calibrate.fit_calibration(validation.logits, targets)
    probabilities = calibrate.calibrated(validation.logits, calibrator)
    points = {
        name: calibrate.choose_operating_point(
            probabilities[:, CLASSES.index(name)],
            labels == CLASSES.index(name),
            sensitivity=run.target_sensitivity,
            specificity=run.target_specificity,
            max_abstention=run.max_abstention,
        )
        for name in CLASSES[1:]
    }
    distance = described.get("distance_threshold")
    return calibrator, Thresholds(points, NO_DISTANCE if distance is None else float(distance))  # type: ignore[arg-type]


def _open_test(run: EvaluateRun, sealed: SealedTest, cache: FeatureCache, model: nn.Module, data: PreparedSet) -> _Side:
    keys = tuple(study.key for study in data.studies)
    answers = sealed.open(run.open_again)
    if answers is None or answers.keys != keys:
        logits, distances = predict_patients(model, study_features(cache, data, title="test"))  # type: ignore[arg-type]
        answers = Answers(keys, logits.double().numpy(), distances.double().numpy())
        sealed.keep(answers)
    else:
        sys.stderr.write(
            f"the test split was opened on {sealed.openings[-1]['opened_utc']}; its answers are used again\n"
        )
    return _Side(data, torch.from_numpy(answers.logits), answers.distances)


def _write(
    run: EvaluateRun,
    evaluation: dict[str, Any],
    judged: _Side,
    probabilities: NDArray[np.float64],
    worst: list[Case],
    cache: FeatureCache,
) -> None:
    sheets = draw_sheets(worst, judged.data, cache)
    run.out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["case", "study_key", "source", "label", *(f"p_{name}" for name in CLASSES)])
    for study, row in zip(judged.data.studies, probabilities.tolist(), strict=True):
        table.writerow(
            [anonymous(study.key), study.key, study.source, CLASSES[study.label], *(f"{p:.4f}" for p in row)]
        )
    with replacing(run.out / CASES) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))
    with replacing(run.out / REPORT) as file:
        file.write(report_html(evaluation, judged.labels, probabilities, sheets).encode())
    write_description(run.out / BUNDLE, bundle_description(evaluation, run.name, run.version))
    write_description(run.out / EVALUATION, evaluation)
