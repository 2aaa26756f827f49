"""The key slices as a Key Object Selection Document (PS3.3 A.35.4, TID 2010): what to look at first."""

from __future__ import annotations

from typing import Any

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import (
    CodeContentItem,
    DeviceObserverIdentifyingAttributes,
    ObserverContext,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from edge_app.reports.header import MANUFACTURER, Kind, ReportInput, derived_uid, equipment, finish, reference
from edge_app.reports.words import AID, SYNTHETIC, headline

__all__ = ["make_key_objects"]

QUALITY = frozenset({"Q-02", "Q-09", "Q-10", "Q-13", "Q-15", "Q-16"})
"""Reasons that say something about the images as such: slices missing, head not covered, not decodable, ..."""


_FAILURES = {
    "Q-02": codes.DCM.NoImage,
    "Q-09": codes.DCM.Positioning,
    "Q-10": codes.DCM.NoImage,
    "Q-16": codes.DCM.ImageArtifacts,
}
"""CID 7011, which TID 2010 demands with this title; what has no code of its own is "Other failure"."""


def make_key_objects(report: ReportInput) -> Dataset | None:
    """Return the selection, most suspicious first, or the images refused for their quality; None if neither applies."""
    result = report.result
    selected = report.key_sources()
    modifiers: list[Any] = []
    title = codes.DCM.ForReferringProvider
    said = [headline(result)]
    if not selected and {reason.code for reason in result.reasons} & QUALITY:
        selected, title = report.used(), codes.DCM.QualityIssue
        modifiers = [_FAILURES.get(reason.code, codes.DCM.OtherFailure) for reason in result.reasons]
        said += [f"{reason.code} {reason.text}." for reason in result.reasons]
    if not selected:
        return None
    if result.model and result.model.synthetic:
        said.append(SYNTHETIC)
    evidence = [reference(source) for source in selected]
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=derived_uid("device", MANUFACTURER), name="msu-triage", manufacturer_name=MANUFACTURER
        ),
    )
    content = KeyObjectSelection(
        document_title=title,
        referenced_objects=evidence,
        observer_device_context=observer,
        description=". ".join([*said, AID]),
    )
    for number, failure in enumerate(dict.fromkeys(modifiers)):
        modifier = CodeContentItem(codes.DCM.DocumentTitleModifier, failure, RelationshipTypeValues.HAS_CONCEPT_MOD)
        content[0].ContentSequence.insert(number, modifier)
    arguments: dict[str, Any] = equipment(report, Kind.KEY_OBJECTS)
    return finish(KeyObjectSelectionDocument(evidence=evidence, content=content, **arguments), report, Kind.KEY_OBJECTS)
