from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_app.ui.fitting import fit


def measure(line: str) -> float:
    return 0.7 * len(line)


def test_a_text_with_room_has_the_height_that_was_wanted() -> None:
    layout = fit("READY", 1000, 100, cap_px=40, least_px=16, measure=measure)
    assert (layout.cap_px, layout.stretch, layout.fits) == (40, 1.0, True)


def test_a_text_gets_narrower_before_it_gets_smaller() -> None:
    layout = fit("A" * 10, 0.7 * 10 * 40 * 0.9, 100, cap_px=40, least_px=16, measure=measure)
    assert (layout.cap_px, layout.stretch) == (40, 0.9)


def test_a_text_is_wrapped_between_words_only() -> None:
    layout = fit("does not exclude stroke", 200, 100, cap_px=20, least_px=20, measure=measure, wrap=True)
    assert " ".join(layout.lines) == "does not exclude stroke"
    assert len(layout.lines) > 1


def test_a_text_without_room_says_so() -> None:
    assert not fit("A" * 100, 50, 20, cap_px=40, least_px=16, measure=measure).fits
    assert not fit("A", 500, 10, cap_px=40, least_px=16, measure=measure).fits


def test_neighbouring_lines_can_be_made_alike() -> None:
    assert fit("A", 500, 100, cap_px=40, least_px=40, measure=measure, widest=0.85).stretch == 0.85


@given(st.text("ab ", min_size=1, max_size=60), st.integers(20, 600), st.integers(10, 200), st.booleans())
def test_what_is_said_to_fit_does_fit(words: str, width: int, height: int, wrap: bool) -> None:
    layout = fit(words, width, height, cap_px=40, least_px=16, measure=measure, wrap=wrap)
    assert 16 <= layout.cap_px <= 40
    if layout.fits:
        assert layout.height_px <= height
        assert all(measure(line) * layout.cap_px * layout.stretch <= width + 1e-6 for line in layout.lines)
