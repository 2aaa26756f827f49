"""Objects of a result as files in the store: made once, written atomically, sent as they are."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from edge_app.core.clock import utc_now
from edge_app.core.errors import HeaderError
from edge_app.core.logs import get_logger, short
from edge_app.core.types import SliceImage, StudyResult, StudyStatus
from edge_app.reports.fhir import make_notice, make_transaction
from edge_app.reports.header import Kind, Looked, ModelFacts, ReportInput
from edge_app.reports.key_objects import make_key_objects
from edge_app.reports.message import make_message, message_json
from edge_app.reports.parametric_map import make_parametric_maps
from edge_app.reports.presentation_state import make_presentation_states
from edge_app.reports.secondary_capture import make_page
from edge_app.reports.sr import make_sr
from edge_app.store.editions import Edition, edition_before, edition_of, latest_edition
from edge_app.store.ledger import Ledger
from edge_app.store.notices import Notice
from edge_app.store.outbox import result_of
from edge_app.store.paths import StorePaths, fsync_folder, uid_hash, write_atomically
from edge_app.store.statements import statements_of

__all__ = [
    "FHIR_FILE",
    "MESSAGE_FILE",
    "make_documents",
    "make_reports",
    "report_files",
    "write_notice",
    "write_reports",
]

_log = get_logger(__name__)

_MAKERS: dict[Kind, Callable[[ReportInput], Dataset | Sequence[Dataset] | None]] = {
    Kind.MESSAGE: make_message,
    Kind.SR: make_sr,
    Kind.KEY_OBJECTS: make_key_objects,
    Kind.PAGE: make_page,
    Kind.PRESENTATION: make_presentation_states,
    Kind.MAP: make_parametric_maps,
}
"""In order of sending: first what says most in least."""

MESSAGE_FILE, FHIR_FILE = "message.json", "fhir.json"

_DOCUMENTS: dict[str, Callable[[ReportInput], bytes]] = {MESSAGE_FILE: message_json, FHIR_FILE: make_transaction}


def make_reports(report: ReportInput) -> dict[str, Dataset]:
    """Return the DICOM objects of one edition of a report by file name, in order of sending.

    Raises
    ------
    HeaderError
        If not one object can be made of these headers. One that can is not held back by one that cannot.
    """
    _check_sources(report)
    made: dict[str, Dataset] = {}
    problems: list[Exception] = []
    for kind, make in _MAKERS.items():
        try:
            some = make(report)
            for number, ds in enumerate([some] if isinstance(some, Dataset) else some or (), 1):
                _encoded(ds)
                made[_file_name(kind, 0 if isinstance(some, Dataset) else number)] = ds
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
    edition: int = 1,
    facts: ModelFacts | None = None,
    unvalidated_ischaemia: bool = True,
    parametric_maps: bool = False,
) -> list[Path]:
    """Write the objects of an edition of a stored result's report, once, and return the DICOM files to send, in order.

    The documents for web servers lie beside them, as `MESSAGE_FILE` and `FHIR_FILE`. Called again it returns
    the same files; after a crash it makes them again under the same UIDs.

    Raises
    ------
    HeaderError
        If no object can be made.
    """
    folder = _folder(paths, result, edition)
    if not (folder / _COMPLETE).exists():
        report = _input(result, ledger, paths, _edition(ledger, result, edition), facts, unvalidated_ischaemia)
        made = _make(_with_maps(report, paths) if parametric_maps else report)
        for kind in (Kind.SR, Kind.PAGE):
            if _file_name(kind) not in made:
                ledger.audit("report_missing", {"study_uid": result.study_uid, "kind": kind.file_name})
        _keep(folder, made)
    order = [kind.file_name for kind in _MAKERS]
    return sorted(folder.glob("*.dcm"), key=lambda path: (order.index(path.stem.split("-")[0]), path.name))


def write_notice(
    notice: Notice,
    ledger: Ledger,
    paths: StorePaths,
    *,
    facts: Callable[[StudyResult], ModelFacts | None] = lambda result: None,
    unvalidated_ischaemia: bool = True,
) -> Path:
    """Write the objects of a notice by the crew, once, and return the DICOM file; the documents lie beside it.

    It says what was known when the crew asked; where there was no result yet it says so.

    Raises
    ------
    HeaderError
        If the study has no readable image: then nothing can be said about it.
    """
    folder = paths.root / "results" / uid_hash(notice.study_uid) / f"n{notice.crew_id}"
    if not (folder / _COMPLETE).exists():
        result = result_of(ledger, notice.study_uid, notice.revision) or _no_result_yet(ledger, notice.study_uid)
        edition = edition_of(ledger, notice.study_uid, notice.revision, notice.edition)
        if edition is None:
            edition = Edition(notice.study_uid, notice.revision, 1, notice.crew_id, "", notice.at_utc)
        report = _input(result, ledger, paths, edition, facts(result), unvalidated_ischaemia)
        report = replace(report, created=_moment(notice.at_utc), issued=None)
        _check_sources(report)
        _keep(
            folder,
            {
                _file_name(Kind.NOTICE): _encoded(make_message(report, notice)),
                MESSAGE_FILE: message_json(report, notice),
                FHIR_FILE: make_notice(report, notice),
            },
        )
    return folder / _file_name(Kind.NOTICE)


def report_files(
    result: StudyResult,
    ledger: Ledger,
    paths: StorePaths,
    *,
    facts: ModelFacts | None = None,
    unvalidated_ischaemia: bool = True,
    parametric_maps: bool = False,
) -> dict[str, bytes]:
    """Return the objects of a result's latest report by file name: those in the store, or made now and kept nowhere.

    Raises
    ------
    HeaderError
        If no object can be made.
    """
    latest = latest_edition(ledger, result.study_uid, result.revision)
    folder = _folder(paths, result, latest.edition if latest else 1)
    if (folder / _COMPLETE).exists():
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".dcm", ".json")}
    report = _input(result, ledger, paths, latest, facts, unvalidated_ischaemia)
    return _make(_with_maps(report, paths) if parametric_maps else report)


_COMPLETE = "complete"


def _folder(paths: StorePaths, result: StudyResult, edition: int) -> Path:
    name = f"r{result.revision}" + (f"e{edition}" if edition > 1 else "")
    return paths.root / "results" / uid_hash(result.study_uid) / name


def _keep(folder: Path, made: dict[str, bytes]) -> None:
    for level in (folder.parent, folder):
        level.mkdir(exist_ok=True)
        fsync_folder(level.parent)
    for name, content in made.items():
        write_atomically(folder / name, content)
    write_atomically(folder / _COMPLETE, b"")


def _file_name(kind: Kind, number: int = 0) -> str:
    return f"{kind.file_name}-{number}.dcm" if number else f"{kind.file_name}.dcm"


def _make(report: ReportInput) -> dict[str, bytes]:
    objects = {name: _encoded(ds) for name, ds in make_reports(report).items()}
    return objects | make_documents(report)


def _edition(ledger: Ledger, result: StudyResult, edition: int) -> Edition | None:
    found = edition_of(ledger, result.study_uid, result.revision, edition)
    if found is None and edition > 1:
        raise HeaderError(f"there is no edition {edition} of this report", remedy="The ledger has been tampered with.")
    return found


def _input(
    result: StudyResult,
    ledger: Ledger,
    paths: StorePaths,
    edition: Edition | None,
    facts: ModelFacts | None,
    unvalidated_ischaemia: bool,
) -> ReportInput:
    report = ReportInput(
        result,
        _headers(ledger, paths, result.study_uid),
        _created(ledger, result) or (_moment(edition.created_utc) if edition else utc_now()),
        facts,
        unvalidated_ischaemia,
        _pictures(ledger, paths, result),
    )
    if edition is None:
        return report
    return replace(
        report,
        edition=edition.edition,
        issued=_moment(edition.created_utc) if edition.edition > 1 else None,
        why=edition.why,
        said=statements_of(ledger, result.study_uid, revision=result.revision, crew_id=edition.crew_id),
        before=edition_before(ledger, edition),
    )


def _no_result_yet(ledger: Ledger, study_uid: str) -> StudyResult:
    patient_id = next((row.patient_id for row in ledger.instances(study_uid=study_uid)), "")
    return StudyResult(
        study_uid, patient_id, StudyStatus.ANALYSING, None, None, (), None, (), None, None, {}, revision=0
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


def _created(ledger: Ledger, result: StudyResult) -> datetime | None:
    rows = ledger.read(
        "SELECT created_utc FROM results WHERE study_uid = ? AND revision = ?", result.study_uid, result.revision
    )
    return _moment(rows[0][0]) if rows else None


def _moment(at_utc: str) -> datetime:
    return datetime.fromisoformat(at_utc.replace("Z", "+00:00"))


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


def _with_maps(report: ReportInput, paths: StorePaths) -> ReportInput:
    """Return the report with where the model looked, if that model's maps have passed their release gate (R38)."""
    released = report.facts is not None and report.facts.heat_maps
    return replace(report, looked=_looked(paths, report.result)) if released else report


def _looked(paths: StorePaths, result: StudyResult) -> dict[str, Looked]:
    """Return where the model looked on the key slices, as the worker left it."""
    found = {}
    try:
        with np.load(paths.saliency(result.study_uid, result.revision), allow_pickle=False) as arrays:
            for uid in result.key_slices:
                name = uid_hash(uid)
                if name in arrays and f"{name}.to_slice" in arrays:
                    found[uid] = Looked(
                        np.asarray(arrays[name], np.float32), np.asarray(arrays[f"{name}.to_slice"], np.float64)
                    )
    except (OSError, ValueError, zipfile.BadZipFile):
        return {}  # like the frames a cache: the report goes out without
    return found
