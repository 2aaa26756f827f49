"""Objects of a result as files in the store: made once, written atomically, sent as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from edge_app.reports.header import Kind, ModelFacts, ReportInput
from edge_app.reports.key_objects import make_key_objects
from edge_app.reports.message import make_message
from edge_app.reports.presentation_state import make_presentation_state
from edge_app.reports.secondary_capture import make_page
from edge_app.reports.sr import make_sr
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths, fsync_folder, uid_hash, write_atomically

__all__ = ["make_reports", "report_files", "write_reports"]

_log = get_logger(__name__)

_MAKERS: dict[Kind, Callable[[ReportInput], Dataset | None]] = {
    Kind.MESSAGE: make_message,
    Kind.SR: make_sr,
    Kind.KEY_OBJECTS: make_key_objects,
    Kind.PRESENTATION: make_presentation_state,
    Kind.PAGE: make_page,
}
"""In order of sending: smallest first."""


def make_reports(
    result: StudyResult,
    sources: Sequence[Dataset],
    *,
    created: datetime,
    facts: ModelFacts | None = None,
    unvalidated_ischaemia: bool = True,
    pictures: Mapping[str, SliceImage] | None = None,
) -> dict[Kind, Dataset]:
    """Return the objects of one revision of a result.

    Parameters
    ----------
    result, created
        What was found, and when (aware).
    sources
        Headers of the study's images; pixels are not needed.
    facts
        What the manifest of the model that answered says.
    unvalidated_ischaemia
        Ischaemic signs are marked UNVALIDATED (R06).
    pictures
        Key slices for the page, by SOP Instance UID.

    Raises
    ------
    HeaderError
        If not one object can be made of these headers. One that can is not held back by one that cannot.
    """
    if not sources:
        raise HeaderError("a study without a readable image has no reports", remedy="Read the images without AI.")
    report = ReportInput(result, sources, created, facts, unvalidated_ischaemia, pictures or {})
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
            _log.event(405, f"no {kind.file_name} object", study=short(result.study_uid), problem=type(error).__name__)
    if problems and not made:
        raise HeaderError(
            f"no object can be made of the result: {problems[0]}", remedy="Ask the scanner's vendor about its headers."
        ) from problems[0]
    return made


def write_reports(
    result: StudyResult,
    ledger: Ledger,
    paths: StorePaths,
    *,
    facts: ModelFacts | None = None,
    unvalidated_ischaemia: bool = True,
) -> list[Path]:
    """Write the objects of a stored result, once, and return their files in order of sending.

    Called again it returns the same files; after a crash it makes them again under the same UIDs.

    Raises
    ------
    HeaderError
        If no object can be made.
    """
    folder = _folder(paths, result)
    complete = folder / "complete"
    if not complete.exists():
        made = _make(result, ledger, paths, facts, unvalidated_ischaemia)
        for kind in {Kind.SR, Kind.PAGE} - set(made):
            ledger.audit("report_missing", {"study_uid": result.study_uid, "kind": kind.file_name})
        for level in (folder.parent, folder):
            level.mkdir(exist_ok=True)
            fsync_folder(level.parent)
        for kind, ds in made.items():
            write_atomically(folder / f"{kind.file_name}.dcm", _encoded(ds))
        write_atomically(complete, b"")
    return [path for kind in _MAKERS if (path := folder / f"{kind.file_name}.dcm").exists()]


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
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*.dcm"))}
    made = _make(result, ledger, paths, facts, unvalidated_ischaemia)
    return {f"{kind.file_name}.dcm": _encoded(ds) for kind, ds in made.items()}


def _folder(paths: StorePaths, result: StudyResult) -> Path:
    return paths.root / "results" / uid_hash(result.study_uid) / f"r{result.revision}"


def _make(
    result: StudyResult, ledger: Ledger, paths: StorePaths, facts: ModelFacts | None, unvalidated_ischaemia: bool
) -> dict[Kind, Dataset]:
    return make_reports(
        result,
        _headers(ledger, paths, result.study_uid),
        created=_created(ledger, result),
        facts=facts,
        unvalidated_ischaemia=unvalidated_ischaemia,
        pictures=_pictures(ledger, paths, result),
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
