from __future__ import annotations

import itertools

import pytest

from edge_app.ui.theme import PANELS, THEMES, Role, contrast
from edge_app.ui.zones import TARGET_MM, Rect, Zones, split_row


@pytest.mark.requirement("R68")
@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_text_has_seven_to_one_and_borders_three_to_one(theme) -> None:
    assert set(theme.fills) == set(Role)
    pairs = [(fill.ink, fill.ground) for fill in [*theme.fills.values(), theme.caution, theme.previous]]
    pairs += [(ink, ground) for ink in (theme.text, theme.secondary) for ground in (theme.ground, theme.surface)]
    for ink, ground in pairs:
        assert contrast(ink, ground) >= 7, (ink, ground)
    assert contrast(theme.border, theme.ground) >= 3
    assert contrast(theme.border, theme.surface) >= 3
    for role in (Role.NOT_DETECTED, Role.NO_RESULT):
        assert contrast(theme.fills[role].edge, theme.ground) >= 3


@pytest.mark.requirement("R31")
@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_no_colour_of_a_theme_is_green(theme) -> None:
    fills = [theme.caution, theme.previous, *theme.fills.values()]
    colours = [theme.ground, theme.text, theme.secondary, theme.surface, theme.border]
    colours += [colour for fill in fills for colour in (fill.ground, fill.ink, fill.edge)]
    for colour in colours:
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        assert not (green > red + 16 and green > blue + 16), colour


def test_contrast_of_black_and_white_is_twenty_one() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21.0)


@pytest.mark.requirement("R49", "R62")
@pytest.mark.parametrize(("name", "least_mm"), [("10.1", 65.0), ("12.1", 90.0), ("13.3", 90.0)])
def test_the_height_budget_leaves_the_image_its_millimetres(name: str, least_mm: float) -> None:
    panel = PANELS[name]
    zones = Zones.of(panel.width_px, panel.height_px, panel)
    assert zones.view.width == zones.view.height
    assert zones.view.width / panel.px_per_mm >= least_mm
    assert zones.strip.width >= panel.px(TARGET_MM)


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_zones_do_not_overlap_and_stay_inside_the_window(panel) -> None:
    zones = Zones.of(panel.width_px, panel.height_px, panel)
    every = {
        name: getattr(zones, name)
        for name in (
            "patient",
            "clocks",
            "bands",
            "result",
            "view",
            "strip",
            "keys",
            "presets",
            "info",
            "actions",
            "footer",
        )
    }
    for rect in every.values():
        assert rect.x >= 0 and rect.y >= 0
        assert rect.x + rect.width <= panel.width_px and rect.y + rect.height <= panel.height_px
    for (first, a), (second, b) in itertools.combinations(every.items(), 2):
        apart = a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
        assert apart, f"{first} and {second}"


def test_a_row_is_shared_evenly_with_its_gaps() -> None:
    places = split_row(Rect(10, 5, 110, 20), 3, 10)
    assert [(place.x, place.width) for place in places] == [(10, 30), (50, 30), (90, 30)]
