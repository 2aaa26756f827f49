"""What the crew does, on the real widgets: every tap lands in the ledger, and a killed screen comes back with it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from edge_app.core.types import StudyStatus
from edge_app.store.crew import crew_entries
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.ui.desk import Entry
from edge_app.ui.hand_over import Card
from edge_app.ui.heat import MAX_ALPHA, heat_image
from edge_app.ui.qr import qr_image
from edge_app.ui.states import ScreenState
from edge_app.ui.theme import PANELS
from edge_app.ui.touch_button import DEBOUNCE_MS
from tests.ui.colours import pixels
from tests.ui.harness import Screen, open_scene, open_screen
from tests.ui.staging import Scene


def tap(screen: Screen, action: str) -> None:
    """Tap the button that says an action now; a second tap on the same one waits until it is no tremor."""
    button = screen.window.action_button(action)
    QTest.qWait(DEBOUNCE_MS + 20) if button.property("tapped") else None
    button.setProperty("tapped", True)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()


def kept(root: Path) -> list[str]:
    with Ledger(StorePaths(root), "test") as ledger:
        return [entry.kind for entry in crew_entries(ledger) if entry.kind not in ("desk", "seen")]


def box(widget: QWidget, screen: Screen) -> QRect:
    return widget.rect().translated(widget.mapTo(screen.window, QPoint(0, 0)))


@pytest.mark.requirement("R36", "R48", "R55", "R59", "R77")
def test_every_entry_is_kept_and_audited_and_a_killed_screen_comes_back_the_same(tmp_path: Path, qapp: object) -> None:
    with open_scene("haemorrhage", tmp_path) as screen:
        for action in (
            "opinion:agree", "role:doctor", "open:confirm", "confirm", "open:lkw", "lkw:-60", "lkw:read_back",
            "lkw:keep:witness", "open:notify", "notify:send", "back", "open:menu", "curtain", "open:menu", "theme",
            "back",
        ):  # fmt: skip
            tap(screen, action)
        screen.until(lambda: screen.model.window is not None, "the time window")
        moment, before = screen.moment, screen.model
    assert kept(tmp_path) == ["opinion", "identity", "lkw", "notify"]
    with Ledger(StorePaths(tmp_path), "test") as ledger, ledger.transaction() as db:
        events = [row[0] for row in db.execute("SELECT event FROM audit ORDER BY seq")]
    assert {"crew_opinion", "crew_identity", "crew_lkw", "crew_notify", "crew_desk", "screen_shown"} <= set(events)
    with open_screen(StorePaths(tmp_path), moment) as again:
        again.settle()
        assert (again.model.actions, again.model.patient, again.model.window) == (
            before.actions,
            before.patient,
            before.window,
        )
        assert again.controller.desk is not None and again.controller.desk.theme == "day"


@pytest.mark.requirement("R47")
def test_a_new_patient_clears_the_old_result_in_the_same_frame(tmp_path: Path, qapp: object) -> None:
    with open_scene("haemorrhage", tmp_path) as screen, Ledger(StorePaths(tmp_path), "work") as ledger:
        tap(screen, "heat_map")
        tap(screen, "open:menu")
        frames: list[tuple[str, bool, int, bool, str]] = []

        def look(model: object) -> None:
            window = screen.window
            words = " ".join(text.words for text in [*window.result.texts, *window.patient.texts])
            thumbnails = sum(thumbnail.image is not None for thumbnail in window.keys.thumbnails)
            frames.append(
                (screen.model.study_uid or "", window.view.has_image, thumbnails, window.sheet.isVisible(), words)
            )

        screen.controller.shown.connect(look)
        new = Scene(ledger, "negative", number=2).receive(1, "open")
        screen.until(lambda: screen.model.study_uid == new.study_uid, "the new patient")
        first = next(frame for frame in frames if frame[0] == new.study_uid)
        assert first[1:4] == (False, 0, False)
        assert "HAEMORRHAGE" not in first[4] and "MUSTERMANN" not in first[4]


@pytest.mark.requirement("R82")
def test_every_sheet_that_was_shown_is_audited(tmp_path: Path, qapp: object) -> None:
    with open_scene("haemorrhage", tmp_path) as screen:
        for action in ("open:menu", "open:about", "full"):
            tap(screen, action) if action in ("open:menu", "open:about") else screen.window.action.emit(action)
    with Ledger(StorePaths(tmp_path), "test") as ledger:
        shown = [json.loads(row[0]) for row in ledger.read("SELECT body FROM audit WHERE event = 'screen_shown'")]
    assert [(body["sheet"], body["full"]) for body in shown] == [
        ("", False), ("menu", False), ("about", False), ("", True),
    ]  # fmt: skip
    assert {(body["state"], body["revision"]) for body in shown} == {("haemorrhage", 1)}


@pytest.mark.requirement("R77")
@pytest.mark.parametrize("panel", PANELS)
def test_the_second_tap_that_notifies_is_thirty_millimetres_away(panel: str, tmp_path: Path, qapp: object) -> None:
    with open_scene("notify", tmp_path, panel=panel) as screen:
        first = box(screen.window.action_button("open:notify"), screen)
        second = box(screen.window.action_button("notify:send"), screen)
        away = max(first.left() - second.right(), second.left() - first.right(), 0)
        assert away >= 30 * PANELS[panel].px_per_mm
        words = " ".join(text.words for text in screen.window.sheet.texts)
        assert "HAEMORRHAGE SUSPECTED" in words and "stroke centre" in words


@pytest.mark.requirement("R35")
def test_read_first_reveals_not_detected_after_the_crews_own_reading(tmp_path: Path, qapp: object) -> None:
    with open_scene("read_first", tmp_path) as screen:
        shown = " ".join(text.words for text in screen.window.texts)
        assert "DETECTED" not in shown and not screen.model.key_slices and "%" not in screen.model.result.score
        tap(screen, "impression:not_seen")
        tap(screen, "role:doctor")
        screen.until(lambda: screen.model.state is ScreenState.NONE_DETECTED, "the result")
    assert kept(tmp_path) == ["impression"]


@pytest.mark.requirement("R70")
def test_nothing_can_be_tapped_while_the_screen_is_wiped(tmp_path: Path, qapp: object) -> None:
    with open_scene("clean", tmp_path) as screen:
        window = screen.window
        for at in (window.result.geometry().center(), window.slots[0].geometry().center()):
            assert window.childAt(at) in (window.clean, window.clean.words)
        QTest.keyClick(window.clean, Qt.Key.Key_M)
        assert screen.model.sheet is None
        screen.later(31)
        screen.until(lambda: not window.clean.isVisible(), "the end of cleaning")


@pytest.mark.requirement("R85")
def test_a_dial_reaches_every_button_and_enter_taps_it(tmp_path: Path, qapp: object) -> None:
    with open_scene("haemorrhage", tmp_path) as screen:
        window = screen.window
        window.activateWindow()
        window.setFocus()
        reached: set[QWidget] = set()
        for _ in range(60):
            QTest.keyClick(QApplication.focusWidget() or window, Qt.Key.Key_Right)
            focus = QApplication.focusWidget()
            if focus is not None:
                reached.add(focus)
        assert set(window.buttons) | set(window.keys.thumbnails) <= reached
        window.action_button("open:menu").setFocus()
        QTest.keyClick(window.action_button("open:menu"), Qt.Key.Key_Return)
        assert screen.model.sheet is not None
        assert QApplication.focusWidget() in window.sheet.buttons
        for _ in range(40):
            QTest.keyClick(QApplication.focusWidget() or window, Qt.Key.Key_Left)
            assert QApplication.focusWidget() not in (*window.presets, *window.keys.thumbnails), "covered"
        QTest.keyClick(window, Qt.Key.Key_Escape)
        assert screen.model.sheet is None


@pytest.mark.requirement("R37")
def test_the_heat_map_is_off_until_asked_for_never_strong_and_never_for_not_detected(
    tmp_path: Path, qapp: object
) -> None:
    with open_scene("haemorrhage", tmp_path / "a") as screen:
        assert not screen.window.view.has_heat and not screen.model.view.caption
        tap(screen, "heat_map")
        screen.until(lambda: screen.window.view.has_heat, "the heat map")
        assert screen.model.view.caption == "shows where the model looked, not the lesion border"
    with open_scene("none_detected", tmp_path / "b") as screen:
        assert not screen.window.heat_map.isVisible()
        QTest.keyClick(screen.window, Qt.Key.Key_H)
        assert not screen.model.view.caption and not screen.window.view.has_heat
    for wild in (np.full((7, 7), np.nan), np.full((7, 7), -1.0), np.eye(7) * 1e9):
        image = heat_image(wild.astype(np.float32), 1.0).convertToFormat(QImage.Format.Format_RGBA8888)
        alphas = np.frombuffer(image.constBits(), np.uint8).reshape(-1, 4)[:, 3]
        assert alphas.max() <= MAX_ALPHA * 255


@pytest.mark.requirement("R49")
@pytest.mark.parametrize("panel", PANELS)
def test_a_tap_on_the_image_gives_it_all_the_height_there_is(panel: str, tmp_path: Path, qapp: object) -> None:
    with open_scene("haemorrhage", tmp_path, panel=panel) as screen:
        view, size = screen.window.view, PANELS[panel]
        least = 66 if panel == "10.1" else 90
        assert min(view.width(), view.height()) >= least * size.px_per_mm - 1
        QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=view.rect().center())
        assert min(view.width(), view.height()) >= 110 * size.px_per_mm
        assert screen.window.bands.isVisible() and screen.window.footer.isVisible()
        QTest.mouseClick(screen.window.leave_full, Qt.MouseButton.LeftButton)
        assert not screen.model.full


@pytest.mark.requirement("R49")
@pytest.mark.parametrize("panel", ["12.1", "13.3"])
def test_a_pixel_of_the_image_has_a_pixel_of_the_screen(panel: str, tmp_path: Path, qapp: object) -> None:
    with open_scene("haemorrhage", tmp_path, panel=panel) as screen:
        view = screen.window.view
        screen.until(lambda: len(screen.controller._frames) == len(screen.model.strip), "all slices")
        assert view.image is not None
        assert view.image_box().width() >= view.image.width()


def test_a_tap_on_the_zoomed_image_looks_there(tmp_path: Path, qapp: object) -> None:
    with open_scene("haemorrhage", tmp_path) as screen:
        view = screen.window.view
        screen.window.action.emit("zoom")
        before = view.image_box()
        QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(view.width() // 4, view.height() // 4))
        assert not screen.model.full
        assert view.image_box().left() > before.left() and view.image_box().top() > before.top()
        assert view.image_box().left() <= 0 and view.image_box().right() >= view.width() - 1


@pytest.mark.requirement("R34")
def test_key_slices_looked_at_for_a_second_are_marked_and_then_the_images_are_reviewed(
    tmp_path: Path, qapp: object
) -> None:
    with open_scene("none_detected", tmp_path) as screen:
        for number, thumbnail in enumerate(screen.window.keys.thumbnails):
            QTest.mouseClick(thumbnail, Qt.MouseButton.LeftButton)
            screen.controller._watch()
            screen.later(1.0)
            screen.controller._watch()
            if number == 1:
                screen.until(lambda: sum(key.seen for key in screen.model.key_slices) == 2, "two marks")
                assert "Key slices seen: 2 of 5" in screen.model.info
        screen.until(lambda: "Images reviewed on board" in screen.model.info, "the review")
    assert kept(tmp_path) == ["reviewed"]


@pytest.mark.requirement("R76")
@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("panel", PANELS)
def test_the_card_fits_one_screen(panel: str, language: str, tmp_path: Path, qapp: object) -> None:
    with open_scene("hand_over", tmp_path, panel=panel, language=language) as screen:
        assert screen.window.sheet.pages == 1


@pytest.mark.requirement("R76")
def test_the_card_is_saved_as_one_a6_page_and_its_qr_code_can_be_read(tmp_path: Path, qapp: object) -> None:
    with open_scene("hand_over", tmp_path) as screen:
        sheet = screen.model.sheet
        assert sheet is not None
        tap(screen, "save")
        path = StorePaths(tmp_path).hand_over(screen.model.study_uid or "", 1)
        screen.until(path.is_file, "the PDF")
    content = path.read_bytes()
    assert content.startswith(b"%PDF") and content.count(b"/Type /Page\n") == 1
    assert b"/MediaBox [0 0 298" in content or b"/MediaBox [0 0 297" in content
    image = qr_image(sheet.qr).scaled(800, 800).convertToFormat(QImage.Format.Format_Grayscale8)
    grey = np.frombuffer(image.constBits(), np.uint8).reshape(800, image.bytesPerLine())[:, :800]
    assert qr_image(sheet.qr).width() - 8 <= 17 + 4 * 19, "larger than version 19"
    assert cv2.QRCodeDetector().detectAndDecode(np.ascontiguousarray(grey))[0] == sheet.qr


@pytest.mark.requirement("R76")
def test_a_card_that_could_not_be_written_is_not_said_to_be_saved(tmp_path: Path, qapp: object) -> None:
    with open_scene("hand_over", tmp_path) as screen:
        path = StorePaths(tmp_path).hand_over(screen.model.study_uid or "", 1)
        path.mkdir()  # in the way
        tap(screen, "save")
        screen.controller._reader.keep([Entry("", "sound", {"muted_s": 0})])  # the reader answers in turn
        screen.until(lambda: "sound" in kept(tmp_path), "the next entry")
        assert "hand_over" not in kept(tmp_path)
        path.rmdir()
        tap(screen, "save")
        screen.until(lambda: "hand_over" in kept(tmp_path), "the entry")
        assert path.is_file()


@pytest.mark.requirement("R06", "R21", "R76")
@pytest.mark.parametrize("name", ["ischaemic", "haemorrhage"])
def test_the_card_on_paper_has_the_bands_and_the_words_of_the_screen(
    name: str, tmp_path: Path, qapp: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Card] = []
    monkeypatch.setattr("edge_app.ui.controller.card_pdf", lambda card: saved.append(card) or b"")
    with open_scene(name, tmp_path) as screen:
        bands = tuple(band.text for band in screen.model.bands)
        tap(screen, "open:hand_over")
        assert screen.model.sheet is not None
        tap(screen, "save")
        assert (saved[0].marks, saved[0].qr) == (bands, screen.model.sheet.qr)
        assert ("UNVALIDATED" in bands) == (name == "ischaemic")


def test_a_case_that_is_ended_makes_room_for_the_next_and_stays_in_the_list(tmp_path: Path, qapp: object) -> None:
    with open_scene("new_case", tmp_path) as screen, Ledger(StorePaths(tmp_path), "work") as ledger:
        tap(screen, "new_case")
        screen.until(lambda: screen.model.state is ScreenState.READY, "READY")
        assert screen.model.patient.name == "No patient" and not screen.window.view.has_image
        assert [row.status for row in screen.model.cases] == ["HAEMORRHAGE SUSPECTED"]
        Scene(ledger, "negative", number=2).receive(2, "open").note(StudyStatus.RECEIVING)
        screen.until(lambda: screen.model.state is ScreenState.RECEIVING, "the next case")


def test_the_case_list_is_painted_although_the_window_was_grabbed_before(tmp_path: Path, qapp: object) -> None:
    with open_scene("haemorrhage", tmp_path) as screen:
        screen.window.grab()
        tap(screen, "cases")
        assert all(row.updatesEnabled() for row in screen.window.cases.rows)
        empty = pixels(screen.window)[screen.window.cases.y() + 60]
        assert len(np.unique(empty.reshape(-1, 3), axis=0)) > 5
