"""Claim: where the source tells the class, the source probe says so."""

from __future__ import annotations

import numpy as np

from edge_app.simulator.scanner import TRAINING_PERSONALITIES
from training.data.prepared import PreparedSet
from training.proof.claim import Claim
from training.proof.ready import Ready
from training.source_probe import LIMIT, SourceProbe, probe_sources

__all__ = ["prove_probe"]


def prove_probe(ready: Ready) -> Claim:
    """Probe a corpus in which infarcts come from other scanners than all else; and one park of scanners, to compare."""
    names = [scanner.name for scanner in TRAINING_PERSONALITIES]
    park = {"rsna": set(names[::2]), "aisd": set(names[1::2])}
    scanner_of = ready.corpus.scanner_of

    def confounded(data: PreparedSet) -> list[int]:
        return [
            number
            for number, study in enumerate(data.studies)
            if scanner_of[study.patient_id] in park[study.source] and (study.source, study.label) != ("aisd", 0)
        ]

    def shared(data: PreparedSet) -> list[int]:
        """Return negatives: only the source's own habits can tell them apart."""
        return np.flatnonzero(data.study_labels() == 0).tolist()

    sides = [ready.sets[side] for side in ("train", "validation")]
    probe = probe_sources([data.subset_of_studies(confounded(data)) for data in sides], seed=ready.sizes.seed)
    control = probe_sources([data.subset_of_studies(shared(data)) for data in sides], seed=ready.sizes.seed)
    return Claim(
        id="source-probe",
        claim="On a corpus where the source tells the class, the source probe says source-confounded.",
        measured={
            "headline": probe.headline,
            "balanced_accuracy": _values(probe),
            "studies": {view.view: list(view.studies) for view in probe.views},
            "one_scanner_park_negatives_only": _values(control),
        },
        goal=f"the headline says source-confounded: a view above {LIMIT} balanced accuracy",
        ok=probe.confounded and probe.headline.startswith("source-confounded"),
    )


def _values(probe: SourceProbe) -> dict[str, float]:
    return {view.view: view.balanced_accuracy["value"] for view in probe.views}
