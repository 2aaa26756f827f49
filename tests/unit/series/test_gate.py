"""Every reason against a result has its own fixture, and the most fundamental one comes first."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_app.core.types import SliceHeader, SliceImage
from edge_app.series import check, decode_slice, make_candidates, measure_slice, order_slices, read_header
from edge_app.simulator.dicom import to_datasets
from edge_app.simulator.scanner import PERSONALITIES
from edge_app.simulator.study import make_study
from tests.slices import headers_at, measures, phantom_head, stack_of

HEIGHTS = [z * 5.0 for z in range(30)]


def _codes(headers: list[SliceHeader], changes: dict[str, Any] | None = None, **arguments: Any) -> list[str]:
    """Return the codes for a head: the upper two slices are above the vertex."""
    stack = order_slices(headers)
    top = len(stack.headers) - 2
    seen = [
        measures(h.sop_uid, **({"skull_area_mm2": 10.0, "inside_area_mm2": 0.0} if i >= top else {}) | (changes or {}))
        for i, h in enumerate(stack.headers)
    ]
    return [r.code for r in check(stack, arguments.pop("measures", seen), **arguments)]


def test_an_ordinary_head_passes() -> None:
    assert _codes(headers_at(HEIGHTS)) == []


@pytest.mark.requirement("R15", "R17")
@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("Q-14", {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}),
        ("Q-14", {"modality": "MR"}),
        ("Q-14", {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}),
        ("Q-06", {"lossy": True}),
        ("Q-13", {"rescale_slope": None}),
        ("Q-13", {"rescale_intercept": None}),
        ("Q-08", {"image_orientation": (1.0, 0.0, 0.0, 0.0, 0.8, 0.6)}),
        ("Q-12", {"pixel_spacing_mm": (1.5, 1.5)}),
        ("Q-12", {"pixel_spacing_mm": None}),
        ("Q-12", {"rows": 128}),
        ("Q-12", {"columns": 2048}),
        ("Q-03", {"convolution_kernel": "H70h"}),
        ("Q-04", {"patient_birth_date": "20100601"}),
        ("Q-04", {"patient_birth_date": "20060502"}),
        ("Q-04", {"patient_birth_date": "", "patient_age": "011M"}),
        ("Q-07", {"contrast_agent": "IODINE"}),
    ],
)
def test_a_header_fault_has_its_own_reason(code: str, changes: dict[str, Any]) -> None:
    if "image_orientation" in changes:
        heights = [z * 5 / 0.8 for z in range(30)]
        changes = {**changes, "slice_thickness_mm": 5.0}
        assert _codes(headers_at(heights, **changes))[0] == code
    else:
        assert _codes(headers_at(HEIGHTS, **changes)) == [code]


@pytest.mark.parametrize(
    "changes",
    [
        {"patient_birth_date": "20060501"},
        {"patient_birth_date": "", "patient_age": "018Y"},
        {"patient_birth_date": "", "patient_age": ""},
        {"patient_birth_date": "19501399", "patient_age": "OLD"},
        {"patient_birth_date": "20990101", "patient_age": "044Y"},
        {"rows": 511, "columns": 511, "pixel_spacing_mm": (1.0, 1.0)},
        {"modality": ""},
    ],
)
def test_what_is_allowed_passes(changes: dict[str, Any]) -> None:
    assert _codes(headers_at(HEIGHTS, **changes)) == []


@pytest.mark.requirement("R15", "R17")
@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("Q-13", {"air_hu": -700.0}),
        ("Q-13", {"air_hu": math.nan}),
        ("Q-13", {"brain_median_hu": 55.0}),
        ("Q-07", {"brain_p99_hu": 200.0}),
        ("Q-16", {"noise_hu": 40.0}),
        ("Q-01", {"inside_area_mm2": 0.0}),
        ("Q-01", {"brain_area_mm2": 100.0}),
    ],
)
def test_a_pixel_fault_has_its_own_reason_first(code: str, changes: dict[str, Any]) -> None:
    assert _codes(headers_at(HEIGHTS), changes)[0] == code


def test_missing_duplicate_few_low_and_thick_slices() -> None:
    assert _codes(headers_at([z for z in HEIGHTS if z != 50])) == ["Q-02"]
    twin = replace(headers_at([50.0])[0], sop_uid="9.9")
    assert _codes([*headers_at(HEIGHTS), twin]) == ["Q-11"]
    assert _codes(headers_at(HEIGHTS[:15]))[0] == "Q-10"
    assert _codes(headers_at([z * 3.0 for z in range(30)], slice_thickness_mm=3.0)) == ["Q-09"]
    assert _codes(headers_at([z * 8.0 for z in range(30)], slice_thickness_mm=8.0)) == ["Q-18"]


def test_the_reason_names_where_slices_are_missing() -> None:
    stack = order_slices(headers_at([z for z in HEIGHTS if z not in (50, 100)]))
    (found,) = [r for r in check(stack, []) if r.code == "Q-02"]
    assert found.text == "Slices missing (after slice 10: 10.0 mm and 1 more)"


def test_the_top_of_the_head_must_be_imaged() -> None:
    stack = stack_of(30)
    (found,) = check(stack, [measures(h.sop_uid) for h in stack.headers])
    assert (found.code, "top of the head" in found.text) == ("Q-09", True)


def test_slices_that_differ_in_pixels_direction_or_frame_of_reference_do_not_belong_together() -> None:
    lower, upper = headers_at(HEIGHTS[:15]), HEIGHTS[15:]
    assert _codes(lower + headers_at(upper, pixel_spacing_mm=(0.5, 0.5))) == ["Q-12"]
    assert _codes(lower + headers_at(upper, frame_of_reference_uid="1.2.9")) == ["Q-08"]
    assert _codes(lower + headers_at(upper, image_orientation=(0.0, 1.0, 0.0, -1.0, 0.0, 0.0)))[0] == "Q-08"


def test_two_people_and_conflicting_images() -> None:
    headers = headers_at(HEIGHTS)
    assert _codes(headers, conflicts=["1.2.3"]) == ["Q-17"]
    for changes in (
        {"patient_id": "P2"},
        {"patient_id": ""},
        {"patient_birth_date": "19600101"},
        {"patient_name": "Doe^John"},
        {"study_date": "20240502"},
    ):
        assert _codes(headers_at(HEIGHTS[:15]) + headers_at(HEIGHTS[15:], **changes)) == ["Q-05"]
        assert _codes(headers, study=headers_at([999.0], series_uid="1.2.9", **changes)) == ["Q-05"]
    for same in ({"patient_id": "P1 "}, {"patient_name": "DOE^Jane^^=山田"}, {"patient_birth_date": ""}):
        assert _codes(headers, study=headers_at([999.0], series_uid="1.2.9", **same)) == []
    report = headers_at([999.0], sop_class_uid="1.2.840.10008.5.1.4.1.1.88.67", study_date="20240502")
    assert _codes(headers, study=report) == []


@pytest.mark.requirement("R60")
def test_names_without_an_alphabetic_part_are_compared_by_what_they_have() -> None:
    headers = headers_at(HEIGHTS, patient_name="=山田^太郎")
    other = headers_at([999.0], series_uid="1.2.9", patient_name="=鈴木^一郎")
    assert _codes(headers, study=other) == ["Q-05"]
    assert _codes(headers, study=headers_at([999.0], series_uid="1.2.9", patient_name="Yamada^Taro=山田")) == []


@pytest.mark.parametrize("sharp", [slice(0, 1), slice(15, None)])
def test_a_series_is_sharp_where_any_of_its_slices_is(sharp: slice) -> None:
    headers = headers_at(HEIGHTS)
    headers[sharp] = [replace(header, convolution_kernel="BONE") for header in headers[sharp]]
    assert _codes(headers) == ["Q-03"]


@pytest.mark.requirement("R13")
@pytest.mark.parametrize(("thin_mm", "count", "thick_mm"), [(1.25, 40, 5.0), (2.5, 20, 5.0), (3.0, 16, 6.0)])
def test_thin_slices_through_the_posterior_fossa_and_thick_ones_above_are_a_whole_head(
    thin_mm: float, count: int, thick_mm: float
) -> None:
    fossa = headers_at([i * thin_mm for i in range(count)], slice_thickness_mm=thin_mm)
    start = (count - 0.5) * thin_mm + thick_mm / 2
    above = headers_at([start + i * thick_mm for i in range(18)], slice_thickness_mm=thick_mm)
    assert _codes(fossa + above) == []
    assert _codes(fossa + above[:6] + above[7:])[0] == "Q-02"


@pytest.mark.requirement("R19")
def test_a_head_of_unknown_age_must_be_an_adults_size() -> None:
    unknown = {"patient_birth_date": "", "patient_age": ""}
    small = {"inside_area_mm2": 10000.0, "brain_area_mm2": 9000.0}
    assert "Q-04" in _codes(headers_at(HEIGHTS, **unknown), small)
    assert "Q-04" not in _codes(headers_at(HEIGHTS), small)
    assert _codes(headers_at(HEIGHTS, **unknown)) == []


@pytest.mark.requirement("R19")
@pytest.mark.parametrize(
    "child",
    [
        {"patient_birth_date": "20140301", "study_date": "", "acquired_at": "20260314140500"},
        {"patient_birth_date": "2014.03.01", "study_date": "2026.03.14"},
    ],
)
def test_a_child_with_an_adults_head_is_known_by_any_date_the_scanner_wrote(child: dict[str, str]) -> None:
    assert "Q-04" in _codes(headers_at(HEIGHTS, **{"patient_age": "", **child}))


@pytest.mark.requirement("R19")
def test_an_age_that_is_no_number_is_none() -> None:
    assert _codes(headers_at(HEIGHTS, patient_birth_date="", patient_age="07\u00b2Y")) == []


def test_slices_that_could_not_be_decoded_are_counted() -> None:
    stack = stack_of(30)
    found = check(stack, [measures(h.sop_uid) for h in stack.headers[5:-2]])
    assert (found[0].code, "7 of 30" in found[0].text) == ("Q-15", True)


def test_another_part_of_the_body_is_called_that_before_its_gaps_are_counted() -> None:
    headers = headers_at([z * 15.0 for z in range(12)], slice_thickness_mm=3.0)
    body = _codes(headers, {"inside_area_mm2": 300.0})
    noise = _codes(headers, {"inside_area_mm2": 0.0, "body_fraction": 0.0})
    assert (body[0], noise[0]) == ("Q-01", "Q-02")


@pytest.mark.parametrize("what", ["air", "noise", "water", "plastic skull"])
def test_series_of_anything_but_heads_are_refused(what: str) -> None:
    rng = np.random.default_rng(5)
    pictures = {
        "air": np.full((512, 512), -1000, np.int16),
        "noise": rng.integers(-1024, 3000, (512, 512)).astype(np.int16),
        "water": np.where(phantom_head(table=False).hu > -900, 0, -1000).astype(np.int16),
        "plastic skull": phantom_head(brain_hu=-1000).hu,
    }
    stack = stack_of(30)
    seen = [measure_slice(SliceImage(h.sop_uid, pictures[what], (0.45, 0.45))) for h in stack.headers]
    assert {"Q-01", "Q-13"} & {r.code for r in check(stack, seen)}


@pytest.mark.parametrize("name", sorted(PERSONALITIES))
def test_a_synthetic_head_of_every_scanner_passes(name: str) -> None:
    headers, seen = [], {}
    for ds in to_datasets(make_study(7, "hemorrhage", personality=name)):
        header = read_header(ds)
        headers.append(header)
        seen[header.sop_uid] = measure_slice(decode_slice(ds, header))
    (candidate,) = make_candidates(headers, seen)
    assert candidate.stack is not None
    assert check(candidate.stack, candidate.measures) == ()
