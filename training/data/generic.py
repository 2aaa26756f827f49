"""One's own data: a folder per study, and ``labels.csv`` with ``study,label`` or ``study,file,label``.

`study` is the folder's name, `label` one of negative, hemorrhage, ischemic. With a `file` column each row labels one
slice (path within the study's folder) and the study gets the label of its positive slices; a row with an empty `file`
labels the study only. Slices of a positive study without labels of their own have none; those of a negative study are
negative.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES
from training.data.files import FileFacts, dicom_files, examine
from training.data.parallel import Workers
from training.data.records import NO_LABEL, IndexedStudy, Reject, Truth
from training.data.studies import build_study, choose_series

__all__ = ["SOURCE", "TABLE", "StudyLabels", "read_generic", "read_table"]

SOURCE = "generic"
TABLE = "labels.csv"

_COLUMNS = (("study", "label"), ("study", "file", "label"))

Found = tuple[list[IndexedStudy], list[Reject]]


@dataclass(slots=True)
class StudyLabels:
    """What the table says about one study: its own label, and those of its files."""

    study: int | None = None
    files: dict[str, int] = field(default_factory=dict)


def read_generic(root: Path, workers: Workers, *, source: str = SOURCE) -> Found:
    """Read the data set under `root`.

    Raises
    ------
    TrainingError
        If the table is missing or not understood, or names a study or file that is not there.
    """
    labels = read_table(root / TABLE)
    missing = [study for study in sorted(labels) if not (root / study).is_dir()]
    missing += [f"{s}/{f}" for s in sorted(labels) for f in sorted(labels[s].files) if not (root / s / f).is_file()]
    if missing:
        raise TrainingError(
            f"{root / TABLE} labels {len(missing)} things that are not there, first {', '.join(missing[:3])}",
            remedy="Correct the table, or put the files there.",
        )
    studies: list[IndexedStudy] = []
    rejects = [
        Reject(source, folder.name, "unlabelled", f"the study is not in {TABLE}")
        for folder in sorted(root.iterdir())
        if folder.is_dir() and folder.name not in labels
    ]
    tasks = [(root, study, found, source) for study, found in sorted(labels.items())]
    for found, left_out in workers.run(_read_study, tasks, title=f"{source} studies"):
        studies += found
        rejects += left_out
    return sorted(studies, key=lambda study: study.key), rejects


def read_table(path: Path) -> dict[str, StudyLabels]:
    """Return the labels by study.

    Raises
    ------
    TrainingError
        If the file cannot be read, has other columns, an unknown label, or one thing labelled twice; with the line.
    """
    labels: dict[str, StudyLabels] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) not in _COLUMNS:
                raise TrainingError(
                    f"{path} has the columns {', '.join(rows.fieldnames or ()) or 'none'}",
                    remedy="Write study,label or study,file,label.",
                )
            for row in rows:
                _add(labels, row, f"{path} line {rows.line_num}")
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be read: {error}", remedy=f"Put {TABLE} beside the study folders."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path} is no CSV file: {error}", remedy="Save it as UTF-8 CSV.") from error
    return labels


def _add(labels: dict[str, StudyLabels], row: Mapping[str, str | None], where: str) -> None:
    study, name, label = row.get("study") or "", row.get("file") or "", row.get("label") or ""
    if not study or Path(study).name != study or label not in CLASSES:
        raise TrainingError(
            f"{where}: study {study!r}, label {label!r}",
            remedy=f"A study is a folder's name, a label one of {', '.join(CLASSES)}.",
        )
    known = labels.setdefault(study, StudyLabels())
    if name in known.files or (not name and known.study is not None):
        raise TrainingError(f"{where}: {study} {name} is labelled twice", remedy="Keep one row.")
    if name:
        known.files[name] = CLASSES.index(label)
    else:
        known.study = CLASSES.index(label)


def _read_study(task: tuple[Path, str, StudyLabels, str]) -> Found:
    root, study, labels, source = task
    seen = [examine(root, path, source) for path in dicom_files(root / study)]
    rejects = [found for found in seen if isinstance(found, Reject)]
    facts = [found for found in seen if isinstance(found, FileFacts)]
    if len({(f.header.patient_id, f.header.study_uid) for f in facts}) > 1:
        return [], [*rejects, Reject(source, study, "several_studies", "the folder holds more than one study")]
    series, left_out = choose_series(source, facts)
    rejects += left_out
    if not series:
        return [], [*rejects, Reject(source, study, "empty", "no CT slice that can be read")]
    unknown = 0 if labels.study == 0 else NO_LABEL
    truths = {f.path: Truth(labels.files.get(f.path.removeprefix(f"{study}/"), unknown)) for f in series}
    found_labels = {truth.label for truth in truths.values()}
    if labels.study is None and NO_LABEL in found_labels and max(found_labels) <= 0:
        return [], [*rejects, Reject(source, study, "unlabelled", "some slices have no label, and none is positive")]
    built = build_study(source, series, truths, label=labels.study)
    return ([], [*rejects, built]) if isinstance(built, Reject) else ([built], rejects)
