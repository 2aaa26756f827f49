"""`msu report`: all objects of a study's latest result as files in a folder of one's own."""

from __future__ import annotations

from pathlib import Path

from edge_app.core.config import Settings
from edge_app.core.errors import StoreError
from edge_app.processes.facts import FactsOfModels
from edge_app.reports import report_files
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths

__all__ = ["write_report"]


def write_report(settings: Settings, study_uid: str, out: Path) -> list[Path]:
    """Write the objects that were (or would be) sent, and return their paths; the store is left as it is.

    Raises
    ------
    StoreError
        If the store or the study's result is not there, or `out` cannot be written.
    HeaderError
        If no object can be made of the study's images.
    """
    paths = StorePaths(settings.data)
    if not paths.ledger.is_file():
        raise StoreError(f"no store at {settings.data}", remedy="Give the folder that `msu serve --data` was given.")
    with Ledger(paths, "report") as ledger:
        result = ledger.latest_result(study_uid)
        if result is None:
            raise StoreError(f"no result for study {study_uid}", remedy="`msu cases --data DIR` lists the studies.")
        files = report_files(
            result,
            ledger,
            paths,
            facts=FactsOfModels(settings).of(result.model),
            unvalidated_ischaemia=settings.analysis.ischaemia_output == "research",
            parametric_maps=settings.delivery.parametric_maps,
        )
    written = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
            written.append(out / name)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error}", remedy="Name another folder.") from error
    return written
