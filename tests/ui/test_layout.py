"""The layout rules on the tightest panel and in the longest language; `make screens` checks every combination."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.colours import pixels
from tests.ui.harness import open_scene
from tests.ui.layout import problems
from tests.ui.pseudo import expand, pseudo_locale
from tests.ui.scenes import SCENES, STATES
from tests.ui.screens import look_alikes


@pytest.mark.requirement("R63", "R67", "R68", "R84", "R85")
@pytest.mark.parametrize("name", SCENES)
def test_no_rule_is_broken_on_the_tightest_panel_in_the_longest_language(
    name: str, tmp_path: Path, qapp: object
) -> None:
    with pseudo_locale(), open_scene(name, tmp_path, panel="10.1", theme="day") as screen:
        assert problems(screen) == []


@pytest.mark.requirement("R63", "R67", "R68", "R84", "R85")
@pytest.mark.parametrize("name", SCENES)
def test_no_rule_is_broken_in_german(name: str, tmp_path: Path, qapp: object) -> None:
    with open_scene(name, tmp_path, panel="12.1", language="de") as screen:
        assert problems(screen) == []


@pytest.mark.requirement("R63", "R67", "R68", "R84", "R85")
@pytest.mark.parametrize(("number", "name"), list(enumerate(SCENES)))
def test_no_rule_is_broken_on_the_largest_panel(number: int, name: str, tmp_path: Path, qapp: object) -> None:
    with open_scene(name, tmp_path, panel="13.3", theme=("day", "night")[number % 2]) as screen:
        assert problems(screen) == []


@pytest.mark.requirement("R32", "R72")
@pytest.mark.parametrize("theme", ["day", "night"])
def test_states_stay_apart_without_colour_and_for_every_colour_vision(theme: str, tmp_path: Path, qapp: object) -> None:
    states = {}
    for name in STATES:
        with open_scene(name, tmp_path / name, theme=theme) as screen:
            states.setdefault(screen.model.state, pixels(screen.window.result))
    assert look_alikes(states) == []


def test_the_pseudo_locale_is_forty_per_cent_longer() -> None:
    for words in ("CASES", "Read the images now.", "{images} images received"):
        assert len(expand(words)) >= 1.4 * len(words) - 1
    assert "{images}" in expand("{images} images received")
    assert expand("80 / 40") == "80 / 40"
