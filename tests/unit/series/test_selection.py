"""The analysed series is chosen by one documented rule, and each other one is told why not."""

from __future__ import annotations

import pytest

from edge_app.core.reasons import SERIES_TEXTS
from edge_app.core.types import SliceHeader
from edge_app.series import make_candidates, select_series
from edge_app.series.kernels import is_sharp
from edge_app.series.selection import _RANK_WORDS
from tests.slices import header, headers_at, measures


def _series(uid: str, count: int = 30, spacing_mm: float = 5.0, **changes: object) -> list[SliceHeader]:
    headers = headers_at(
        [i * spacing_mm for i in range(count)], series_uid=uid, slice_thickness_mm=spacing_mm, **changes
    )
    return [_renamed(h, f"{uid}.{index}") for index, h in enumerate(headers)]


def _renamed(h: SliceHeader, sop_uid: str) -> SliceHeader:
    fields = {name: getattr(h, name) for name in h.__slots__}
    return SliceHeader(**{**fields, "sop_uid": sop_uid})


def _chosen(*series: list[SliceHeader]) -> tuple[str | None, dict[str, str]]:
    selection = select_series(make_candidates([h for headers in series for h in headers]))
    return selection.chosen.series_uid if selection.chosen else None, dict(selection.refused)


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        ({}, {"convolution_kernel": "H60s"}, "sharp_kernel"),
        ({}, {"contrast_agent": "IODINE"}, "contrast"),
        ({}, {"count": 15}, "not_whole"),
        ({}, {"count": 120, "spacing_mm": 1.25}, "spacing_outside"),
        ({}, {"count": 50, "spacing_mm": 3.0}, "spacing_further"),
        ({"count": 32}, {}, "smaller_coverage"),
        ({}, {}, "same"),
    ],
)
def test_the_first_difference_decides(better: dict[str, object], worse: dict[str, object], why: str) -> None:
    chosen, refused = _chosen(_series("1.1", **better), _series("1.2", **worse))  # type: ignore[arg-type]
    assert chosen == "1.1"
    assert refused == {"1.2": why}
    # The names swapped, where more than the name differs: the same choice.
    if better != worse:
        assert _chosen(_series("1.2", **better), _series("1.1", **worse))[0] == "1.2"  # type: ignore[arg-type]


def test_a_series_that_shows_a_head_is_preferred_once_measured() -> None:
    legs, head = _series("1.1"), _series("1.2")
    seen = {h.sop_uid: measures(h.sop_uid) for h in head}
    seen |= {h.sop_uid: measures(h.sop_uid, inside_area_mm2=0.0) for h in legs}
    selection = select_series(make_candidates(legs + head, seen))
    assert selection.chosen is not None
    assert selection.chosen.series_uid == "1.2"
    assert selection.refused == {"1.1": "not_head"}
    assert selection.why == "nearest"


@pytest.mark.requirement("R18")
def test_the_crew_may_choose_any_series_that_can_be_analysed_at_all() -> None:
    soft, bone = _series("1.1"), _series("1.2", convolution_kernel="H60s")
    scout = [header(0, sop_uid="9", series_uid="1.3", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))]
    candidates = make_candidates(soft + bone + scout)
    chosen = select_series(candidates, wanted="1.2")
    assert chosen.chosen is not None
    assert (chosen.chosen.series_uid, chosen.why) == ("1.2", "crew")
    assert chosen.refused == {"1.1": "crew_chose_other", "1.3": "localizer"}
    assert chosen.choosable == {"1.1", "1.2"}
    for impossible in ("1.3", "9.9"):
        by_rule = select_series(candidates, wanted=impossible)
        assert by_rule.chosen is not None
        assert by_rule.chosen.series_uid == "1.1" and by_rule.why != "crew"


def test_every_why_has_its_words() -> None:
    said = set(_RANK_WORDS) | {"only", "nearest", "crew", "none", "crew_chose_other"}
    assert said < SERIES_TEXTS.keys()


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"modality": "MR"}, "Q-14", "modality MR"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, "Q-14", "not CT Image Storage"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "Q-14", "localizer"),
        ({"image_type": ("DERIVED", "SECONDARY", "MPR")}, "Q-14", "reformatted"),
        ({"image_type": ("DERIVED", "PRIMARY", "AXIAL")}, "Q-14", "derived"),
        ({"image_position_mm": None}, "Q-14", "without position"),
        ({"image_orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}, "Q-08", "Not an axial"),
    ],
)
def test_what_cannot_be_analysed_is_refused_with_its_reason(changes: dict[str, object], code: str, text: str) -> None:
    selection = select_series(make_candidates(_series("1.1", **changes)))  # type: ignore[arg-type]
    assert selection.chosen is None
    assert selection.reason is not None
    assert selection.reason.code == code
    assert text in selection.reason.text


def test_no_images_at_all_is_a_reason_too() -> None:
    selection = select_series(())
    assert selection.reason is not None
    assert selection.reason.code == "Q-14"


def test_a_scout_inside_the_axial_series_is_left_out() -> None:
    scout = header(500, sop_uid="9", series_uid="1.1", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    (candidate,) = make_candidates([scout, *_series("1.1")])
    assert candidate.stack is not None
    assert len(candidate.stack.headers) == 30


def test_a_lossy_derived_series_stays_selectable_so_that_the_gate_can_say_lossy() -> None:
    assert _chosen(_series("1.1", image_type=("DERIVED", "PRIMARY", "AXIAL"), lossy=True))[0] == "1.1"


SHARP = ["H60s", "J70h", "Hr64f", "Br69d 3", "BONE", "BONEPLUS", "EDGE", "FC30", "FC81", "YD", "L"]
SOFT = ["H31s", "J40s", "Hr40", "STANDARD", "SOFT", "FC21", "FC68", "UB", "UA", "BRAIN", "B", ""]


@pytest.mark.parametrize("kernel", SHARP)
def test_sharp_kernels_are_known(kernel: str) -> None:
    assert is_sharp(header(convolution_kernel=kernel))


@pytest.mark.parametrize("kernel", SOFT)
def test_soft_and_unknown_kernels_are_not_sharp(kernel: str) -> None:
    assert not is_sharp(header(convolution_kernel=kernel))


def test_without_a_kernel_the_description_tells() -> None:
    assert is_sharp(header(convolution_kernel="", series_description="HEAD BONE 1.0"))
