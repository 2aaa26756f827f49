"""What an ONNX file says of itself, so that it cannot be taken for another: kept in its metadata (`msu.…`)."""

from __future__ import annotations

from edge_app.core.types import CLASSES
from edge_app.preprocessing import get_profile, profile_hash

__all__ = ["network_facts"]


def network_facts(profile: str, *, commit: str, synthetic: bool, labels: str, architecture: str = "") -> dict[str, str]:
    """Return what is kept in a network's file.

    Parameters
    ----------
    profile
        Name of the preprocessing that its input has gone through.
    commit
        Of the code that trained it.
    synthetic
        Whether it was trained on SYNTHETIC images.
    labels
        How its logits are read (`edge_app.inference.manifest.Labels`).
    """
    return {
        "classes": ",".join(CLASSES),
        "labels": labels,
        "preprocessing": profile,
        "preprocessing_sha256": profile_hash(get_profile(profile)),
        "training_commit": commit,
        "architecture": architecture,
        "synthetic": str(synthetic).lower(),
    }
