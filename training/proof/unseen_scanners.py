"""Claim: both patient networks are right on scanners that no training has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from training.experiment import load_image_network
from training.feature_cache import best_device
from training.proof.claim import Claim
from training.proof.ready import Ready
from training.run_evaluate import REPORT, EvaluateRun, evaluate_experiment
from training.run_patient import load_patient, origin_of, save_patient, train_studies
from training.train_patient import predict_patients

__all__ = ["prove_unseen"]

GOAL = 0.95


def prove_unseen(ready: Ready) -> list[Claim]:
    """Train both as `msu train patient` would, and judge each as `msu train evaluate` would.

    Validation chooses; the test side is opened once for each. A network that is there is not trained again.
    """
    claims = []
    for arch, words in (("gru", "The GRU"), ("transformer", "The Transformer")):
        out = ready.folder / f"patient-{arch}"
        model, description = load_patient(out) if (out / "patient.json").exists() else _train(arch, out, ready)
        report = ready.folder.parent / f"report-{arch}"
        judged = evaluate_experiment(EvaluateRun(ready.corpus.prepared, ready.image, out, report))
        test = ready.features["test"]
        logits, _ = predict_patients(model, test)  # type: ignore[arg-type]
        right = logits.argmax(dim=1).numpy() == test.labels()
        patients = [study.patient_id for study in ready.sets["test"].studies]
        scanners = np.asarray([ready.corpus.scanner_of[patient] for patient in patients])
        accuracy = judged["test"]["accuracy"]
        claims.append(
            Claim(
                id=f"unseen-scanners-{arch}",
                claim=f"{words} reaches an accuracy of {GOAL} on studies of scanners that no training has seen.",
                measured={
                    "accuracy": accuracy["value"],
                    "ci95": accuracy["ci95"],
                    "studies": len(right),
                    "by_scanner": {n: round(float(right[scanners == n].mean()), 4) for n in sorted(set(scanners))},
                    "by_class": [round(float(right[test.labels() == label].mean()), 4) for label in range(3)],
                    "validation_accuracy": round(description["best"]["accuracy"], 4),
                    "report": f"{report.name}/{REPORT}",
                },
                goal=f"accuracy at least {GOAL}",
                ok=accuracy["value"] >= GOAL,
            )
        )
    return claims


def _train(arch: str, out: Path, ready: Ready) -> tuple[nn.Module, dict[str, Any]]:
    model, description = train_studies(
        arch,
        "ours",
        ready.features["train"],
        ready.features["validation"],
        epochs=ready.sizes.patient_epochs,
        seed=ready.sizes.seed,
        labels="softmax",  # as the figures that the documents give were measured
        changes={"patience": ready.sizes.patient_epochs},
        device=best_device(),
    )
    out.mkdir(exist_ok=True)
    origin = origin_of(ready.corpus.prepared, ready.image, load_image_network(ready.image)[0])
    save_patient(out, model, {**description, **origin})
    return model, description
