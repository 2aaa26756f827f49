"""Phantoms prepared from raw folders, for the tests of training, export and calibration."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of prepared slices: 12 studies from RSNA's layout and 6 from AISD's, 108 slices."""
    from tests.unit.training.data.phantoms import SCANNER, phantom
    from training.data import synth
    from training.data.aisd import read_aisd
    from training.data.index import build_index
    from training.data.parallel import Workers
    from training.data.preprocess import preprocess
    from training.data.rsna import read_rsna
    from training.data.split import split_patients

    root, here = tmp_path_factory.mktemp("raw"), Workers(processes=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synth, "make_study", phantom)
        for layout, studies, seed in (("rsna", 12, 100), ("aisd", 6, 200)):
            synth.write_corpus(layout, synth.plan(layout, studies, seed, [SCANNER]), root / layout, here)
    found = [read_rsna(root / "rsna", here), read_aisd(root / "aisd", here)]
    index, _ = build_index(found, {name: root / name for name in ("rsna", "aisd")}, root / "index.parquet")
    split = split_patients(index.studies, seed=1, shares=(0.5, 0.25, 0.25))
    preprocess(index, split, root / "prepared", here)
    return root / "prepared"
