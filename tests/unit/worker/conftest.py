"""A synthetic study that passes the gate, a tiny model to judge it, and a bench for the worker that does so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pydicom import FileDataset

from edge_app.core.config import AnalysisSettings
from edge_app.simulator import make_study, to_datasets
from edge_app.worker.models import Models, load_models
from tests.bundles import VERDICT_BIAS, write_tiny_bundle
from tests.unit.worker.bench import Bench

AT = datetime(2026, 3, 14, 14, 5, tzinfo=timezone.utc)


@pytest.fixture(scope="session")
def head() -> list[FileDataset]:
    """Return the objects of one whole synthetic head CT: 25 slices, skull base first."""
    return to_datasets(make_study(4711, "negative", personality="basic2"), acquired_at=AT)


@pytest.fixture(scope="session")
def head_folder(head: list[FileDataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    for number, ds in enumerate(head):
        ds.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)
    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle"), patient_bias=VERDICT_BIAS["hemorrhage"])


@pytest.fixture(scope="session")
def models(bundle: Path) -> Iterator[Models]:
    with load_models(AnalysisSettings(bundle=str(bundle), threads=1)) as opened:
        yield opened


@pytest.fixture
def bench(tmp_path: Path, models: Models) -> Iterator[Bench]:
    bench = Bench(tmp_path, models)
    yield bench
    bench.close()


@pytest.fixture
def uid(head: list[FileDataset]) -> str:
    return str(head[0].StudyInstanceUID)


@pytest.fixture(scope="session")
def other_head() -> list[FileDataset]:
    return to_datasets(make_study(4712, "negative", personality="basic2"), localizer=True, dose_screen=True)
