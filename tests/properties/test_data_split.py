"""Whatever shares a patient, an instance or pixels, the split never leaks, and no order of anything changes it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edge_app.core.errors import TrainingError
from training.data.leakage import find_leaks, members
from training.data.records import IndexedSlice, IndexedStudy
from training.data.sampling import sample_balanced
from training.data.split import Split, split_patients

SIDEWAYS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
LOOKS = ["", *(random.Random(n).randbytes(128).hex() for n in range(60))]


def study(number: int, patient: int, label: int, look: int, pixels: list[int]) -> IndexedStudy:
    slices = tuple(
        IndexedSlice(
            sop_uid=f"{number}.{k}",
            path=f"{number}/{k}",
            label=label,
            subtypes=(),
            lesion_area_mm2=None,
            mask_values=(),
            mask_path="",
            position_mm=float(k),
            image_position_mm=(0.0, 0.0, float(k)),
            image_orientation=SIDEWAYS,
            pixel_spacing_mm=(1.0, 1.0),
            rows=64,
            columns=64,
            thickness_mm=5.0,
            pixel_hash=str(value) if value else "",
        )
        for k, value in enumerate(pixels)
    )
    upwards, downwards = "|".join(map(str, pixels)), "|".join(map(str, pixels[::-1]))
    return IndexedStudy(
        source=("rsna", "aisd")[number % 2],
        patient_id=f"P{patient}",
        study_uid=f"S{number}",
        series_uid=f"Q{number}",
        label=label,
        manufacturer="",
        model="",
        kernel="",
        tilt_deg=0.0,
        spacing_mm=5.0,
        lesion_volume_ml=None,
        stack_hash=upwards,
        reversed_stack_hash=downwards,
        fingerprint=LOOKS[look],
        mask_turn=0,
        slices=slices,
    )


def described() -> st.SearchStrategy[list[IndexedStudy]]:
    one = st.tuples(
        st.integers(0, 30), st.integers(0, 2), st.integers(0, 60), st.lists(st.integers(0, 200), min_size=1, max_size=4)
    )
    return st.lists(one, min_size=3, max_size=40).map(lambda rows: [study(n, *row) for n, row in enumerate(rows)])


def attempt(studies: list[IndexedStudy], seed: int) -> Split | str:
    try:
        return split_patients(studies, seed=seed)
    except TrainingError as error:
        return str(error)


@given(described(), st.integers(0, 5))
def test_a_split_never_leaks(studies: list[IndexedStudy], seed: int) -> None:
    split = attempt(studies, seed)
    if isinstance(split, Split):
        assert not find_leaks(members(studies, split))
        assert split.sides.keys() == {s.key for s in studies}


@given(described(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_of_studies_does_not_change_split_or_sample(
    studies: list[IndexedStudy], seed: int, chance: random.Random
) -> None:
    shuffled = chance.sample(studies, len(studies))
    assert attempt(studies, seed) == attempt(shuffled, seed)
    if {s.label for s in studies} == {0, 1, 2}:
        first, second = sample_balanced(studies, 2, seed=seed), sample_balanced(shuffled, 2, seed=seed)
        assert {s.key for s in first} == {s.key for s in second}
