"""Images without the patient: PS3.15 Annex E, Basic Application Level Confidentiality Profile, by dicom-anonymizer.

The library knows the profile's table, and applies it to the data set itself, not inside of sequences. Here stands what
it cannot know: which objects may leave at all, what may stay that the table does not name, and a check of the result
against everything that identified this patient. What fails the check does not leave.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from io import BytesIO, StringIO

from dicomanonymizer import anonymize_dataset
from dicomanonymizer.simpledicomanonymizer import initialize_actions
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import CTImageStorage

from edge_app.core.errors import HeaderError

__all__ = ["PROFILE", "deidentified", "may_leave"]

PROFILE = ("113100", "DCM", "Basic Application Confidentiality Profile")

_IDENTIFYING_VRS = frozenset({"PN", "UI", "LO", "SH", "ST", "LT", "UT", "DA"})
_IDENTIFYING = (
    "PatientName", "PatientID", "OtherPatientIDs", "PatientBirthDate", "PatientAddress", "PatientTelephoneNumbers",
    "AccessionNumber", "StudyID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID",
    "InstitutionName", "InstitutionAddress", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName",
    "StationName", "DeviceSerialNumber", "StudyDate", "StudyDescription",
)  # fmt: skip
_KEPT = frozenset({
    "ContrastBolusAgent", "ConvolutionKernel", "FilterType", "Manufacturer", "ManufacturerModelName", "PixelData",
    "PositionReferenceIndicator", "RescaleType", "SOPClassUID", "SoftwareVersions", "WindowCenterWidthExplanation",
})  # fmt: skip
"""What may hold words and stays, although the profile's table does not name it: the machine and the image."""
_WORDLESS_VRS = frozenset({"AT", "CS", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_SHORTEST = 4
"""Shorter values (an ID "1", a sex) stand in any file by chance."""


def may_leave(ds: Dataset) -> bool:
    """Tell whether an object may be exported: axial CT images, and nothing on which somebody may have written."""
    kinds = [str(word).upper() for word in ds.get("ImageType", [])]
    return (
        ds.get("SOPClassUID") == CTImageStorage
        and "LOCALIZER" not in kinds
        and "SECONDARY" not in kinds
        and str(ds.get("BurnedInAnnotation", "NO")).upper() != "YES"
        # An overlay in unused bits of the pixels (PS3.5 Section 8.1.2, retired) stays when its description goes.
        and not any(e.tag.group & 0xFF00 == 0x6000 and e.tag.element == 0x0102 and e.value for e in ds)
    )


def deidentified(ds: Dataset, pseudonym: str) -> Dataset:
    """Return `ds`, changed in place, without the patient; pixels and geometry stay as they are.

    UIDs are replaced by others, the same for the same one within this process, so that slices stay together.

    Raises
    ------
    HeaderError
        If something that identified the patient is still there: then the object must not leave.
    """
    known = set(_words(ds))
    with contextlib.redirect_stdout(StringIO()):  # the library prints
        anonymize_dataset(ds)
    _remove_unnamed(ds)
    ds.PatientName = ds.PatientID = pseudonym
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "PS3.15 E basic profile, dicom-anonymizer"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = PROFILE
    ds.DeidentificationMethodCodeSequence = [code]
    # The face can be seen in thin head slices; whoever gets the data is told.
    ds.RecognizableVisualFeatures = "YES"
    left = sorted(word for word in known if word in _text(ds))
    if left:
        raise HeaderError(
            f"{len(left)} of the patient's identifiers are still in the image", remedy="It is not exported."
        )
    return ds


def _remove_unnamed(ds: Dataset) -> None:
    """Remove what may hold words, dates or UIDs and is neither in the profile's table nor among what is kept.

    No sequence stays, nor a group of curves or overlays; of the file's head (where an AE title tells whose scanner it
    was) only what a file must have.
    """
    treated = initialize_actions()
    for element in list(ds):
        tag = element.tag
        named = element.VR in _WORDLESS_VRS or element.keyword in _KEPT or (tag.group, tag.element) in treated
        if element.VR == "SQ" or tag.group & 0xFF00 in (0x5000, 0x6000) or not named:
            del ds[tag]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ds.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta, ds.preamble = meta, b"\0" * 128


def _words(ds: Dataset) -> Iterable[str]:
    for element in ds.iterall():
        if element.keyword in _IDENTIFYING and element.VR in _IDENTIFYING_VRS:
            values = element.value if isinstance(element.value, MultiValue) else [element.value]
            for value in values:
                yield from (part for part in str(value or "").replace("=", "^").split("^") if len(part) >= _SHORTEST)


def _text(ds: Dataset) -> str:
    """Return everything in the file but the pixels, as text."""
    pixels = ds.pop("PixelData", None)
    try:
        buffer = BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue().decode("latin-1") + buffer.getvalue().decode("utf-8", "replace")
    finally:
        if pixels is not None:
            ds[pixels.tag] = pixels
