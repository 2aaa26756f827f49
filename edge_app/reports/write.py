"""Objects of a result as files in the store: made once, written atomically, sent as they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from edge_app.core.errors import HeaderError
from edge_app.core.logs import get_logger, short
from edge_app.core.types import SliceImage, StudyResult
from edge_app.reports.fhir import make_transaction
from edge_app.reports.header import Kind, ModelFacts, ReportInput
from edge_app.reports.key_objects import make_key_objects
from edge_app.reports.message import make_message, message_json
from edge_app.reports.presentation_state import make_presentation_state
from edge_app.reports.secondary_capture import make_page
from edge_app.reports.sr import make_sr
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths, fsync_folder, uid_hash, write_atomically

__all__ = ["FHIR_FILE", "MESSAGE_FILE", "make_documents", "make_reports", "report_files", "write_reports"]

_log = get_logger(__name__)

_MAKERS: dict[Kind, Callable[[ReportInput], Dataset | None]] = {
    Kind.MESSAGE: make_message,
    Kind.SR: make_sr,
    Kind.KEY_OBJECTS: make_key_objects,
    Kind.PRESENTATION: make_presentation_state,
    Kind.PAGE: make_page,
}
"""In order of sending: smallest first."""

MESSAGE_FILE, FHIR_FILE = "message.json", "fhir.json"

_DOCUMENTS: dict[str, Callable[[ReportInput], bytes]] = {MESSAGE_FILE: message_json, FHIR_FILE: make_transaction}


def make_reports(report: ReportInput) -> dict[Kind, Dataset]:
    """Return the DICOM objects of one revision of a result.

    Raises
    ------
    HeaderError
        If not one object can be made of these headers. One that can is not held back by one that cannot.
    """
    _check_sources(report)
    made: dict[Kind, Dataset] = {}
    problems: list[Exception] = []
    for kind, make in _MAKERS.items():
        try:
            ds = make(report)
            if ds is not None:
                _encoded(ds)
                made[kind] = ds
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # highdicom and pydicom raise these on headers they find invalid; scanners send such headers.
            problems.append(error)
            _event_left_out(kind.file_name, report, error)
    if problems and not made:
        raise HeaderError(
            f"no object can be made of the result: {problems[0]}", remedy="Ask the scanner's vendor about its headers."
        ) from problems[0]
    return made


def make_documents(report: ReportInput) -> dict[str, bytes]:
    """Return what is said of the result to web servers, by file name: the notification and the FHIR transaction."""
    _check_sources(report)
    made: dict[str, bytes] = {}
    for name, make in _DOCUMENTS.items():
        try:
            made[name] = make(report)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            _event_left_out(name, report, error)
    return made


def _check_sources(report: ReportInput) -> None:
    if not report.sources:
        raise HeaderError("a study without a readable image has no reports", remedy="Read the images without AI.")


def _event_left_out(what: str, report: ReportInput, error: Exception) -> None:
    _log.event(405, f"no {what} object", study=short(report.result.study_uid), problem=type(error).__name__)


def write_reports(
    result: StudyResult,
    ledger: Ledger,
    paths: StorePaths,
    *,
    facts: ModelFacts | None = None,
    unvalidated_ischaemia: bool = True,
) -> list[Path]:
    """Write the objects of a stored result, once, and return the DICOM files in order of sending.

    The documents for web servers lie beside them, as `MESSAGE_FILE` and `FHIR_FILE`. Called again it returns
    the same files; after a crash it makes them again under the same UIDs.

    Raises
    ------
    HeaderError
        If no object can be made.
    """
    folder = _folder(paths, result)
    complete = folder / "complete"
    if not complete.exists():
        made = _make(_input(result, ledger, paths, facts, unvalidated_ischaemia))
        for kind in (Kind.SR, Kind.PAGE):
            if _file_name(kind) not in made:
                ledger.audit("report_missing", {"study_uid": result.study_uid, "kind": kind.file_name})
        for level in (folder.parent, folder):
            level.mkdir(exist_ok=True)
            fsync_folder(level.parent)
        for name, content in made.items():
            write_atomically(folder / name, content)
        write_atomically(complete, b"")
    return [path for kind in _MAKERS if (path := folder / _file_name(kind)).exists()]


def report_files(
    result: StudyResult,
    ledger: Ledger,
    paths: StorePaths,
    *,
    facts: ModelFacts | None = None,
    unvalidated_ischaemia: bool = True,
) -> dict[str, bytes]:
    """Return the objects of a stored result by file name: those in the store, or else made now and kept nowhere.

    Raises
    ------
    HeaderError
        If no object can be made.
    """
    folder = _folder(paths, result)
    if (folder / "complete").exists():
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".dcm", ".json")}
    return _make(_input(result, ledger, paths, facts, unvalidated_ischaemia))


def _folder(paths: StorePaths, result: StudyResult) -> Path:
    return paths.root / "results" / uid_hash(result.study_uid) / f"r{result.revision}"


def _file_name(kind: Kind) -> str:
    return f"{kind.file_name}.dcm"


def _make(report: ReportInput) -> dict[str, bytes]:
    objects = {_file_name(kind): _encoded(ds) for kind, ds in make_reports(report).items()}
    return objects | make_documents(report)


def _input(
    result: StudyResult, ledger: Ledger, paths: StorePaths, facts: ModelFacts | None, unvalidated_ischaemia: bool
) -> ReportInput:
    return ReportInput(
        result,
        _headers(ledger, paths, result.study_uid),
        _created(ledger, result),
        facts,
        unvalidated_ischaemia,
        _pictures(ledger, paths, result),
    )


def _encoded(ds: Dataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _headers(ledger: Ledger, paths: StorePaths, study_uid: str) -> list[Dataset]:
    headers: list[Dataset] = []
    for row in ledger.instances(study_uid=study_uid):
        try:
            headers.append(dcmread(paths.root / row.path, stop_before_pixels=True))
        except (OSError, InvalidDicomError) as error:
            _log.event(406, "image left out of the reports", sop=short(row.sop_uid), problem=type(error).__name__)
    return headers


def _created(ledger: Ledger, result: StudyResult) -> datetime:
    rows = ledger.read(
        "SELECT created_utc FROM results WHERE study_uid = ? AND revision = ?", result.study_uid, result.revision
    )
    return datetime.fromisoformat(rows[0][0].replace("Z", "+00:00"))


def _pictures(ledger: Ledger, paths: StorePaths, result: StudyResult) -> dict[str, SliceImage]:
    """Return the key slices as the worker decoded them: foreign pixels are never decoded in this process."""
    pictures = {}
    for frame in ledger.frames(result.study_uid):
        if frame.sop_uid not in result.key_slices or not frame.path:
            continue
        try:
            hu = np.load(paths.root / frame.path, allow_pickle=False)
        except (OSError, ValueError):
            continue  # the frames are a cache; the page then says "no picture"
        pictures[frame.sop_uid] = SliceImage(
            frame.sop_uid, hu, (frame.row_spacing_mm or 1.0, frame.column_spacing_mm or 1.0)
        )
    return pictures
