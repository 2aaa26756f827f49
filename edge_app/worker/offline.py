"""`msu analyse`: files and folders through the worker's own flow, without store or network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_app.core.config import AnalysisSettings
from edge_app.core.errors import BackendError, InputError, NotDicomError
from edge_app.core.logs import get_logger
from edge_app.core.types import StudyResult
from edge_app.worker.analyse import StudyAnalysis
from edge_app.worker.models import Models
from edge_app.worker.outcome import unfinished
from edge_app.worker.reading import Reading, read_instance

__all__ = ["analyse_paths"]

_DICOMDIR = b"1.2.840.10008.1.3.10"
"""Media Storage Directory: lists the files beside it and holds no image (PS3.3 Annex F)."""

_META_BYTES = 512
"""The File Meta Information names the storage class within this much of the file (PS3.10 Section 7.1)."""

_log = get_logger(__name__)


@dataclass(slots=True)
class _Study:
    analysis: StudyAnalysis
    patient_id: str
    fingerprints: dict[str, str] = field(default_factory=dict)
    conflicts: set[str] = field(default_factory=set)
    failure: str = ""


def analyse_paths(paths: Sequence[Path], models: Models, settings: AnalysisSettings) -> list[StudyResult]:
    """Analyse every study found in files and folders, ordered by StudyInstanceUID.

    The order of paths and files does not matter. Files that are no DICOM objects are skipped with a line in the log;
    one that cannot be read is remarked on in all results, because nobody knows whose it was.

    Raises
    ------
    InputError
        If a path does not exist, or nothing at all is DICOM.
    """
    studies: dict[str, _Study] = {}
    unreadable: list[str] = []
    for path in _files(paths):
        try:
            reading = read_instance(path)
        except NotDicomError:
            _log.event(301, "skipped a file that is not DICOM")
        except InputError as error:
            if not _is_dicomdir(path):
                _log.event(302, "skipped a file that cannot be read", problem=error.code)
                unreadable.append(path.name)
        else:
            _take_in(studies, reading, models, settings)
    if not studies:
        what = f"{len(unreadable)} damaged DICOM files" if unreadable else "no DICOM object"
        raise InputError(f"{what} in {', '.join(map(str, paths))}", remedy="Give files or folders a scanner wrote.")
    remarks = (f"{len(unreadable)} files cannot be read",) if unreadable else ()
    results = [_conclude(studies[uid], models) for uid in sorted(studies)]
    return [replace(result, quality=(*result.quality, *remarks)) for result in results]


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist", remedy="Check the path.")
        found.update([path] if path.is_file() else (p for p in path.rglob("*") if p.is_file()))
    return iter(sorted(found))


def _is_dicomdir(path: Path) -> bool:
    with path.open("rb") as file:
        return _DICOMDIR in file.read(_META_BYTES)


def _take_in(studies: dict[str, _Study], reading: Reading, models: Models, settings: AnalysisSettings) -> None:
    header = reading.header
    study = studies.get(header.study_uid)
    if study is None:
        study = _Study(StudyAnalysis(header.study_uid, models, settings), header.patient_id)
        studies[header.study_uid] = study
    fingerprint = _fingerprint(reading)
    known = study.fingerprints.setdefault(header.sop_uid, fingerprint)
    if known != fingerprint:
        study.conflicts.add(header.sop_uid)
    if study.failure or header.sop_uid in study.analysis.headers:
        return
    try:
        study.analysis.add(reading)
        study.analysis.score_next()
    except BackendError as error:
        study.failure = error.message


def _fingerprint(reading: Reading) -> str:
    """Return the same text for the same image, whatever transfer syntax it was stored in."""
    digest = hashlib.sha256(repr(replace(reading.header, transfer_syntax_uid="")).encode())
    if reading.image is not None:
        digest.update(reading.image.hu.tobytes())
    return digest.hexdigest()


def _conclude(study: _Study, models: Models) -> StudyResult:
    try:
        if not study.failure:
            return study.analysis.conclude(conflicts=study.conflicts)
    except BackendError as error:
        study.failure = error.message
    return unfinished(study.analysis.study_uid, study.patient_id, "E-104", study.failure, models=models, waited_s=0.0)
