"""What all our objects share: derived UIDs, the patient and study of the source images, and who made them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

from edge_app.core.types import SliceImage, StudyResult
from edge_app.store.editions import Edition
from edge_app.store.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from edge_app.store.statements import Statements

__all__ = [
    "DEVICE_SERIAL_NUMBER",
    "MANUFACTURER",
    "Kind",
    "Looked",
    "ModelFacts",
    "ReportInput",
    "derived_uid",
    "equipment",
    "finish",
    "instance_uid",
    "reference",
    "software",
]

MANUFACTURER = "msu-triage project"
DEVICE_SERIAL_NUMBER = "1"
"""The program, not the vehicle: which vehicle it was, the receiving side knows by our AE title."""

_NAMESPACE = uuid.UUID("6d1c3b52-30f4-5c1e-9a7e-5a1f7e0c9d42")


class Kind(Enum):
    """One series per kind; the value is (file name, SeriesNumber, SeriesDescription)."""

    MESSAGE = ("msg", 9000, "AI result message")
    SR = ("sr", 9001, "AI result")
    KEY_OBJECTS = ("ko", 9002, "AI key slices")
    PAGE = ("sc", 9003, "AI result page")
    PRESENTATION = ("pr", 9004, "AI windows of key slices")
    MAP = ("pm", 9006, "AI where the model looked")
    NOTICE = ("notice", 9005, "AI result, crew asks for a reader")

    @property
    def file_name(self) -> str:
        """Return the stem of the file."""
        return str(self.value[0])

    @property
    def series_number(self) -> int:
        """Return the SeriesNumber: high, so that it collides with no scanner's."""
        return int(self.value[1])

    @property
    def description(self) -> str:
        """Return the SeriesDescription."""
        return str(self.value[2])

    @property
    def is_edited(self) -> bool:
        """Tell whether it speaks of what people said, so that each edition has one of its own."""
        return self in (Kind.MESSAGE, Kind.SR, Kind.PAGE)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the bundle's manifest says of the model that answered, for each finding.

    `operating_points` are (t_lo, t_hi); `performance` is (sensitivity, specificity) per case at that operating point,
    missing where the manifest has no test of it; `heat_maps` is whether they passed their release gate (SCREEN.md R38).
    """

    operating_points: Mapping[str, tuple[float, float]]
    performance: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    heat_maps: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Looked:
    """Where the model looked on one slice: `maps` (classes, h, w) float32, and the affine (2, 3) `to_slice` pixels."""

    maps: NDArray[np.float32]
    to_slice: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class ReportInput:
    """One edition of the report of a result, with all that its objects are made of.

    `sources` are the headers of the study's images, without pixels; `created` (of the result) and `issued` (of the
    edition) are aware; `pictures` are the key slices by SOP Instance UID, as the worker published them; `said` is what
    people have said by this edition, and `before` the edition that it supersedes.
    """

    result: StudyResult
    sources: Sequence[Dataset]
    created: datetime
    facts: ModelFacts | None = None
    unvalidated_ischaemia: bool = True
    pictures: Mapping[str, SliceImage] = field(default_factory=dict)
    looked: Mapping[str, Looked] = field(default_factory=dict)
    """By SOP Instance UID, where parametric maps are wanted."""
    edition: int = 1
    issued: datetime | None = None
    why: str = ""
    """What made a further edition: a kind of `edge_app.store.editions.REVISING`."""
    said: Statements = field(default_factory=Statements)
    before: Edition | None = None

    @property
    def is_revised(self) -> bool:
        """Tell whether it supersedes another one."""
        return self.result.revision > 1 or self.edition > 1

    @property
    def predecessor(self) -> Edition | None:
        """Return the edition that this one supersedes, or None."""
        if self.before is None and self.result.revision > 1:
            return Edition(self.result.study_uid, self.result.revision - 1, 1, 0, "", "")
        return self.before

    def used(self) -> list[Dataset]:
        """Return the sources that the result is about, in order of position; all of them if it is about none."""
        by_uid = {str(source.SOPInstanceUID): source for source in self.sources}
        used = [by_uid[s.sop_uid] for s in self.result.slices if s.sop_uid in by_uid]
        return used or list(self.sources)

    def key_sources(self) -> list[Dataset]:
        """Return the key slices, most suspicious first."""
        by_uid = {str(source.SOPInstanceUID): source for source in self.sources}
        return [by_uid[uid] for uid in self.result.key_slices if uid in by_uid]


def derived_uid(study_uid: str, *words: object) -> str:
    """Return a UID that depends on its arguments alone (PS3.5 B.2): made again, an object is the same instance."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join([study_uid, *map(str, words)])).int}"


def instance_uid(study_uid: str, kind: Kind, revision: int, edition: int = 1, number: int = 1) -> str:
    """Return the SOP Instance UID of an object of a report."""
    further = (edition,) if edition > 1 and kind.is_edited else ()
    return derived_uid(study_uid, kind.file_name, revision, number, *further)


def software() -> str:
    """Return SoftwareVersions."""
    return f"msu-triage {version('msu-triage')}"


def equipment(report: ReportInput, kind: Kind, number: int = 1) -> dict[str, object]:
    """Return the arguments that every highdicom constructor takes, for one object of a kind."""
    study, revision = report.result.study_uid, report.result.revision
    edition = report.edition if kind.is_edited else 1
    return {
        "series_instance_uid": derived_uid(study, kind.file_name),
        "series_number": kind.series_number,
        "sop_instance_uid": instance_uid(study, kind, revision, edition, number),
        "instance_number": max(100 * (revision - 1), 0) + 10 * (edition - 1) + number,
        "manufacturer": MANUFACTURER,
    }


_NEEDED = {
    "PatientID": "", "PatientName": "", "PatientBirthDate": "", "PatientSex": "", "AccessionNumber": "", "StudyID": "",
    "StudyDate": "", "StudyTime": "", "ReferringPhysicianName": "",
}  # fmt: skip


def reference(source: Dataset) -> Dataset:
    """Return a source as highdicom wants it: its image attributes, and a blank patient and study.

    highdicom insists on attributes that scanners leave out and on values that they do not keep to. `finish` puts in
    what the source really says.
    """
    made = Dataset()
    for element in source:
        if element.keyword and element.keyword not in _COPIED:
            made.add(copy(element))  # pydicom changes elements in place: the source's must not be ours
    for keyword, value in _NEEDED.items():
        setattr(made, keyword, value)
    made.StudyInstanceUID = source.StudyInstanceUID
    made.SpecificCharacterSet = "ISO_IR 192"
    return made


_COPIED = (
    # Patient and Patient Study Module (PS3.3 C.7.1.1, C.7.2.2)
    "PatientName", "PatientID", "IssuerOfPatientID", "TypeOfPatientID", "PatientBirthDate", "PatientBirthTime",
    "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    # General Study Module (PS3.3 C.7.2.1)
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
    "StudyDescription",
)  # fmt: skip

_TYPE_2 = tuple(_NEEDED)
_UNIMPORTANT = frozenset({"PatientAge", "PatientSize", "PatientWeight", "PatientBirthTime", "TypeOfPatientID"})
"""Left out where the scanner's value breaks a rule: nobody finds a patient by them, and a strict PACS may refuse."""


def _is_valid(keyword: str, value: str) -> bool:
    try:
        validate_value(dictionary_VR(keyword), value, config.RAISE)
    except ValueError:
        return False
    return True


def finish(ds: Dataset, report: ReportInput, kind: Kind) -> Dataset:
    """Copy patient and study from the source as they are, and say who made the object, when, and how to read it."""
    source = report.used()[0]
    for keyword in _COPIED:
        tag = tag_for_keyword(keyword)
        if tag is None:
            continue
        if keyword in source:
            value = source[keyword].value
            text = "" if value is None else str(value)
            if keyword in _UNIMPORTANT and not _is_valid(keyword, text):
                ds.pop(tag, None)
                continue
            # Written as the scanner sent it, even where that breaks a rule: identity is matched, not corrected.
            ds[tag] = DataElement(tag, dictionary_VR(tag), text, validation_mode=config.IGNORE)
        elif keyword in _TYPE_2:
            ds[tag] = DataElement(tag, dictionary_VR(tag), "")
        elif keyword in ds:
            del ds[tag]
    local = (report.issued if report.issued and kind.is_edited else report.created).astimezone()
    date, time = local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f")
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.InstanceCreationDate = ds.SeriesDate = date
    ds.InstanceCreationTime = ds.SeriesTime = time
    if kind is not Kind.PRESENTATION:  # its IOD has a PresentationCreationDate instead
        ds.ContentDate, ds.ContentTime = date, time
    ds.InstanceCreatorUID = IMPLEMENTATION_CLASS_UID
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = "msu-triage"
    ds.DeviceSerialNumber = DEVICE_SERIAL_NUMBER
    ds.SoftwareVersions = software()
    for item in ds.get("ContributingEquipmentSequence", ()):
        item.pop("ContributionDateTime", None)  # highdicom's "now": made again, the object must be the same
    synthetic = report.result.model is not None and report.result.model.synthetic
    ds.SeriesDescription = kind.description + (" SYNTHETIC" if synthetic else "")
    ds.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    ds.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return ds
