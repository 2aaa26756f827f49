"""Draw every screen there is and check the layout rules: `make screens`, or `python -m tests.ui.screens FOLDER`.

One contact sheet for each panel, theme and language, and `problems.txt`; the exit status is 1 when a rule is broken.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage, QPainter

from edge_app.ui.fonts import sized_font
from edge_app.ui.states import RESULT_STATES, ScreenState
from edge_app.ui.theme import PANELS, THEMES
from tests.ui.colours import MACHADO, as_seen, commonest, delta_e, luminance, pixels
from tests.ui.harness import open_scene
from tests.ui.layout import problems
from tests.ui.pseudo import pseudo_locale
from tests.ui.scenes import SCENES

LANGUAGES = ("en", "de", "pseudo")
COLUMNS = 6
TILE_PX = 560
DELTA_E = 25.0
GREY_SHARE = 0.01
"""Share of a result panel's pixels in which two states must differ clearly in greyscale."""

Picture = NDArray[np.uint8]


def main() -> int:
    """Write the contact sheets; return 1 when a rule is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--panels", nargs="*", default=list(PANELS))
    parser.add_argument("--languages", nargs="*", default=list(LANGUAGES))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    found: list[str] = []
    for panel, language, theme in itertools.product(arguments.panels, arguments.languages, THEMES):
        tiles, states = [], {}
        for name in SCENES:
            tile, broken = draw(name, panel, language, theme, states)
            tiles.append((name, tile))
            found += [f"{panel} {theme} {language} {name}: {problem}" for problem in broken]
        found += [f"{panel} {theme} {language}: {problem}" for problem in look_alikes(states)]
        contact_sheet(tiles).save(str(arguments.folder / f"{panel}-{theme}-{language}.png"), "PNG")
        sys.stdout.write(f'{panel}" {theme} {language}: {len(tiles)} screens\n')
        sys.stdout.flush()
    (arguments.folder / "problems.txt").write_text("".join(f"{problem}\n" for problem in found))
    sys.stdout.write(f"{len(found)} layout rules broken\n" + "".join(f"  {problem}\n" for problem in found[:40]))
    return 1 if found else 0


def draw(
    name: str, panel: str, language: str, theme: str, states: dict[ScreenState, Picture]
) -> tuple[QImage, list[str]]:
    """Draw one scene; return its picture made smaller and the rules it breaks. `states` collects result panels."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if language == "pseudo":
            stack.enter_context(pseudo_locale())
        spoken = "en" if language == "pseudo" else language
        screen = stack.enter_context(open_scene(name, root, panel=panel, language=spoken, theme=theme))
        if screen.window.result.isVisible() and not screen.model.full:
            states.setdefault(screen.model.state, pixels(screen.window.result))
        image = screen.window.grab().toImage()
        small = image.scaledToWidth(TILE_PX, Qt.TransformationMode.SmoothTransformation)
        return small, problems(screen)


def look_alikes(states: dict[ScreenState, Picture]) -> list[str]:
    """R32: states differ in greyscale. R72: result fills differ for every kind of colour vision."""
    found = []
    for (first, its), (second, other) in itertools.combinations(states.items(), 2):
        height = min(its.shape[0], other.shape[0])
        share = float(np.mean(np.abs(grey(its[-height:]) - grey(other[-height:])) > 64))
        if share < GREY_SHARE:
            found.append(f"{first.value} and {second.value} look alike in grey ({share:.3f})")
    fills = {state.value: commonest(picture) for state, picture in states.items() if state in RESULT_STATES}
    for vision in MACHADO:
        for (first_name, one), (second_name, two) in itertools.combinations(fills.items(), 2):
            distance = delta_e(as_seen(one, vision), as_seen(two, vision))
            if distance < DELTA_E:
                found.append(f"{first_name} and {second_name} are {distance:.0f} apart for {vision}")
    return found


def grey(picture: Picture) -> NDArray[np.float64]:
    """Return what a picture is without colour: perceived lightness, 0 to 255."""
    return 255 * luminance(picture) ** (1 / 2.2)


def contact_sheet(tiles: list[tuple[str, QImage]]) -> QImage:
    """Return all tiles with their names on one picture."""
    label, height = 26, max(tile.height() for _, tile in tiles)
    rows = -(-len(tiles) // COLUMNS)
    sheet = QImage(COLUMNS * (TILE_PX + 8), rows * (height + label + 8), QImage.Format.Format_RGB888)
    sheet.fill(QColor("#808080"))
    painter = QPainter(sheet)
    painter.setFont(sized_font(13, bold=True))
    for number, (name, tile) in enumerate(tiles):
        x, y = number % COLUMNS * (TILE_PX + 8) + 4, number // COLUMNS * (height + label + 8)
        painter.drawText(x, y + 20, name)
        painter.drawImage(x, y + label, tile)
    painter.end()
    return sheet


if __name__ == "__main__":
    sys.exit(main())
