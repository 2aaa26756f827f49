"""Claim: both patient networks are right on scanners that no training has seen."""

from __future__ import annotations

import numpy as np

from training.bootstrap import PatientBootstrap
from training.feature_cache import best_device
from training.proof.claim import Claim
from training.proof.ready import Ready
from training.run_patient import save_patient, train_studies
from training.train_patient import predict_patients

__all__ = ["prove_unseen"]

GOAL = 0.95


def prove_unseen(ready: Ready) -> list[Claim]:
    """Train both as `msu train patient` would, chosen on validation, and open the test side once for each."""
    claims = []
    for arch, words in (("gru", "The GRU"), ("transformer", "The Transformer")):
        model, description = train_studies(
            arch,
            "ours",
            ready.features["train"],
            ready.features["validation"],
            epochs=ready.sizes.patient_epochs,
            seed=ready.sizes.seed,
            device=best_device(),
        )
        out = ready.folder / f"patient-{arch}"
        out.mkdir(exist_ok=True)
        save_patient(out, model, {**description, "image": str(ready.image)})
        test = ready.features["test"]
        logits, _ = predict_patients(model, test)  # type: ignore[arg-type]
        right = logits.argmax(dim=1).numpy() == test.labels()
        patients = [study.patient_id for study in ready.sets["test"].studies]
        scanners = np.asarray([ready.corpus.scanner_of[patient] for patient in patients])
        accuracy = PatientBootstrap(patients).rate(right)
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
                },
                goal=f"accuracy at least {GOAL}",
                ok=accuracy["value"] >= GOAL,
            )
        )
    return claims
