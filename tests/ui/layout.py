"""The layout rules, measured on the real widgets in millimetres and on their rendered pixels."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QRect
from PySide6.QtWidgets import QWidget

from edge_app.ui.fitting import ABOVE, BELOW
from edge_app.ui.fonts import advance
from edge_app.ui.sheet_panel import PRIMARY_MM
from edge_app.ui.text import FitText
from edge_app.ui.theme import TextHeight
from edge_app.ui.window import MainWindow
from edge_app.ui.zones import TARGET_GAP_MM, TARGET_MM
from tests.ui.colours import contrast, histogram, luminance, pixels
from tests.ui.harness import Screen

TEXT_CONTRAST = 7.0
DESTRUCTIVE_MM = 30.0
BORDER_CONTRAST = 3.0


def problems(screen: Screen) -> list[str]:
    """Return every broken rule of the screen as it is now."""
    window = screen.window
    picture = pixels(window)
    return [
        *_texts(window),
        *_overlaps(window),
        *_targets(window),
        *_destructive(window),
        *_disclaimer(window),
        *_contrasts(window, picture),
        *_names(window),
    ]


def _box(widget: QWidget, window: MainWindow) -> QRect:
    return widget.rect().translated(widget.mapTo(window, QPoint(0, 0)))


def ink_box(words: FitText, window: MainWindow) -> QRect:
    """Return where a text's letters are, without the room for accents and descenders that may not be there."""
    layout, box = words.layout_now, _box(words, window)
    width = max(round(advance(line, bold=words.bold) * layout.cap_px * layout.stretch) for line in layout.lines)
    left = box.left()
    if words.align.name == "AlignHCenter":
        left += (box.width() - width) // 2
    elif words.align.name == "AlignRight":
        left += box.width() - width
    above = 0 if words.at_top else (box.height() - layout.height_px) / 2
    top = box.top() + above + layout.cap_px * (ABOVE - 1)
    height = layout.height_px - layout.cap_px * (ABOVE - 1 + BELOW)
    return QRect(left, round(top), width, round(height))


def _texts(window: MainWindow) -> list[str]:
    """R84: nothing is cut off. R67: nothing is smaller than 3.3 mm."""
    found = []
    least = TextHeight.LEAST_MM * window.panel.px_per_mm - 0.6
    for words in window.texts:
        if not words.words:
            continue
        if not words.fits:
            found.append(f"cut off: {words.words!r}")
        if words.layout_now.cap_px < least:
            found.append(f"smaller than 3.3 mm: {words.words!r}")
        parent = words.parentWidget()
        if not _box(parent, window).adjusted(-1, -1, 1, 1).contains(ink_box(words, window)):
            found.append(f"outside its panel: {words.words!r}")
    if window.sheet.isVisible() and window.sheet.pages > 1 and "page" not in window.sheet.offered:
        found.append(f"the sheet has {window.sheet.pages} pages and no way to turn them")
    if window.view.isVisible():
        found += [f"cut off on the image: {words!r}" for words in window.view.cut_off]
    for button in window.buttons:
        if not button.fits:
            found.append(f"cut off on a button: {button.text()!r}")
    return found


def _overlaps(window: MainWindow) -> list[str]:
    """No word lies on another, none on a button; no part of the screen covers another but a sheet."""
    found = []
    boxes = [(words.words, ink_box(words, window)) for words in window.texts if words.words]
    boxes += [(f"button {button.text()!r}", _box(button, window)) for button in window.buttons]
    for (first, its), (second, other) in itertools.combinations(boxes, 2):
        if its.intersects(other):
            found.append(f"{first!r} and {second!r} overlap")
    covers = [window.sheet, window.cases, window.clean]
    if not any(cover.isVisible() for cover in covers):
        parts = [child for child in window.children() if isinstance(child, QWidget) and child.isVisible()]
        for first_part, second_part in itertools.combinations(parts, 2):
            top = {type(window.patient), type(window.clocks)}
            if {type(first_part), type(second_part)} & top and {first_part, second_part} & {window.lkw, window.confirm}:
                continue  # the two buttons stand in the top bands, which leave them room
            if _box(first_part, window).intersects(_box(second_part, window)):
                found.append(f"{type(first_part).__name__} and {type(second_part).__name__} overlap")
    return found


def _targets(window: MainWindow) -> list[str]:
    """R63: targets of 17.5 mm (primary 20), 3 mm apart."""
    found = []
    px = window.panel.px
    targets: list[QWidget] = [*window.buttons]
    if window.keys.isVisible():
        targets += window.keys.thumbnails
    boxes = [(target.accessibleName(), _box(target, window)) for target in targets]
    primary = {window.sheet.button(name) for name in window.sheet.primary} if window.sheet.isVisible() else set()
    for target, (name, box) in zip(targets, boxes, strict=True):
        least = px(PRIMARY_MM if target in primary else TARGET_MM) - 1
        if min(box.width(), box.height()) < least:
            found.append(f"target {name!r} is {box.width()}×{box.height()} px, {least} needed")
    gap = px(TARGET_GAP_MM) - 1
    for (first, its), (second, other) in itertools.combinations(boxes, 2):
        if its.adjusted(-gap, -gap, gap, gap).intersects(other):
            found.append(f"targets {first!r} and {second!r} are less than 3 mm apart")
    return found


def _destructive(window: MainWindow) -> list[str]:
    """R63: what cannot be undone is 30 mm from everything that is tapped often."""
    if not window.sheet.isVisible():
        return []
    found = []
    gap = window.panel.px(DESTRUCTIVE_MM) - 1
    for name in window.sheet.destructive:
        button = window.sheet.button(name)
        around = _box(button, window).adjusted(-gap, -gap, gap, gap)
        near = [other for other in window.buttons if other is not button and around.intersects(_box(other, window))]
        found += [f"{button.text()!r} is less than 30 mm from {other.text()!r}" for other in near]
    return found


def _disclaimer(window: MainWindow) -> list[str]:
    """R01: the sentence is on every screen, whole and uncovered."""
    footer = window.footer
    covering = window.childAt(_box(footer.disclaimer, window).center())
    if covering is footer or footer.isAncestorOf(covering) if covering else False:
        return [] if footer.disclaimer.words and footer.isVisible() else ["the disclaimer is not there"]
    return ["the disclaimer is covered"]


def _contrasts(window: MainWindow, picture: NDArray[np.uint8]) -> list[str]:
    """R68: text 7:1, borders of buttons 3:1, on the pixels as they are."""
    found = []
    for words in window.texts:
        if words.words:
            ratio = _ratio(picture, ink_box(words, window))
            if ratio < TEXT_CONTRAST:
                found.append(f"contrast {ratio:.1f} of {words.words!r}")
    for button in window.buttons:
        box = _box(button, window)
        ratio = _ratio(picture, box.adjusted(8, 8, -8, -8))
        if ratio < TEXT_CONTRAST and button.text():
            found.append(f"contrast {ratio:.1f} on button {button.text()!r}")
        row = picture[box.center().y()]
        ground, edge = row[max(box.left() - 3, 0)], row[box.left() : box.left() + 5]
        if max(contrast(colour, ground) for colour in edge) < BORDER_CONTRAST:
            found.append(f"border of button {button.text()!r} is too weak")
    return found


def _ratio(picture: NDArray[np.uint8], box: QRect) -> float:
    """Return the contrast of the ink in a box to what most of the box is."""
    part = picture[max(box.top(), 0) : box.bottom() + 1, max(box.left(), 0) : box.right() + 1]
    if not part.size:
        return 21.0
    colours, counts = histogram(part)
    ground = colours[np.argmax(counts)]
    # The ink is what differs most; a few stray pixels of it do not make a letter.
    order = np.argsort(-np.abs(luminance(colours) - float(luminance(ground))))
    enough = max(part.shape[0] * part.shape[1] // 500, 4)
    return contrast(colours[order[np.searchsorted(np.cumsum(counts[order]), enough)]], ground)


def _names(window: MainWindow) -> list[str]:
    """R85: every control has a name."""
    controls: list[QWidget] = [*window.buttons, window.view, window.strip.bars, window.result]
    if window.keys.isVisible():
        controls += [thumbnail for thumbnail in window.keys.thumbnails if thumbnail.key is not None]
    return [f"{type(control).__name__} has no accessible name" for control in controls if not control.accessibleName()]
