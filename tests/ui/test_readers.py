"""What badge and barcode readers type, on the real widgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from edge_app.store.crew import crew_entries
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.ui import wedge
from edge_app.ui.lock_taps import badge_hash
from edge_app.ui.states import ScreenState
from tests.ui.harness import Screen, open_scene


def type_line(screen: Screen, line: str) -> None:
    """Type as a reader does: as fast as it goes, to whatever has the focus."""
    for letter in line:
        QTest.keyClick(QApplication.focusWidget() or screen.window, letter)
    QTest.keyClick(QApplication.focusWidget() or screen.window, Qt.Key.Key_Return)


@pytest.mark.requirement("R81")
def test_a_badge_held_to_the_reader_unlocks_whatever_has_the_focus(tmp_path: Path, qapp: object) -> None:
    with open_scene("badge", tmp_path, badges=(badge_hash("04A219"),)) as screen:
        screen.window.activateWindow()
        type_line(screen, "99")
        assert screen.model.state is ScreenState.LOCKED and screen.model.sheet is not None
        type_line(screen, "04A219")
        assert screen.model.state is ScreenState.READY and screen.model.sheet is None
    with Ledger(StorePaths(tmp_path), "test") as ledger:
        kinds = [entry.kind for entry in crew_entries(ledger) if not entry.study_uid]
    assert kinds == ["desk", "pin_refused", "unlocked", "desk"]


@pytest.mark.requirement("R59")
def test_a_wristband_confirms_the_patient(tmp_path: Path, qapp: object) -> None:
    with open_scene("confirm", tmp_path) as screen:
        screen.window.action.emit("role:nurse")
        screen.window.action.emit("open:confirm")
        screen.window.activateWindow()
        type_line(screen, "4799-01")
        shown = " ".join(text.words for text in screen.window.sheet.texts)
        assert "WRISTBAND SAYS: 4799-01" in shown and screen.model.patient.unconfirmed
        type_line(screen, "4711-88")
        screen.until(lambda: not screen.model.patient.unconfirmed, "the confirmation")


def test_a_reader_at_the_wrong_moment_presses_one_button_at_most(
    tmp_path: Path, qapp: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wedge, "BURST_MS", wedge.STALE_MS)  # on a busy machine the test types no faster than a person
    with open_scene("haemorrhage", tmp_path) as screen:
        screen.window.setFocus()
        type_line(screen, "3MAC2")
        assert [preset.active for preset in screen.model.presets] == [False, False, True, False]
        assert screen.model.sheet is None and not screen.window.cases.isVisible()


@pytest.mark.requirement("R50", "R85")
def test_a_key_of_a_real_keyboard_comes_by_once(tmp_path: Path, qapp: object) -> None:
    with open_scene("haemorrhage", tmp_path) as screen:
        screen.window.setFocus()
        QTest.keyClick(screen.window.windowHandle(), Qt.Key.Key_3)
        screen.until(lambda: screen.model.presets[2].active, "the subdural window")
        index = screen.model.strip_index
        QTest.keyClick(screen.window.windowHandle(), Qt.Key.Key_Up)
        screen.until(lambda: screen.model.strip_index == index + 1, "the next slice")


@pytest.mark.requirement("R81")
def test_a_locked_screen_shows_no_case_by_any_key(tmp_path: Path, qapp: object) -> None:
    with open_scene("locked_over_a_case", tmp_path) as screen:
        assert screen.model.state is ScreenState.LOCKED
        for key in (Qt.Key.Key_C, Qt.Key.Key_M, Qt.Key.Key_A, Qt.Key.Key_F, Qt.Key.Key_Up):
            QTest.keyClick(screen.window, key)
            QTest.qWait(50)
        window = screen.window
        assert not window.cases.isVisible() and screen.model.sheet is None
        assert not window.view.has_image and not screen.model.key_slices and not screen.model.cases
        assert "MUSTERMANN" not in " ".join(text.words for text in window.texts)
        screen.window.action.emit("unlock")
        screen.until(lambda: screen.model.state is ScreenState.HAEMORRHAGE, "the case")


@pytest.mark.requirement("R81")
def test_a_locked_screen_can_be_unlocked_whatever_is_broken(tmp_path: Path, qapp: object) -> None:
    with open_scene("locked_model_missing", tmp_path, badges=(badge_hash("04A219"),)) as screen:
        assert screen.model.state is ScreenState.MODEL_MISSING and screen.model.locked
        assert [button.action for button in screen.model.actions if button.action] == ["unlock"]
        screen.window.activateWindow()
        type_line(screen, "04A219")
        assert not screen.model.locked and screen.model.state is ScreenState.MODEL_MISSING
        assert "open:menu" in [button.action for button in screen.model.actions]


def test_nothing_is_shown_after_the_end_whatever_the_reader_had_already_sent(tmp_path: Path, qapp: object) -> None:
    shown = []
    with open_scene("haemorrhage", tmp_path) as screen:
        screen.controller.shown.connect(shown.append)
        screen.controller.stop()
        screen.controller._show()
        assert not shown
