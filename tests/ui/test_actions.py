"""Taps, keys and wheels on the real window, and what happens when the store changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from edge_app.core.types import StudyStatus, Verdict
from edge_app.store.ledger import Ledger
from edge_app.ui.reader import Frame
from edge_app.ui.states import ScreenState
from edge_app.ui.wedge import BURST_MS
from edge_app.ui.zones import TARGET_GAP_MM, TARGET_MM
from tests.ui.harness import open_scene, open_screen
from tests.ui.scenes import build
from tests.ui.staging import Scene, beat
from tests.ui.test_states import assert_nothing_is_cut_off


def tap(widget: QWidget, at: QPoint | None = None) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=at or widget.rect().center())


@pytest.mark.requirement("R51")
def test_keys_wheel_drag_and_buttons_scroll_towards_head_and_feet(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("haemorrhage", tmp_path)
    with open_screen(paths, moment) as screen:
        screen.settle()
        window, start = screen.window, screen.model.strip_index
        QTest.keyClick(window, Qt.Key.Key_Up)
        assert screen.model.strip_index == start + 1
        QTest.keyClick(window, Qt.Key.Key_Down)
        assert screen.model.strip_index == start
        QTest.keyClick(window, Qt.Key.Key_Home)
        assert screen.model.strip_index == len(screen.model.strip) - 1
        QTest.keyClick(window, Qt.Key.Key_End)
        assert screen.model.strip_index == 0
        tap(window.strip.up)
        tap(window.strip.up)
        assert screen.model.strip_index == 2
        tap(window.strip.down)
        assert screen.model.strip_index == 1
        centre = QPointF(window.view.rect().center())
        wheel = QWheelEvent(
            centre,
            centre,
            QPoint(),
            QPoint(0, 240),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(window.view, wheel)
        assert screen.model.strip_index == 3
        middle = window.view.rect().center()
        QTest.mousePress(window.view, Qt.MouseButton.LeftButton, pos=middle)
        QTest.mouseMove(window.view, middle - QPoint(0, window.panel.px(3.0) * 4 + 2))
        QTest.mouseRelease(window.view, Qt.MouseButton.LeftButton)
        assert screen.model.strip_index == 7


@pytest.mark.requirement("R50")
def test_presets_by_button_and_key_change_the_image_and_the_printed_numbers(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("haemorrhage", tmp_path)
    with open_screen(paths, moment) as screen:
        screen.settle()
        brain = screen.window.view.image
        QTest.keyClick(screen.window, Qt.Key.Key_4)
        assert screen.model.view.bottom_right[0] == "W 2800 L 600"
        assert screen.window.view.image != brain
        tap(screen.window.presets[1])
        assert screen.model.view.bottom_right[0] == "W 40 L 40"
        assert [preset.active for preset in screen.model.presets] == [False, True, False, False]
        QTest.qWait(BURST_MS + 15)  # faster than fingers it would be a barcode reader's
        QTest.keyClick(screen.window, Qt.Key.Key_1)
        assert screen.window.view.image == brain


@pytest.mark.requirement("R33", "R52")
def test_a_result_opens_on_its_first_key_slice_and_key_slices_are_one_tap_away(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("none_detected", tmp_path)
    with open_screen(paths, moment) as screen:
        screen.settle()
        keys = screen.model.key_slices
        assert len(keys) == 5 and keys[0].shown
        tap(screen.window.keys.thumbnails[2])
        assert screen.model.key_slices[2].shown
        assert screen.model.strip_index == keys[2].number - 1
        bars = screen.window.strip.bars
        pitch = bars.height() / len(screen.model.strip)
        tap(bars, QPoint(10, round(bars.height() - (keys[0].number - 0.5 + 1) * pitch)))
        assert screen.model.strip_index + 1 in {key.number for key in keys}


def test_a_tap_that_began_on_one_patient_does_nothing_for_the_next(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("haemorrhage", tmp_path)
    with open_screen(paths, moment) as screen, Ledger(paths, "work") as ledger:
        screen.settle()
        button, actions = screen.window.action_button("opinion:agree"), []
        screen.window.action.connect(actions.append)
        QTest.mousePress(button, Qt.MouseButton.LeftButton)
        new = Scene(ledger, "negative", number=2).receive().conclude(Verdict.NONE_DETECTED)
        screen.until(lambda: screen.model.study_uid == new.study_uid and screen.model.revision == 1, "the next one")
        assert screen.window.action_button("opinion:agree") is button
        QTest.mouseMove(button, button.rect().center() + QPoint(3, 0))  # a finger never lies still
        QTest.mouseRelease(button, Qt.MouseButton.LeftButton)
        assert actions == []
        tap(button)
        assert actions == ["opinion:agree"]


@pytest.mark.requirement("R47")
def test_a_new_study_takes_the_screen_at_once_and_the_old_one_comes_back_as_previous(
    tmp_path: Path, qapp: object
) -> None:
    paths, moment = build("haemorrhage", tmp_path)
    with open_screen(paths, moment) as screen, Ledger(paths, "work") as ledger:
        screen.settle()
        new = Scene(ledger, "negative", number=2).receive(3, "open")
        screen.until(lambda: screen.model.study_uid == new.study_uid, "the new study on the screen")
        assert screen.model.state is ScreenState.RECEIVING
        assert screen.model.result.lead == "3 images received"
        new.note(StudyStatus.RECEIVING)
        screen.until(lambda: screen.model.patient.name == "BEISPIEL, MAX", "the new patient's name")
        window = screen.window
        tap(window.action_button("cases"))
        assert window.cases.isVisible()
        band = window.bands.labels[0]
        covering = window.childAt(band.mapTo(window, band.rect().center()))
        assert covering is not None and band.isAncestorOf(covering), "the SYNTHETIC band lies under the case list"
        assert_nothing_is_cut_off(screen)
        assert [row.row.status for row in window.cases.rows if row.row] == ["RECEIVING", "HAEMORRHAGE SUSPECTED"]
        tap(window.cases.rows[1])
        screen.settle()
        assert not window.cases.isVisible()
        assert screen.model.state is ScreenState.HAEMORRHAGE
        assert window.clocks.warning.words == "PREVIOUS CASE - not the current patient"
        assert_nothing_is_cut_off(screen)
        tap(window.action_button("current"))
        screen.settle()
        assert screen.model.state is ScreenState.RECEIVING
        assert window.clocks.warning.words == "UNCONFIRMED"


def test_images_arrive_live_and_the_slice_a_person_chose_stays_in_view(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("receiving", tmp_path)
    with open_screen(paths, moment) as screen, Ledger(paths, "work") as ledger:
        screen.settle()
        QTest.keyClick(screen.window, Qt.Key.Key_End)
        scene = Scene(ledger, sent=21)
        scene.receive(4, "released").note(StudyStatus.RECEIVING)
        screen.until(lambda: len(screen.model.strip) == 25, "25 slices in the strip")
        assert screen.model.strip_index == 0
        scene.receive().conclude(Verdict.HEMORRHAGE)
        screen.until(lambda: screen.model.state is ScreenState.HAEMORRHAGE, "the result")
        assert screen.model.strip_index == 0


def test_day_and_night_change_neither_grey_levels_nor_layout(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("haemorrhage", tmp_path)
    with open_screen(paths, moment) as screen:
        screen.settle()
        image, place = screen.window.view.image, screen.window.result.geometry()
        screen.window.action.emit("theme")
        assert screen.window.view.image == image
        assert screen.window.result.geometry() == place


def test_language_and_zoom_change_by_one_tap(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("haemorrhage", tmp_path)
    with open_screen(paths, moment) as screen:
        screen.settle()
        tap(screen.window.action_button("open:menu"))
        tap(screen.window.action_button("language"))
        assert screen.model.result.headline == ("BLUTUNGS-", "VERDACHT")
        tap(screen.window.action_button("zoom"))
        viewer = screen.controller._viewer
        assert viewer.zoom == 1.5 and screen.model.view.bottom_right[1] == f"×{viewer.scale:.1f}".replace(".", ",")


def test_a_worker_that_dies_while_images_come_is_said_within_three_seconds(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("receiving", tmp_path)
    with open_screen(paths, moment) as screen:
        screen.settle()
        assert screen.model.state is ScreenState.RECEIVING
        beat(paths, moment.monotonic_s + 3.0, work=None)
        screen.later(3.0)
        screen.until(lambda: screen.model.state is ScreenState.AI_STOPPED, "AI STOPPED")
        assert screen.window.view.has_image


@pytest.mark.requirement("R63")
@pytest.mark.parametrize("panel", ["10.1", "12.1", "13.3"])
def test_targets_and_gaps_are_large_enough_for_gloves(panel: str, tmp_path: Path, qapp: object) -> None:
    paths, moment = build("haemorrhage", tmp_path)
    with open_screen(paths, moment, panel=panel) as screen:
        screen.settle()
        window = screen.window
        least, gap = window.panel.px(TARGET_MM) - 1, window.panel.px(TARGET_GAP_MM) - 1
        widgets: list[QWidget] = [*window.buttons, *window.keys.thumbnails]
        boxes = {widget: widget.rect().translated(widget.mapTo(window, QPoint(0, 0))) for widget in widgets}
        for widget, box in boxes.items():
            assert min(box.width(), box.height()) >= least, widget.accessibleName()
            for other, its in boxes.items():
                if other is not widget:
                    grown = box.adjusted(-gap, -gap, gap, gap)
                    assert not grown.intersects(its), f"{widget.accessibleName()} and {other.accessibleName()}"


def test_every_control_has_a_name_for_assistive_technology(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("haemorrhage", tmp_path)
    with open_screen(paths, moment) as screen:
        screen.settle()
        for widget in [*screen.window.buttons, *screen.window.keys.thumbnails, screen.window.view]:
            assert widget.accessibleName()


def test_a_frame_that_is_gone_is_said_and_stops_nothing(tmp_path: Path, qapp: object) -> None:
    paths, moment = build("haemorrhage", tmp_path)
    for path in (tmp_path / "frames").rglob("*.npy"):
        path.unlink()
    with open_screen(paths, moment) as screen:
        screen.settle()
        assert screen.model.state is ScreenState.HAEMORRHAGE
        assert not screen.window.view.has_image


def test_frames_that_come_at_once_and_widen_the_view_are_drawn_together(tmp_path: Path, qapp: object) -> None:
    with open_scene("haemorrhage", tmp_path) as screen:
        study, shows = screen.model.study_uid, []
        keys = [key.sop_uid for key in screen.model.key_slices]
        others = [uid for uid in (f"{study}.3.{n}" for n in range(1, 20)) if uid not in keys][:8]
        before = screen.model.view
        screen.controller.shown.connect(shows.append)
        for number, uid in enumerate(others, start=1):
            hu = np.full((256, 256), -1000, dtype=np.int16)
            hu[128 - 16 * number : 128 + 16 * number, 128 - 16 * number : 128 + 16 * number] = 40
            screen.reader.frame_loaded.emit(Frame(uid, hu))
        screen.until(lambda: screen.model.view != before, "the wider view")
        assert len(shows) <= 2, "the frames together, and perhaps the clock"
