"""Big-endian objects for peers that do not take them any more (retired with DICOM 2006): same instance, other order."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from pydicom import FileDataset, dcmread, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

__all__ = ["little_endian"]

_WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def little_endian(dataset: FileDataset) -> FileDataset:
    """Return a big-endian data set, changed in place, as a little-endian one.

    pydicom turns numbers round, but not pixels and tables (PS3.5 Section 7.3).
    """
    for element in dataset.iterall():
        size = _WORD_BYTES.get(element.VR)
        if size and element.value:
            element.value = np.frombuffer(element.value, f">u{size}").astype(f"<u{size}").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True, force_encoding=True)
    return dcmread(BytesIO(buffer.getvalue()))
