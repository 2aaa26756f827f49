"""RSNA 2019 Intracranial Hemorrhage as Kaggle ships it: ``stage_2_train/ID_*.dcm`` and ``stage_2_train.csv``.

The table has six rows an image, ``ID_<image>_<subtype>,Label``: any, epidural, intraparenchymal, intraventricular,
subarachnoid, subdural. An image is haemorrhage where *any* is 1. Some images have their rows twice.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from edge_app.core.errors import TrainingError
from edge_app.core.types import CLASSES
from training.data.files import FileFacts
from training.data.parallel import Workers
from training.data.progress import Batch, examine_batch
from training.data.records import IndexedStudy, Reject, Truth
from training.data.studies import assemble

__all__ = ["ANY", "FOLDER", "SOURCE", "SUBTYPES", "TABLE", "read_rsna", "read_table"]

SOURCE = "rsna"
FOLDER = "stage_2_train"
TABLE = "stage_2_train.csv"
SUBTYPES = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
ANY = "any"

_COLUMNS = ("ID", "Label")
_FILES_PER_TASK = 200


def read_rsna(
    root: Path, workers: Workers, *, allow_missing: bool = False, kept: Path | None = None
) -> tuple[list[IndexedStudy], list[Reject]]:
    """Read the data set under `root`.

    Parameters
    ----------
    root
        Folder that holds `FOLDER` and `TABLE`.
    workers
        Where the files are read.
    allow_missing
        List labelled images that are not there as rejects instead of raising: for a part of the data set.
    kept
        Folder in which to keep what was found in the files so far, for a run that may be killed.

    Raises
    ------
    TrainingError
        If folder or table are missing, the table is not understood, or it labels images that are not there.
    """
    folder = root / FOLDER
    if not folder.is_dir():
        raise TrainingError(
            f"{folder} is missing", remedy=f"Unpack Kaggle's archive: {FOLDER}/ and {TABLE} side by side."
        )
    truths = read_table(root / TABLE)
    paths = sorted(folder.glob("*.dcm"))
    rejects = _missing(truths, {path.stem for path in paths}, allow_missing=allow_missing)
    batches = [
        Batch(SOURCE, root, tuple(paths[i : i + _FILES_PER_TASK]), kept) for i in range(0, len(paths), _FILES_PER_TASK)
    ]
    facts: list[FileFacts] = []
    for found in workers.run(examine_batch, batches, title="rsna files", sizes=[len(b.paths) for b in batches]):
        facts += [f for f in found if isinstance(f, FileFacts)]
        rejects += [f for f in found if isinstance(f, Reject)]
    by_path = {f"{FOLDER}/{image}.dcm": truth for image, truth in truths.items()}
    studies, unused = assemble(SOURCE, facts, by_path)
    return studies, rejects + unused


def read_table(path: Path) -> dict[str, Truth]:
    """Return the truth of each image, by its name ``ID_<image>``.

    Raises
    ------
    TrainingError
        If the file is missing, has other columns, a row that is not understood, or an image with contradicting or
        missing rows; naming the line or the image.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = tuple(next(rows, []))
            if header != _COLUMNS:
                raise TrainingError(
                    f"{path} has the columns {', '.join(header) or 'none'} instead of {', '.join(_COLUMNS)}",
                    remedy=f"Use Kaggle's {TABLE} unchanged.",
                )
            flags = _read_rows(path, rows)
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error}", remedy=f"Put Kaggle's {TABLE} there.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path} is no CSV file: {error}", remedy="Download it again.") from error
    return {image: _truth(path, image, found) for image, found in flags.items()}


def _read_rows(path: Path, rows: Iterable[Sequence[str]]) -> dict[str, dict[str, bool]]:
    flags: dict[str, dict[str, bool]] = {}
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        image, _, subtype = row[0].rpartition("_")
        if len(row) != len(_COLUMNS) or not image or subtype not in (*SUBTYPES, ANY) or row[1] not in ("0", "1"):
            raise TrainingError(
                f"{path} line {number}: {','.join(row)!r} is not ID_<image>_<subtype>,0|1",
                remedy=f"Subtypes are {', '.join((*SUBTYPES, ANY))}; use Kaggle's {TABLE} unchanged.",
            )
        known = flags.setdefault(image, {})
        if known.setdefault(subtype, row[1] == "1") != (row[1] == "1"):
            raise TrainingError(
                f"{path} line {number}: {row[0]} is labelled both 0 and 1", remedy="Correct or remove its rows."
            )
    return flags


def _truth(path: Path, image: str, flags: dict[str, bool]) -> Truth:
    missing = [name for name in (*SUBTYPES, ANY) if name not in flags]
    if missing:
        raise TrainingError(f"{path}: {image} has no row for {', '.join(missing)}", remedy="Download the table again.")
    subtypes = tuple(name for name in SUBTYPES if flags[name])
    if subtypes and not flags[ANY]:
        raise TrainingError(
            f"{path}: {image} has {', '.join(subtypes)}, but not {ANY}", remedy="Correct or remove its rows."
        )
    return Truth(CLASSES.index("hemorrhage") if flags[ANY] else 0, subtypes)


def _missing(truths: dict[str, Truth], present: set[str], *, allow_missing: bool) -> list[Reject]:
    missing = sorted(set(truths) - present)
    if missing and not allow_missing:
        raise TrainingError(
            f"{TABLE} labels {len(missing)} images that are not in {FOLDER}, first {', '.join(missing[:3])}",
            remedy="Unpack the whole archive, or pass --allow-missing to work with a part of it.",
        )
    return [
        Reject(SOURCE, f"{FOLDER}/{image}.dcm", "missing", "labelled, but there is no such file") for image in missing
    ]
