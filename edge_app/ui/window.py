"""The main window: zones that keep their place in every state, filled from one `ScreenModel`."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QColor, QImage, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QWidget

from edge_app.ui.actions import ACTION_SLOTS
from edge_app.ui.bands import BandRow, Footer, InfoLines
from edge_app.ui.cases_panel import CasesPanel
from edge_app.ui.clean_cover import CleanCover
from edge_app.ui.ct_view import CtView
from edge_app.ui.key_slices import KeySliceRow
from edge_app.ui.result_panel import ResultPanel
from edge_app.ui.screen_model import ActionButton, ScreenModel
from edge_app.ui.sheet_panel import SheetPanel
from edge_app.ui.slice_strip import SliceStrip
from edge_app.ui.text import FitText
from edge_app.ui.theme import THEMES, Panel, TextHeight, Theme
from edge_app.ui.top_bands import ClockBand, PatientBand
from edge_app.ui.touch_button import TouchButton
from edge_app.ui.wedge import LineReader
from edge_app.ui.windowing import BUTTON_PRESETS
from edge_app.ui.zones import BANDS_MM, TARGET_GAP_MM, FullZones, Rect, Zones, split_row

__all__ = ["MainWindow"]

_SCROLL_KEYS = {
    Qt.Key.Key_Up: 1,
    Qt.Key.Key_Down: -1,
    Qt.Key.Key_PageUp: 5,
    Qt.Key.Key_PageDown: -5,
    Qt.Key.Key_End: -100_000,
    Qt.Key.Key_Home: 100_000,
}
"""Slices towards the head; Home is the uppermost slice, as the strip has the head at the top (R51)."""

_ACTION_KEYS = {
    Qt.Key.Key_1: "preset:0",
    Qt.Key.Key_2: "preset:1",
    Qt.Key.Key_3: "preset:2",
    Qt.Key.Key_4: "preset:3",
    Qt.Key.Key_5: "preset:4",
    Qt.Key.Key_Z: "zoom",
    Qt.Key.Key_F: "full",
    Qt.Key.Key_H: "heat_map",
    Qt.Key.Key_C: "cases",
    Qt.Key.Key_M: "open:menu",
    Qt.Key.Key_A: "open:about",
    Qt.Key.Key_Escape: "back",
}


class MainWindow(QWidget):
    """Shows models and says what has been tapped; it decides nothing."""

    scrolled = Signal(int)
    slice_chosen = Signal(int)
    key_opened = Signal(str)
    action = Signal(str)
    image_tapped = Signal(float, float)
    case_chosen = Signal(str)
    line_scanned = Signal(str)
    """What a badge or barcode reader typed."""

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self.panel = panel
        self._theme: Theme = THEMES["night"]
        self._full = False
        self._covered = False
        self._has_viewer = True
        self.setWindowTitle("msu-triage")
        self.patient = PatientBand(self, panel)
        self.clocks = ClockBand(self, panel)
        body, least = panel.px(TextHeight.BODY_MM), panel.px(TextHeight.LEAST_MM)

        def button() -> TouchButton:
            return TouchButton(self, cap_px=body, least_px=least)

        self.lkw, self.confirm = button(), button()
        self.bands = BandRow(self, panel)
        self.result = ResultPanel(self, panel)
        self.view = CtView(self, panel)
        self.strip = SliceStrip(self, panel)
        self.keys = KeySliceRow(self, panel)
        self.presets = [button() for _ in BUTTON_PRESETS]
        self.heat_map = button()
        self.leave_full = button()
        self.info = InfoLines(self, panel)
        self.slots = [button() for _ in range(ACTION_SLOTS)]
        self.footer = Footer(self, panel)
        self.cases = CasesPanel(self, panel)
        self.sheet = SheetPanel(self, panel)
        self.clean = CleanCover(self, panel)
        for cover in (self.cases, self.sheet, self.clean):
            cover.hide()
        self._shown_actions: dict[TouchButton, str] = {}
        self._shown_case: tuple[str | None, int] = None, 0
        self._waits_for_line = False
        self._lines = LineReader(self, lambda: self._waits_for_line)
        self._connect()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # keys scroll at once; Tab goes to the buttons
        self.setFocus()
        self.resize(panel.width_px, panel.height_px)

    def _connect(self) -> None:
        self.view.scrolled.connect(self.scrolled)
        self.view.tapped.connect(self.image_tapped)
        self.result.tapped.connect(lambda: self.action.emit("open:about"))
        self.strip.stepped.connect(self.scrolled)
        self.strip.chosen.connect(self.slice_chosen)
        self.keys.opened.connect(self.key_opened)
        for number, preset in enumerate(self.presets):
            preset.tapped.connect(partial(self.action.emit, f"preset:{number}"))
        self.leave_full.tapped.connect(lambda: self.action.emit("full"))
        for button in (*self.slots, self.lkw, self.confirm, self.heat_map):
            button.tapped.connect(partial(self._on_button, button))
        self.sheet.action.connect(self.action)
        self._lines.line.connect(self.line_scanned)
        if (application := QApplication.instance()) is not None:
            application.installEventFilter(self._lines)
        self.cases.closed.connect(self.hide_cases)
        self.cases.chosen.connect(self._on_case)

    def _on_button(self, button: TouchButton) -> None:
        action = self._shown_actions.get(button, "")
        if action:
            self.action.emit(action)

    def _on_case(self, study_uid: str) -> None:
        self.hide_cases()
        self.case_chosen.emit(study_uid)

    def toggle_cases(self) -> None:
        """Open the case list at its newest page, or close it."""
        self.cases.open_first_page()
        self.cases.setVisible(not self.cases.isVisible())
        self._stack()

    def hide_cases(self) -> None:
        """Close the case list."""
        self.cases.hide()
        self._stack()

    def action_button(self, action: str) -> TouchButton:
        """Return the button that says an action now (for tests)."""
        on_sheet = {name: self.sheet.button(name) for name in self.sheet.offered} if self.sheet.isVisible() else {}
        here = {said: button for button, said in self._shown_actions.items() if button.isVisible()}
        return {**here, **on_sheet}[action]

    @property
    def texts(self) -> list[FitText]:
        """Return all words that a person can see now (for the layout audit)."""
        if self.clean.isVisible():
            return [*self.clean.texts, *self.footer.texts]
        shown = [*self.patient.texts, *self.clocks.texts, *self.footer.texts]
        shown += [words for label in self.bands.labels if label.isVisible() for words in label.texts]
        if self.cases.isVisible():
            return [*shown, *self.info.texts, *self.cases.texts]
        if self.sheet.isVisible():
            return [*shown, *self.info.texts, *self.sheet.texts]
        info = [] if self._full else self.info.texts
        return [*shown, *info, *self.strip.texts, *self.result.texts]

    @property
    def buttons(self) -> list[TouchButton]:
        """Return all buttons with words that a person can see now (for the layout audit)."""
        if self.clean.isVisible():
            return []
        every = [*self.presets, *self.slots, self.strip.up, self.strip.down, self.lkw, self.confirm, self.heat_map]
        every += [self.cases.newer, self.cases.older, self.cases.close_button, *self.sheet.buttons, self.leave_full]
        return [button for button in every if button.isVisible()]

    def show_model(self, model: ScreenModel, theme: Theme) -> None:
        """Show one moment; what has not changed is not painted again."""
        if theme != self._theme:
            self._theme = theme
            self.update()
        if (model.study_uid, model.revision) != self._shown_case:
            self._shown_case = model.study_uid, model.revision
            for touched in (*self._shown_actions, *self.sheet.buttons):
                touched.let_go()
        rows = self.bands.rows
        self.bands.show_bands(model.bands, theme)
        if (model.full, self.bands.rows) != (self._full, rows):
            self._full = model.full
            self._place()
        patient = model.patient
        room = self._room() if patient.confirm.action or patient.lkw.action else self.width()
        self.patient.show_patient(patient, theme, room)
        warning = patient.previous or patient.warning
        self.clocks.show_clocks(model.clocks, model.window, warning, theme, room, old=bool(patient.previous))
        self.result.show_result(model.result, model.look, theme.fills[model.look.role])
        self.strip.show_bars(model.strip, model.strip_index, model.strip_ends, model.thresholds, theme)
        self._has_viewer = bool(model.presets)
        for button, preset in zip(self.presets, model.presets, strict=self._has_viewer):
            button.show_words(f"{preset.name}\n{preset.numbers}", theme, active=preset.active)
        self.leave_full.show_words(model.cases_texts.close, theme)
        self.info.show_lines(model.alerts, self.result.note_elsewhere, model.info, theme)
        slots = zip(self.slots, model.actions, strict=True)
        for button, action in (*slots, (self.lkw, patient.lkw), (self.confirm, patient.confirm)):
            self._show_action(button, action, theme)
        self._show_action(self.heat_map, model.heat_map, theme)
        self.footer.show_footer(model.footer, model.status, theme)
        self.cases.show_cases(model.cases, model.cases_texts, theme)
        self.sheet.show_sheet(model.sheet, theme)
        self.clean.show_words(model.clean, theme)
        sheet = model.sheet.name if model.sheet else ""
        self._waits_for_line = model.locked or sheet in ("pin", "confirm")
        self._stack()

    def _show_action(self, button: TouchButton, action: ActionButton, theme: Theme) -> None:
        if self._shown_actions.get(button) != action.action:
            button.let_go()
        self._shown_actions[button] = action.action
        button.show_words(action.label, theme, active=action.lit)

    def _stack(self) -> None:
        """Hide what a sheet covers, so that no key reaches it; bands that cannot be hidden stay on top."""
        covered = self.cases.isVisible() or self.sheet.isVisible()
        if covered != self._covered:
            self._covered = covered
            self.bands.set_wide(covered)
            self._place()
        for widget in (self.result, self.view):
            widget.setVisible(not covered)
        for control in (self.strip, *self.presets):
            control.setVisible(not covered and self._has_viewer)
        self.keys.setVisible(not covered and not self._full)
        self.info.setVisible(covered or not self._full)
        self.leave_full.setVisible(self._full and not covered)
        for button, action in self._shown_actions.items():
            button.setVisible(bool(action))
        for button in self.slots:
            button.setVisible(bool(self._shown_actions.get(button)) and (covered or not self._full))
        self.heat_map.setVisible(bool(self._shown_actions.get(self.heat_map)) and not covered)
        self.bands.raise_()
        if self.clean.isVisible():
            self.clean.raise_()

    def show_thumbnails(self, model: ScreenModel, images: dict[str, QImage], theme: Theme) -> None:
        """Show the key slices with the images that are loaded."""
        self.keys.show_keys(model.key_slices, images, model.key_label, theme)

    def _room(self) -> int:
        """Return the width that the buttons leave to the top bands."""
        return Zones.of(self.width(), self.height(), self.panel).top_buttons.x

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place the zones."""
        self._place()

    def _place(self) -> None:
        zones = Zones.of(self.width(), self.height(), self.panel)
        gap = self.panel.px(TARGET_GAP_MM)
        full = FullZones.of(self.width(), self.height(), self.panel)
        bands, result = (full.bands, full.result) if self._full else (zones.bands, zones.result)
        more = (self.bands.rows - 1) * (self.panel.px(BANDS_MM) + self.panel.px(1.0))
        if self._covered:  # the whole width, so that they leave the sheet its title
            bands = Rect(zones.cases.x, zones.cases.y, zones.cases.width, zones.bands.height)
        _put(self.bands, Rect(bands.x, bands.y, bands.width, bands.height + more))
        self.bands.arrange()
        _put(self.result, Rect(result.x, result.y + more, result.width, result.height - more))
        for widget, zone in (
            (self.patient, zones.patient),
            (self.clocks, zones.clocks),
            (self.view, full.view if self._full else zones.view),
            (self.strip, full.strip if self._full else zones.strip),
            (self.keys, zones.keys),
            (self.info, zones.info),
            (self.footer, zones.footer),
            (self.cases, zones.cases),
            (self.sheet, zones.cases),
        ):
            _put(widget, zone)
        self.clean.setGeometry(self.rect().adjusted(0, 0, 0, -self.footer.height()))
        for button, place in zip((self.lkw, self.confirm), split_row(zones.top_buttons, 2, gap), strict=True):
            _put(button, place)
        places = full.preset_places(self.panel) if self._full else split_row(zones.presets, len(self.presets) + 1, gap)
        for button, place in zip((*self.presets, self.heat_map, self.leave_full), places, strict=False):
            _put(button, place)
        for button, place in zip(self.slots, split_row(zones.actions, len(self.slots), gap), strict=True):
            _put(button, place)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the ground."""
        QPainter(self).fillRect(self.rect(), QColor(self._theme.ground))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Let go of the application's events."""
        if (application := QApplication.instance()) is not None:
            application.removeEventFilter(self._lines)
        super().closeEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Scroll, choose windows and act by keyboard; a dial's left and right go from button to button (R50, R85)."""
        key = Qt.Key(event.key())
        if self.clean.isVisible():
            return
        if key in _SCROLL_KEYS:
            self.scrolled.emit(_SCROLL_KEYS[key])
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.focusNextPrevChild(key == Qt.Key.Key_Right)
        elif key in _ACTION_KEYS:
            self.action.emit(_ACTION_KEYS[key])
        else:
            super().keyPressEvent(event)


def _put(widget: QWidget, place: Rect) -> None:
    widget.setGeometry(place.x, place.y, place.width, place.height)
