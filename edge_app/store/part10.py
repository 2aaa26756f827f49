"""The head of a DICOM file (PS3.10 Section 7.1): what stands before a data set that was received over the network."""

from __future__ import annotations

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from edge_app.store.identity import Identity

__all__ = ["IMPLEMENTATION_CLASS_UID", "IMPLEMENTATION_VERSION_NAME", "file_head"]

IMPLEMENTATION_CLASS_UID = UID("2.25.292153347658763051782637909101394661571")
"""ImplementationClassUID (0002,0012) of this program, in files and in association negotiation (PS3.7 D.3.3.2)."""

IMPLEMENTATION_VERSION_NAME = "MSU_TRIAGE_0_1"


def file_head(identity: Identity, transfer_syntax_uid: str, source_aet: str) -> bytes:
    """Return preamble, prefix and file meta information; the data set follows byte by byte as it was received."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(identity.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(identity.sop_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    meta.SourceApplicationEntityTitle = source_aet
    head = DicomBytesIO()
    head.write(b"\x00" * 128 + b"DICM")
    write_file_meta_info(head, meta)
    return head.getvalue()
