"""Images made smaller for a thin link without losing a grey level: same instance, other syntax (PS3.5 Annex A.4)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
)

from edge_app.core.damage import PYDICOM_ERRORS
from edge_app.core.logs import get_logger, short
from edge_app.delivery.items import Item

__all__ = ["SMALLER", "LinkSpeed", "compressed", "is_compressible"]

SMALLER = (str(JPEGLSLossless), str(JPEG2000Lossless))
"""In order of preference: JPEG-LS is as small as JPEG 2000 on CT, at a fraction of its time."""

_PLAIN = frozenset((str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)))
_WORTH_BYTES = 64 * 1024

_log = get_logger(__name__)


class LinkSpeed:
    """How fast a link is, from the last objects that were large enough to tell.

    Parameters
    ----------
    slow_kbit_s
        Below this it counts as slow; so it does until something was sent. 0: never.
    """

    MEASURE_BYTES = 16 * 1024

    def __init__(self, slow_kbit_s: float) -> None:
        self._slow_kbit_s = slow_kbit_s
        self.kbit_s: float | None = None

    @property
    def is_slow(self) -> bool:
        """Tell whether images are worth the time it takes to compress them."""
        return self._slow_kbit_s > 0 and (self.kbit_s is None or self.kbit_s < self._slow_kbit_s)

    def note(self, size_bytes: int, seconds: float) -> None:
        """Take in how long an object took."""
        if size_bytes >= self.MEASURE_BYTES and seconds > 0:
            now_kbit_s = size_bytes * 8 / 1000 / seconds
            self.kbit_s = now_kbit_s if self.kbit_s is None else 0.5 * (self.kbit_s + now_kbit_s)


def is_compressible(item: Item) -> bool:
    """Tell whether an object is an uncompressed image worth compressing (decided by the file, not by decoding it)."""
    return item.transfer_syntax_uid in _PLAIN and not item.is_document and item.path.stat().st_size >= _WORTH_BYTES


def compressed(item: Item, accepted: Iterable[str]) -> FileDataset | None:
    """Return the object in a smaller transfer syntax that the peer takes, or None if that is not possible.

    The result is decoded again and compared with the original, sample by sample: an encoder that errs on one image
    costs time, never a grey level.
    """
    syntax = next((uid for uid in SMALLER if uid in set(accepted)), None)
    if syntax is None:
        return None
    try:
        dataset = dcmread(item.path)
        if "PixelData" not in dataset:
            return None
        original = dataset.pixel_array
        dataset.compress(syntax, generate_instance_uid=False)
        same = np.array_equal(dataset.pixel_array, original)
    except PYDICOM_ERRORS as error:
        _log.event(408, "image goes uncompressed", sop=short(item.sop_uid), problem=type(error).__name__)
        return None
    return dataset if same else None
