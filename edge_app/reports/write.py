"""Objects of a result as files in the store: made once, written atomically, sent as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset

from edge_app.core.errors import HeaderError
from edge_app.core.logs import get_logger, short
from edge_app.core.types import StudyResult, StudyStatus
from edge_app.reports.fhir import make_notice, make_transaction
from edge_app.reports.header import Kind, ModelFacts, ReportInput
from edge_app.reports.hl7 import make_oru
from edge_app.reports.inputs import edition_named, message_input, moment, report_input, with_maps
from edge_app.reports.key_objects import make_key_objects
from edge_app.reports.message import make_message, message_json
from edge_app.reports.parametric_map import make_parametric_maps
from edge_app.reports.presentation_state import make_presentation_states
from edge_app.reports.secondary_capture import make_page
from edge_app.reports.sr import make_sr
from edge_app.store.editions import Edition, edition_of, latest_edition
from edge_app.store.ledger import Ledger
from edge_app.store.notices import Notice
from edge_app.store.outbox import result_of
from edge_app.store.paths import StorePaths, fsync_folder, uid_hash, write_atomically

__all__ = [
    "FHIR_FILE",
    "HL7_FILE",
    "MESSAGE_FILE",
    "make_documents",
    "make_reports",
    "report_files",
    "write_message",
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

MESSAGE_FILE, FHIR_FILE, HL7_FILE = "message.json", "fhir.json", "oru.hl7"

_DOCUMENTS: dict[str, Callable[[ReportInput], bytes]] = {
    MESSAGE_FILE: message_json,
    FHIR_FILE: make_transaction,
    HL7_FILE: make_oru,
}


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
    """Return what is said of the result to other servers, by file name: notification, FHIR transaction, HL7 message."""
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

    The documents for other servers lie beside them, as `MESSAGE_FILE`, `FHIR_FILE` and `HL7_FILE`. Called again it
    returns the same files; after a crash it makes them again under the same UIDs.

    Raises
    ------
    HeaderError
        If no object can be made.
    """
    folder = _folder(paths, result, edition)
    if not (folder / _COMPLETE).exists():
        named = edition_named(ledger, result, edition)
        report = report_input(result, ledger, paths, named, facts, unvalidated_ischaemia)
        made = _make(with_maps(report, paths) if parametric_maps else report)
        for kind in (Kind.SR, Kind.PAGE):
            if _file_name(kind) not in made:
                ledger.audit("report_missing", {"study_uid": result.study_uid, "kind": kind.file_name})
        _keep(folder, made)
    order = [kind.file_name for kind in _MAKERS]
    return sorted(folder.glob("*.dcm"), key=lambda path: (order.index(path.stem.split("-")[0]), path.name))


def write_message(
    result: StudyResult,
    ledger: Ledger,
    paths: StorePaths,
    *,
    edition: int = 1,
    facts: ModelFacts | None = None,
    unvalidated_ischaemia: bool = True,
) -> Path:
    """Write the message of an edition alone, from one header, and return its file: what is urgent waits for no page.

    `write_reports` makes the same one again, byte by byte.

    Raises
    ------
    HeaderError
        If it cannot be made.
    """
    folder = _folder(paths, result, edition)
    path = folder / _file_name(Kind.MESSAGE)
    if not (folder / _COMPLETE).exists():
        named = edition_named(ledger, result, edition)
        report = message_input(result, ledger, paths, named, facts, unvalidated_ischaemia)
        _check_sources(report)
        try:
            content = _encoded(make_message(report))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise HeaderError(
                f"no message can be made of the result: {error}", remedy="Ask the scanner's vendor about its headers."
            ) from error
        _make_folder(folder)
        write_atomically(path, content)
    return path


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
        report = report_input(result, ledger, paths, edition, facts(result), unvalidated_ischaemia)
        report = replace(report, created=moment(notice.at_utc), issued=None)
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
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in _SENT}
    report = report_input(result, ledger, paths, latest, facts, unvalidated_ischaemia)
    return _make(with_maps(report, paths) if parametric_maps else report)


_COMPLETE = "complete"
_SENT = (".dcm", ".json", ".hl7")


def _folder(paths: StorePaths, result: StudyResult, edition: int) -> Path:
    name = f"r{result.revision}" + (f"e{edition}" if edition > 1 else "")
    return paths.root / "results" / uid_hash(result.study_uid) / name


def _keep(folder: Path, made: dict[str, bytes]) -> None:
    _make_folder(folder)
    for name, content in made.items():
        write_atomically(folder / name, content)
    write_atomically(folder / _COMPLETE, b"")


def _make_folder(folder: Path) -> None:
    for level in (folder.parent, folder):
        level.mkdir(exist_ok=True)
        fsync_folder(level.parent)


def _file_name(kind: Kind, number: int = 0) -> str:
    return f"{kind.file_name}-{number}.dcm" if number else f"{kind.file_name}.dcm"


def _make(report: ReportInput) -> dict[str, bytes]:
    objects = {name: _encoded(ds) for name, ds in make_reports(report).items()}
    return objects | make_documents(report)


def _no_result_yet(ledger: Ledger, study_uid: str) -> StudyResult:
    patient_id = next((row.patient_id for row in ledger.instances(study_uid=study_uid)), "")
    return StudyResult(
        study_uid, patient_id, StudyStatus.ANALYSING, None, None, (), None, (), None, None, {}, revision=0
    )


def _encoded(ds: Dataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
