"""The result as a Comprehensive 3D SR, TID 1500 (PS3.16): findings, probabilities, who says so, and on which images."""

from __future__ import annotations

from typing import Any

from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

from edge_app.reports.findings import Finding, findings
from edge_app.reports.header import (
    MANUFACTURER,
    Kind,
    ReportInput,
    derived_uid,
    equipment,
    finish,
    instance_uid,
    reference,
)
from edge_app.reports.words import SYNTHETIC, aid, headline, lines

__all__ = ["make_sr"]


def make_sr(report: ReportInput) -> Dataset:
    """Return the SR: preliminary, unverified; a revision names the one before as its predecessor."""
    used = [reference(source) for source in report.used()]
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=derived_uid("device", MANUFACTURER),
            name="msu-triage",
            manufacturer_name=MANUFACTURER,
            model_name="msu-triage",
        ),
    )
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=codes.SCT.ComputedTomographyOfHead,
        imaging_measurements=[_finding(report, finding) for finding in findings(report)],
        title=codes.DCM.ImagingMeasurementReport,
        # No Image Library (TID 1600, optional): it repeats the images' geometry, 5 KB for each, over a thin link.
        # Which images were used stands in the evidence and at each slice's probability.
    )
    for line in _comments(report):
        content[0].ContentSequence.append(
            TextContentItem(codes.DCM.Comment, line, relationship_type=RelationshipTypeValues.CONTAINS)
        )
    arguments: dict[str, Any] = equipment(report, Kind.SR)
    sr = Comprehensive3DSR(
        evidence=used,
        content=content,
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=_predecessors(report) or None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **arguments,
    )
    return finish(sr, report, Kind.SR)


def _comments(report: ReportInput) -> tuple[str, ...]:
    result = report.result
    synthetic = (SYNTHETIC,) if result.model and result.model.synthetic else ()
    return (
        headline(result),
        *synthetic,
        *lines(report),
        aid(report.said),
    )


def _finding(report: ReportInput, finding: Finding) -> MeasurementsAndQualitativeEvaluations:
    """Return TID 1501: one finding with its value, the patient's probability and each slice's."""
    result, label = report.result, finding.label
    measurements = []
    if result.probabilities is not None:
        measurements.append(_probability(result.probabilities[label]))
        by_uid = {str(source.SOPInstanceUID): source for source in report.sources}
        measurements += [
            _probability(row.probabilities[label], by_uid[row.sop_uid])
            for row in result.slices
            if label in row.probabilities and row.sop_uid in by_uid
        ]
        measurements += _performance(report, label)
    key_images = [
        SourceImageForMeasurementGroup(str(source.SOPClassUID), str(source.SOPInstanceUID))
        for source in report.key_sources()
    ]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid(result.study_uid, "finding", label), identifier=f"AI {finding.name}"
        ),
        finding_type=finding.code,
        algorithm_id=_algorithm(report),
        measurements=measurements or None,
        qualitative_evaluations=[QualitativeEvaluation(codes.DCM.PresenceOfProperty, finding.value)],
        source_images=key_images or None,
    )


def _performance(report: ReportInput, label: str) -> list[Measurement]:
    """Return how often the model was right on its test cases at this operating point (CID 6048)."""
    known = report.facts.performance.get(label) if report.facts else None
    if known is None:
        return []
    names = (codes.DCM.CaseSensitivity, codes.DCM.CaseSpecificity)
    return [
        Measurement(name=name, value=round(100 * rate, 1), unit=codes.UCUM.Percent)
        for name, rate in zip(names, known, strict=True)
    ]


def _probability(probability: float, source: Dataset | None = None) -> Measurement:
    images = (
        None if source is None else [SourceImageForMeasurement(str(source.SOPClassUID), str(source.SOPInstanceUID))]
    )
    return Measurement(
        name=codes.DCM.Probability,
        value=round(100 * probability, 1),
        unit=codes.UCUM.Percent,
        referenced_images=images,
    )


def _algorithm(report: ReportInput) -> AlgorithmIdentification | None:
    """Return TID 4019, with the operating point among the parameters; None where no model answered."""
    model = report.result.model
    if model is None:
        return None
    parameters = [f"bundle sha256 {model.sha256}", f"backend {report.result.backend}"]
    if report.facts:
        parameters += [
            f"operating point {label}: t_lo {low:g}, t_hi {high:g}"
            for label, (low, high) in sorted(report.facts.operating_points.items())
        ]
    if model.synthetic:
        parameters.append(SYNTHETIC)
    return AlgorithmIdentification(
        name=model.name, version=model.version, manufacturer=MANUFACTURER, parameters=parameters
    )


def _predecessors(report: ReportInput) -> list[Dataset]:
    """Return the report that this one supersedes."""
    before = report.predecessor
    if before is None:
        return []
    ds = reference(report.used()[0])
    ds.SeriesInstanceUID = derived_uid(before.study_uid, Kind.SR.file_name)
    ds.SOPInstanceUID = instance_uid(before.study_uid, Kind.SR, before.revision, before.edition)
    ds.SOPClassUID = Comprehensive3DSRStorage
    return [ds]
