"""Every state, drawn by the real window from a real store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from edge_app.ui import touch_button
from edge_app.ui.result_panel import LEAD_SHARE
from edge_app.ui.states import LOOKS, ScreenState
from edge_app.ui.strings import text
from edge_app.ui.theme import PANELS
from tests.ui.harness import Screen, open_scene, open_screen
from tests.ui.scenes import STATES, build

FACES = {
    "changed": ScreenState.RECEIVING,
    "receiver_refused": ScreenState.RECEIVER_STOPPED,
    "haemorrhage_and_signs": ScreenState.HAEMORRHAGE,
    "indeterminate_quality": ScreenState.INDETERMINATE,
}


def pixels(widget: QWidget) -> NDArray[np.uint8]:
    """Return a picture of a widget, (H, W, 3) uint8 RGB."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def assert_nothing_is_cut_off(screen: Screen) -> None:
    """Check each text against its box, and each box against its parent."""
    window = screen.window
    for words in window.texts:
        assert words.fits, f"cut off: {words.words!r}"
        if words.words:
            box = words.geometry()
            if not any(letter in "ÄÖÜ" for letter in words.words):
                box.setTop(box.top() + round(words.layout_now.cap_px * 0.24))  # room for accents that are not there
            assert words.parentWidget().rect().contains(box), f"outside its panel: {words.words!r}"
            least = 3.3 * window.panel.px_per_mm
            assert words.layout_now.cap_px >= least - 0.6, f"smaller than 3.3 mm: {words.words!r}"
    for button in window.buttons:
        assert button.fits, f"cut off: {button.text()!r}"


@pytest.mark.requirement("R01", "R32", "R40", "R84")
@pytest.mark.parametrize("name", STATES)
def test_every_state_renders_with_its_words_and_the_disclaimer(name: str, tmp_path: Path, qapp: object) -> None:
    with open_scene(name, tmp_path) as screen:
        assert screen.model.state is FACES.get(name) or screen.model.state.value == name
        assert_nothing_is_cut_off(screen)
        footer = screen.window.footer
        assert footer.disclaimer.words == "AI triage aid - not a diagnosis. A clinician must read the images."
        assert footer.isVisible() and footer.geometry().bottom() == screen.window.height() - 1
        shown = [words.words for words in screen.window.result.texts if words.words]
        assert shown[0] == screen.model.result.headline[0]
        if name in ("model_missing", "receiver_refused"):
            return
        if name != "starting":
            assert "SYNTHETIC" in screen.window.bands.labels[0].words.words
            assert screen.window.bands.labels[0].isVisible()


@pytest.mark.requirement("R62", "R84")
@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("name", ["haemorrhage", "ischaemic", "none_detected", "no_ai_result", "receiving", "stalled"])
def test_nothing_is_cut_off_on_any_panel_in_any_language(
    name: str, panel: str, language: str, tmp_path: Path, qapp: object
) -> None:
    paths, moment = build(name, tmp_path)
    with open_screen(paths, moment, theme="day", language=language, panel=panel) as screen:
        screen.settle()
        assert_nothing_is_cut_off(screen)


@pytest.mark.requirement("R67", "R03")
@pytest.mark.parametrize("name", ["haemorrhage", "ischaemic", "none_detected", "indeterminate"])
@pytest.mark.parametrize("panel", PANELS)
def test_headline_and_caveat_have_their_height_in_millimetres(
    name: str, panel: str, tmp_path: Path, qapp: object
) -> None:
    paths, moment = build(name, tmp_path)
    with open_screen(paths, moment, panel=panel) as screen:
        screen.settle()
        result, size = screen.window.result, PANELS[panel]
        assert result.headline_cap_px >= size.headline_mm * size.px_per_mm - 1
        assert result.lead_cap_px >= LEAD_SHARE * result.headline_cap_px - 0.01
        if name == "none_detected":
            assert screen.model.result.lead == "does not exclude haemorrhage or stroke"


@pytest.mark.requirement("R31")
@pytest.mark.parametrize("theme", ["night", "day"])
@pytest.mark.parametrize("name", ["haemorrhage", "ischaemic", "none_detected", "indeterminate"])
def test_no_result_shows_green(name: str, theme: str, tmp_path: Path, qapp: object) -> None:
    paths, moment = build(name, tmp_path)
    with open_screen(paths, moment, theme=theme) as screen:
        screen.settle()
        for widget in (screen.window.result, screen.window.bands, screen.window.strip, screen.window.keys):
            red, green, blue = (pixels(widget)[..., channel].astype(int) for channel in range(3))
            assert not np.any((green > red + 24) & (green > blue + 24))


@pytest.mark.requirement("R32")
def test_the_results_stay_apart_in_greyscale(tmp_path: Path, qapp: object) -> None:
    pictures = {}
    for name in ("haemorrhage", "ischaemic", "none_detected", "indeterminate", "no_ai_result", "failed"):
        paths, moment = build(name, tmp_path / name)
        with open_screen(paths, moment) as screen:
            screen.settle()
            pictures[name] = pixels(screen.window.result).mean(axis=2)
    names = list(pictures)
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            differing = np.mean(np.abs(pictures[first] - pictures[second]) > 64)
            assert differing > 0.02, f"{first} and {second} look alike in grey"


def test_a_withdrawn_result_is_not_shown(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("changed", tmp_path)
    with open_screen(paths, moment) as screen:
        screen.settle()
        assert screen.model.result.lead == text("lead.changed", "en")
        assert screen.model.look is LOOKS[ScreenState.RECEIVING]
        assert not screen.model.key_slices
        assert "HAEMORRHAGE" not in " ".join(words.words for words in screen.window.texts)


def test_the_ischaemic_result_is_marked_unvalidated(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("ischaemic", tmp_path)
    with open_screen(paths, moment) as screen:
        screen.settle()
        assert [label.words.words for label in screen.window.bands.labels if label.isVisible()] == [
            "SYNTHETIC MODEL - NOT FOR PATIENTS",
            "UNVALIDATED",
        ]


@pytest.mark.requirement("R71")
@pytest.mark.parametrize("name", ["haemorrhage", "ischaemic", "none_detected", "indeterminate", "failed", "stalled"])
def test_nothing_flashes_or_moves_but_clocks_and_the_dot(name: str, tmp_path: Path, qapp: object) -> None:
    with open_scene(name, tmp_path) as screen:
        window, controller = screen.window, screen.controller
        still = [window.result, window.bands, window.view, window.strip, window.keys, *window.slots]
        screen.until(lambda: len(controller._frames) == len(screen.model.strip), "all slices")
        screen.until(lambda: not controller._soon.isActive(), "the view fitted to all of them")
        before = [pixels(widget) for widget in still if widget.isVisible()]
        for _ in range(6):
            controller._tick()
            after = [pixels(widget) for widget in still if widget.isVisible()]
            assert all(np.array_equal(one, two) for one, two in zip(before, after, strict=True))


@pytest.mark.requirement("R64")
def test_a_second_finger_a_slip_and_a_tremor_tap_nothing(
    tmp_path: Path, qapp: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert touch_button.DEBOUNCE_MS == 300
    monkeypatch.setattr(
        touch_button, "DEBOUNCE_MS", 60_000
    )  # a busy machine shows the menu for longer than it trembles
    with open_scene("haemorrhage", tmp_path) as screen:
        window = screen.window
        button, taps = window.action_button("open:menu"), []
        button.tapped.connect(lambda: taps.append(1))
        middle = button.rect().center()
        QTest.mousePress(button, Qt.MouseButton.LeftButton, pos=middle)
        QTest.mouseRelease(button, Qt.MouseButton.LeftButton, pos=middle + QPoint(0, 400))
        assert not taps, "fires on release inside"
        QTest.mouseClick(button, Qt.MouseButton.RightButton, pos=middle)
        assert not taps
        QTest.mouseClick(button, Qt.MouseButton.LeftButton, pos=middle)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton, pos=middle)
        assert len(taps) == 1, "twice within 300 ms is once"


@pytest.mark.requirement("R58")
@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("name", ["haemorrhage", "receiving", "ai_stopped", "previous", "crew_done"])
def test_the_patients_name_is_large_on_every_patient_screen(
    name: str, panel: str, tmp_path: Path, qapp: object
) -> None:
    with open_scene(name, tmp_path, panel=panel) as screen:
        band = screen.window.patient
        assert band.isVisible() and band.name.words == "MUSTERMANN, ERIKA"
        assert band.name.layout_now.cap_px >= 4.5 * PANELS[panel].px_per_mm - 0.6
        for part in ("1951-04-02", "ID 4711-88", "Acc A-0917", "2026-03-14 14:02"):
            assert part in band.details.words


@pytest.mark.requirement("R66")
@pytest.mark.parametrize("name", ["haemorrhage", "ischaemic", "none_detected", "indeterminate"])
def test_key_slices_and_hand_over_are_a_tap_away(name: str, tmp_path: Path, qapp: object) -> None:
    with open_scene(name, tmp_path) as screen:
        assert len([thumbnail for thumbnail in screen.window.keys.thumbnails if thumbnail.isEnabled()]) == 5
        screen.window.action_button("open:hand_over").click()
        assert screen.model.sheet is not None and screen.model.sheet.qr
