"""In whatever order files are found, the same studies come out."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_app.simulator.dicom import to_datasets
from tests.unit.training.data.phantoms import phantom
from training.data.files import FileFacts, examine
from training.data.records import Truth
from training.data.studies import assemble


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> list[FileFacts]:
    """Two studies, one of them with a file that is there twice."""
    folder = tmp_path_factory.mktemp("files")
    found = []
    for seed in (1, 2):
        for k, ds in enumerate(to_datasets(phantom(seed, "hemorrhage"))):
            for copy in range(2 if (seed, k) == (1, 3) else 1):
                path = folder / f"{seed}-{k}-{copy}.dcm"
                ds.save_as(path, enforce_file_format=True)
                found.append(examine(Path(folder), path, "rsna"))
    return [fact for fact in found if isinstance(fact, FileFacts)]


@given(chance=st.randoms(use_true_random=False), unlabelled=st.sets(st.integers(0, 12), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_files_does_not_matter(
    facts: list[FileFacts], chance: random.Random, unlabelled: set[int]
) -> None:
    truths = {fact.path: Truth(n % 2) for n, fact in enumerate(facts) if n not in unlabelled}
    studies, rejects = assemble("rsna", facts, truths)
    again, rejected_again = assemble("rsna", chance.sample(facts, len(facts)), truths)
    assert again == studies
    assert sorted(rejected_again, key=lambda r: r.path) == sorted(rejects, key=lambda r: r.path)
    assert sum(len(study.slices) for study in studies) + len(rejects) == len(facts)
