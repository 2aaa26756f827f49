"""Small CT instances as a scanner encodes them: pydicom's own CT slice with new UIDs."""

from __future__ import annotations

import copy
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from edge_app.store.inbox import Inbox, Outcome

__all__ = ["STUDY_UID", "Instance", "add", "encode", "make_dataset", "make_instance", "write_files"]

STUDY_UID = "1.2.826.0.1.3680043.8.498.1"


@dataclass(frozen=True)
class Instance:
    """An encoded data set and how a C-STORE request announces it."""

    content: bytes
    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str

    def announced(self) -> dict[str, str]:
        return {
            "sop_uid": self.sop_uid,
            "sop_class_uid": self.sop_class_uid,
            "transfer_syntax_uid": self.transfer_syntax_uid,
            "association_id": "a1",
            "source_aet": "SCANNER",
        }


@cache
def _original() -> Dataset:
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    del dataset[0xFFFCFFFC]
    return dataset


def make_dataset(sop_uid: str = "", *, study_uid: str = STUDY_UID, pixel: int = 0, **attributes: Any) -> Dataset:
    """Return a CT slice; `pixel` changes its first pixel."""
    dataset = copy.deepcopy(_original())  # Dataset.update would share the elements
    dataset.SOPInstanceUID = sop_uid or generate_uid()
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = f"{study_uid}.1"
    dataset.PixelData = bytes([pixel]) + _original().PixelData[1:]
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def encode(dataset: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """Encode a data set as it travels in P-DATA."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = transfer_syntax_uid == ImplicitVRLittleEndian
    buffer.is_little_endian = transfer_syntax_uid != ExplicitVRBigEndian
    write_dataset(buffer, dataset)
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflate.compress(buffer.getvalue()) + deflate.flush()
    return buffer.getvalue()


def make_instance(sop_uid: str = "", *, transfer_syntax_uid: str = ExplicitVRLittleEndian, **options: Any) -> Instance:
    """Return an encoded CT slice."""
    dataset = make_dataset(sop_uid, **options)
    return Instance(encode(dataset, transfer_syntax_uid), dataset.SOPInstanceUID, CTImageStorage, transfer_syntax_uid)


def add(inbox: Inbox, instance: Instance, **changed: str) -> Outcome:
    """Hand an instance to the inbox as the receiver does."""
    return inbox.add_instance(instance.content, **{**instance.announced(), **changed})


def write_files(folder: Path, count: int, **options: Any) -> list[Path]:
    """Write a study of slices as files for a sender."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        dataset = make_dataset(InstanceNumber=index + 1, **options)
        paths.append(folder / f"{index:03}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths
