"""The main window: eight zones that keep their place in every state, filled from one `ScreenModel`."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from edge_app.ui.bands import BandRow, ClockBand, Footer, InfoLines, PatientBand
from edge_app.ui.cases_panel import CasesPanel
from edge_app.ui.ct_view import CtView
from edge_app.ui.key_slices import KeySliceRow
from edge_app.ui.result_panel import ResultPanel
from edge_app.ui.screen_model import ScreenModel
from edge_app.ui.slice_strip import SliceStrip
from edge_app.ui.text import FitText
from edge_app.ui.theme import THEMES, Panel, TextHeight, Theme
from edge_app.ui.touch_button import TouchButton
from edge_app.ui.windowing import PRESETS
from edge_app.ui.zones import TARGET_GAP_MM, Rect, Zones, split_row

__all__ = ["ACTIONS", "MainWindow"]

ACTIONS = ("current", "cases", "zoom", "theme", "language")
"""The buttons of zone 7, from the left; `current` is there only while a previous case is shown."""

_SCROLL_KEYS = {
    Qt.Key.Key_Up: 1,
    Qt.Key.Key_Down: -1,
    Qt.Key.Key_PageUp: 5,
    Qt.Key.Key_PageDown: -5,
    Qt.Key.Key_End: -100_000,
    Qt.Key.Key_Home: 100_000,
}
"""Slices towards the head; Home is the uppermost slice, as the strip has the head at the top (R51)."""

_PRESET_KEYS = {Qt.Key.Key_1: 0, Qt.Key.Key_2: 1, Qt.Key.Key_3: 2, Qt.Key.Key_4: 3}


class MainWindow(QWidget):
    """Shows models and says what has been tapped; it decides nothing."""

    scrolled = Signal(int)
    slice_chosen = Signal(int)
    key_opened = Signal(str)
    preset_chosen = Signal(int)
    action = Signal(str)
    case_chosen = Signal(str)

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self.panel = panel
        self._theme: Theme = THEMES["night"]
        self.setWindowTitle("msu-triage")
        self.patient = PatientBand(self, panel)
        self.clocks = ClockBand(self, panel)
        self.bands = BandRow(self, panel)
        self.result = ResultPanel(self, panel)
        self.view = CtView(self, panel)
        self.strip = SliceStrip(self, panel)
        self.keys = KeySliceRow(self, panel)
        body, least = panel.px(TextHeight.BODY_MM), panel.px(TextHeight.LEAST_MM)
        self.presets = [TouchButton(self, cap_px=body, least_px=least) for _ in PRESETS]
        self.info = InfoLines(self, panel)
        self.action_buttons = {name: TouchButton(self, cap_px=body, least_px=least) for name in ACTIONS}
        self.footer = Footer(self, panel)
        self.cases = CasesPanel(self, panel)
        self.cases.hide()
        self._connect()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # keys scroll at once; Tab goes to the buttons
        self.setFocus()
        self.resize(panel.width_px, panel.height_px)

    def _connect(self) -> None:
        self.view.scrolled.connect(self.scrolled)
        self.strip.stepped.connect(self.scrolled)
        self.strip.chosen.connect(self.slice_chosen)
        self.keys.opened.connect(self.key_opened)
        for number, button in enumerate(self.presets):
            button.tapped.connect(lambda chosen=number: self.preset_chosen.emit(chosen))
        for name, button in self.action_buttons.items():
            button.tapped.connect(lambda tapped=name: self._on_action(tapped))
        self.cases.closed.connect(self.cases.hide)
        self.cases.chosen.connect(self._on_case)

    def _on_action(self, name: str) -> None:
        if name == "cases":
            self.cases.open_first_page()
            self.cases.setVisible(not self.cases.isVisible())
            self.cases.raise_()
            self.bands.raise_()
        else:
            self.action.emit(name)

    def _on_case(self, study_uid: str) -> None:
        self.cases.hide()
        self.case_chosen.emit(study_uid)

    @property
    def texts(self) -> list[FitText]:
        """Return all words that a person can see now (for the layout audit)."""
        shown = [*self.patient.texts, *self.clocks.texts, *self.info.texts, *self.footer.texts, *self.strip.texts]
        shown += [words for label in self.bands.labels if label.isVisible() for words in label.texts]
        return [*shown, *self.result.texts, *(self.cases.texts if self.cases.isVisible() else [])]

    @property
    def buttons(self) -> list[TouchButton]:
        """Return all buttons with words that a person can see now (for the layout audit)."""
        every = [*self.presets, *self.action_buttons.values(), self.strip.up, self.strip.down]
        every += [self.cases.newer, self.cases.older, self.cases.close_button]
        return [button for button in every if button.isVisible()]

    def show_model(self, model: ScreenModel, theme: Theme) -> None:
        """Show one moment; what has not changed is not painted again."""
        if theme != self._theme:
            self._theme = theme
            self.update()
        self.patient.show_patient(model.patient, theme)
        self.clocks.show_clocks(model.clocks, model.patient.previous, theme)
        self.bands.show_bands(model.bands, theme)
        self.result.show_result(model.result, model.look, theme.fills[model.look.role])
        self.strip.show_bars(model.strip, model.strip_index, model.strip_ends, theme)
        for button, preset in zip(self.presets, model.presets, strict=True):
            button.show_words(f"{preset.name}\n{preset.numbers}", theme, active=preset.active)
        self.info.show_lines(self.result.note_elsewhere, model.info, theme)
        words = model.actions
        for name, text in (
            ("current", words.current.replace(" ", "\n")),
            ("cases", words.cases),
            ("zoom", words.zoom),
            ("theme", words.theme.replace("/", "/\n")),
            ("language", words.language),
        ):
            self.action_buttons[name].show_words(text, theme, active=name == "current")
        self.action_buttons["current"].setVisible(bool(words.current))
        self.footer.show_footer(model.footer, model.status, theme)
        self.cases.show_cases(model.cases, words, theme)

    def show_thumbnails(self, model: ScreenModel, images: dict[str, QImage], theme: Theme) -> None:
        """Show the key slices with the images that are loaded."""
        self.keys.show_keys(model.key_slices, images, model.key_label, theme)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place the zones."""
        zones = Zones.of(self.width(), self.height(), self.panel)
        for widget, zone in (
            (self.patient, zones.patient),
            (self.clocks, zones.clocks),
            (self.bands, zones.bands),
            (self.result, zones.result),
            (self.view, zones.view),
            (self.strip, zones.strip),
            (self.keys, zones.keys),
            (self.info, zones.info),
            (self.footer, zones.footer),
            (self.cases, zones.cases),
        ):
            _put(widget, zone)
        gap = self.panel.px(TARGET_GAP_MM)
        for button, place in zip(self.presets, split_row(zones.presets, len(self.presets), gap), strict=True):
            _put(button, place)
        places = split_row(zones.actions, len(ACTIONS), gap)
        for button, place in zip(self.action_buttons.values(), places, strict=True):
            _put(button, place)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the ground."""
        QPainter(self).fillRect(self.rect(), QColor(self._theme.ground))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Scroll, choose windows and zoom by keyboard (R50, R51)."""
        key = Qt.Key(event.key())
        if key in _SCROLL_KEYS:
            self.scrolled.emit(_SCROLL_KEYS[key])
        elif key in _PRESET_KEYS:
            self.preset_chosen.emit(_PRESET_KEYS[key])
        elif key == Qt.Key.Key_Z:
            self.action.emit("zoom")
        elif key == Qt.Key.Key_C:
            self._on_action("cases")
        elif key == Qt.Key.Key_Escape:
            self.cases.hide()
        else:
            super().keyPressEvent(event)


def _put(widget: QWidget, place: Rect) -> None:
    widget.setGeometry(place.x, place.y, place.width, place.height)
