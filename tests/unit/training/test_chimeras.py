"""Training studies with two findings, made of two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_app.core.errors import ConfigError
from training import train_patient
from training.chimeras import Chimera, make_chimera
from training.features import FeatureSet
from training.run_patient import train_studies
from training.shards import StudyRecord
from training.targets import Targets, study_targets

pytestmark = pytest.mark.requirement("R22")

SLICES = 10


def _studies(*labelled: tuple[int, tuple[int, ...], str]) -> FeatureSet:
    """Make studies of (label, slices with the lesion, source); a study's features are its number."""
    records, features = [], []
    for number, (label, lesion, source) in enumerate(labelled):
        per_slice = tuple(label if i in lesion else 0 for i in range(SLICES))
        heights = tuple(5.0 * i for i in range(SLICES))
        records.append(StudyRecord(number, label, "", "", 0.0, 0.0, heights, per_slice, (0.0,) * SLICES, source))
        features.append(np.full((SLICES, 4), number, np.float32))
    return FeatureSet(tuple(records), tuple(features))


def _told(data: FeatureSet) -> Targets:
    """Return targets as whole sets of studies have them, of sources without every class as well."""
    more = [(label, (), source) for label in (0, 1, 2) for source in ("", "rsna", "aisd")]
    told = study_targets((*data.records, *_studies(*more).records), "findings")
    return Targets(told.mode, told.values[: len(data.records)], told.weight[: len(data.records)])


def _from(rows: NDArray[np.float32]) -> list[int]:
    return [int(value) for value in rows[:, 0]]


def test_a_chimera_has_the_hosts_lesion_and_the_guests_beside_it() -> None:
    data = _studies((1, (2, 3, 4), ""), (2, (4, 5, 6, 7), ""))
    made = make_chimera(data, _told(data), 0, 1, np.random.default_rng(0))
    assert made is not None
    assert _from(made.rows) == [0, 0, 0, 0, 0, 1, 1, 1, 0, 0]
    assert made.values.tolist() == [1, 1] and made.weight.tolist() == [1, 1]
    assert _from(data.features[0]) == [0] * SLICES


def test_a_host_of_whose_slices_only_some_are_labelled_keeps_all_that_may_show_its_lesion() -> None:
    data = _studies((1, (), ""), (2, tuple(range(SLICES)), ""))
    for clean in ((), (7, 8, 9)):
        per_slice = tuple(0 if i in clean else -1 for i in range(SLICES))
        host = replace(data.records[0], slice_labels=per_slice)
        known = FeatureSet((host, data.records[1]), data.features)
        made = make_chimera(known, _told(known), 0, 1, np.random.default_rng(0))
        assert (made is None) if not clean else (made is not None and _from(made.rows) == [0] * 7 + [1] * 3)


def test_a_guest_without_a_lesion_changes_no_target() -> None:
    data = _studies((1, (2, 3), ""), (0, (), ""))
    made = make_chimera(data, _told(data), 0, 1, np.random.default_rng(0))
    assert made is not None
    assert 1 in _from(made.rows) and _from(made.rows)[2:4] == [0, 0]
    assert made.values.tolist() == [1, 0]


def test_what_no_source_labels_stays_unknown() -> None:
    data = _studies((1, (2, 3), "rsna"), (2, (6, 7), "aisd"), (0, (), "aisd"))
    told, rng = _told(data), np.random.default_rng(0)
    both = make_chimera(data, told, 0, 1, rng)
    assert both is not None and both.values.tolist() == [1, 1] and both.weight.tolist() == [1, 1]
    one = make_chimera(data, told, 0, 2, rng)
    assert one is not None and one.weight.tolist() == [1, 0]


def test_a_lesion_that_the_hosts_own_would_hide_makes_no_chimera() -> None:
    data = _studies((1, (2, 3, 4, 5), ""), (2, (3, 4), ""), (2, (), ""))
    told = _told(data)
    assert make_chimera(data, told, 0, 1, np.random.default_rng(0)) is None
    assert make_chimera(data, told, 0, 2, np.random.default_rng(0)) is None


@pytest.mark.parametrize(("recipe", "labels", "share"), [("ours", "softmax", 0.2), ("ours", "findings", 1.5)])
def test_mixing_where_each_study_is_of_one_class_is_refused(recipe: str, labels: str, share: float) -> None:
    data = _studies((0, (), ""), (1, (2,), ""), (2, (3,), ""))
    with pytest.raises(ConfigError, match=f"a share of {share}"):
        train_studies("gru", recipe, data, data, labels=labels, changes={"both": share})  # type: ignore[arg-type]


def test_ours_mixes_studies_unless_each_teaches_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    data, made = _studies(*((label, (2, 3), "") for label in (0, 1, 2) * 4)), []

    def count(*arguments: Any) -> Chimera | None:
        made.append(arguments[2:4])
        return make_chimera(*arguments)

    monkeypatch.setattr(train_patient, "make_chimera", count)
    train_studies("gru", "ours", data, data, labels="softmax", epochs=3)
    assert made == []
    train_studies("gru", "ours", data, data, labels="findings", epochs=3)
    labels = data.labels()
    assert made and all(labels[host] != labels[guest] for host, guest in made)
    made.clear()
    train_studies("gru", "ours", data, data, labels="findings", epochs=3, changes={"both": 0.0})
    assert made == []
