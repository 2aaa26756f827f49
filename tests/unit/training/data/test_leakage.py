from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from training.data.index import Index
from training.data.leakage import LeakageError, Member, check_no_leak, find_leaks


def member(name: str, side: str, **changes: object) -> Member:
    clean = Member(
        side=side,
        key=name,
        patient_id=f"patient {name}",
        study_uid=f"study {name}",
        series_uid=f"series {name}",
        sop_uids=(f"sop {name} 0", f"sop {name} 1"),
        pixel_hashes=(f"pixels {name} 0", f"pixels {name} 1"),
        stack_hash=f"stack {name}",
        reversed_stack_hash=f"reversed {name}",
        fingerprint=np.random.default_rng(ord(name)).bytes(128).hex(),
    )
    return replace(clean, **changes)  # type: ignore[arg-type]


def test_studies_that_share_nothing_pass() -> None:
    check_no_leak([member("a", "train"), member("b", "validation"), member("c", "test")])


@pytest.mark.requirement("R86")
@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"patient_id": "patient a"}, "patient"),
        ({"study_uid": "study a"}, "study"),
        ({"series_uid": "series a"}, "series"),
        ({"sop_uids": ("sop a 1",)}, "instance"),
        ({"pixel_hashes": ("pixels a 0", "x")}, "pixels"),
        ({"stack_hash": "stack a"}, "stack"),
        ({"fingerprint": member("a", "train").fingerprint}, "look"),
        ({"stack_hash": "reversed a", "reversed_stack_hash": "stack a"}, "stack"),
    ],
)
def test_whatever_stands_on_two_sides_is_named_with_both_studies(changes: dict[str, object], kind: str) -> None:
    if kind == "stack":
        changes = {"reversed_stack_hash": "reversed a", **changes}
    with pytest.raises(LeakageError, match=r"a.*b") as caught:
        check_no_leak([member("a", "train"), member("b", "test", **changes)])
    (offender,) = caught.value.offenders
    assert offender.kind == kind
    assert offender.studies == (("test", "b"), ("train", "a"))
    assert caught.value.code == "E-701"


def test_the_same_thing_twice_on_one_side_is_no_leak() -> None:
    check_no_leak([member("a", "train"), member("b", "train", patient_id="patient a")])


def test_slices_without_content_are_no_leak() -> None:
    check_no_leak([
        member("a", "train", pixel_hashes=("", "x")),
        member("b", "test", pixel_hashes=("", "y")),
    ])  # fmt: skip


def test_the_published_design_is_caught(index: Index) -> None:
    """Each study twice, as it is and upside down, then dealt out at random: what MODELS.md calls leakage."""
    listed = []
    for number, study in enumerate(index.studies):
        for copy in (0, 1):
            hashes = (study.stack_hash, study.reversed_stack_hash)
            listed.append(
                Member(
                    side=("train", "test")[(number + copy) % 2],
                    key=f"{study.key} copy {copy}",
                    patient_id=f"{study.patient_id} {copy}",  # even under new names
                    study_uid=f"{study.study_uid}.{copy}",
                    series_uid=f"{study.series_uid}.{copy}",
                    sop_uids=tuple(f"{s.sop_uid}.{copy}" for s in study.slices),
                    pixel_hashes=tuple(s.pixel_hash for s in study.slices)[:: -1 if copy else 1],
                    stack_hash=hashes[copy],
                    reversed_stack_hash=hashes[1 - copy],
                    fingerprint=study.fingerprint,
                )
            )
    kinds = [leak.kind for leak in find_leaks(listed)]
    assert kinds.count("stack") == len(index.studies)
    assert kinds.count("look") == len(index.studies)
    assert kinds.count("pixels") == sum(len(study.slices) for study in index.studies)


def test_the_message_counts_and_names_one_of_each_kind_and_the_error_has_all() -> None:
    listed = [member("a", "train"), member("a", "test")]
    with pytest.raises(
        LeakageError, match=r"1 × patient, first patient a in test: a, train: a;.*2 × instance"
    ) as caught:
        check_no_leak(listed)
    assert len(caught.value.offenders) == 9
    assert pickle.loads(pickle.dumps(caught.value)).offenders == caught.value.offenders
