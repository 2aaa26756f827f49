"""What of an image network's maps is shown: where it found what speaks for a finding."""

from __future__ import annotations

import numpy as np

from edge_app.core.types import CLASSES, FloatArray

__all__ = ["evidence"]


def evidence(saliency: FloatArray, label: str) -> FloatArray:
    """Return (h, w): how much more each place speaks for `label` than for "negative".

    After a softmax a class's own map says nothing by itself: what adds the same to all three changes no probability.
    Of a network that answers each finding for itself the map of "negative" is 0.

    Parameters
    ----------
    saliency
        (3, h, w) of the image network, one map a class.
    label
        ``hemorrhage`` or ``ischemic``.
    """
    return np.asarray(saliency[CLASSES.index(label)] - saliency[0], np.float32)
