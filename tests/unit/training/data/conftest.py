"""Small corpora in each layout, made once; tests that change files take a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.training.data.phantoms import SCANNER, phantom
from training.data import synth
from training.data.aisd import read_aisd
from training.data.generic import read_generic
from training.data.index import Index, build_index
from training.data.parallel import Workers
from training.data.rsna import read_rsna

HERE = Workers(processes=1)


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with rsna (8 studies), aisd (4) and generic (6), one class after the other."""
    root = tmp_path_factory.mktemp("corpora")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synth, "make_study", phantom)
        for layout, studies, seed in (("rsna", 8, 100), ("aisd", 4, 200), ("generic", 6, 300)):
            synth.write_corpus(layout, synth.plan(layout, studies, seed, [SCANNER]), root / layout, HERE)
    return root


@pytest.fixture
def rsna(corpora: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpora / "rsna", tmp_path / "rsna"))


@pytest.fixture
def aisd(corpora: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpora / "aisd", tmp_path / "aisd"))


@pytest.fixture
def generic(corpora: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpora / "generic", tmp_path / "generic"))


@pytest.fixture(scope="session")
def index(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    roots = {name: corpora / name for name in ("rsna", "aisd", "generic")}
    found = [read_rsna(roots["rsna"], HERE), read_aisd(roots["aisd"], HERE), read_generic(roots["generic"], HERE)]
    return build_index(found, roots, tmp_path_factory.mktemp("index") / "index.parquet")[0]
