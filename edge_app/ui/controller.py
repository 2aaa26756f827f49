"""Joins store, viewer, presenter and window on the GUI thread: the one place where the screen's state changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QImage

from edge_app.store.ledger import FrameRow
from edge_app.ui.ct_view import grey_image
from edge_app.ui.presenter import Moment, present
from edge_app.ui.reader import Frame, StoreReader
from edge_app.ui.screen_model import ScreenModel
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.strings import LANGUAGES
from edge_app.ui.theme import THEMES
from edge_app.ui.viewer import ViewerModel
from edge_app.ui.window import MainWindow
from edge_app.ui.windowing import Preset, crop_to_body

__all__ = ["Controller"]

_TICK_MS = 250
_BEAT_TICKS = 4


class Controller(QObject):
    """Takes snapshots, frames and taps; shows the model that follows from them.

    `shown` is emitted after each model has been handed to the window.
    """

    shown = Signal(object)

    def __init__(
        self,
        window: MainWindow,
        reader: StoreReader,
        now: Callable[[], Moment],
        *,
        theme: str,
        language: str,
        ischaemia_validated: bool,
    ) -> None:
        super().__init__()
        self._window, self._reader, self._now = window, reader, now
        self._theme, self._language = THEMES[theme], language
        self._ischaemia_validated = ischaemia_validated
        self._snapshot: Snapshot | None = None
        self._viewer = ViewerModel()
        self._chosen_uid: str | None = None
        self._newest_uid: str | None = None
        self._frames: dict[str, NDArray[np.int16] | None] = {}
        self._thumbnails: dict[tuple[str, Preset], QImage] = {}
        self._asked: tuple[tuple[str, str], ...] = ()
        self._ticks = 0
        self._model: ScreenModel | None = None
        reader.snapshot_read.connect(self._on_snapshot, Qt.ConnectionType.QueuedConnection)
        reader.frame_loaded.connect(self._on_frame, Qt.ConnectionType.QueuedConnection)
        window.scrolled.connect(lambda by: self._look(self._viewer.scroll(by)))
        window.slice_chosen.connect(lambda number: self._look(self._viewer.go_to(number)))
        window.key_opened.connect(lambda uid: self._look(self._viewer.jump(uid)))
        window.preset_chosen.connect(lambda number: self._look(self._viewer.with_preset(number)))
        window.action.connect(self._on_action)
        window.case_chosen.connect(self._choose)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(_TICK_MS)

    @property
    def model(self) -> ScreenModel | None:
        """Return what is on the screen."""
        return self._model

    @property
    def snapshot(self) -> Snapshot | None:
        """Return the last snapshot."""
        return self._snapshot

    @property
    def images_loaded(self) -> bool:
        """Return whether the slice in view and all key slices that can be shown are on the screen."""
        if self._snapshot is None or self._model is None:
            return False
        if self._viewer.current is None:
            return not self._snapshot.frames
        needed = {self._viewer.current, *(key.sop_uid for key in self._model.key_slices)}
        loadable = {frame.sop_uid for frame in self._snapshot.frames if frame.path}
        return all(uid in self._frames for uid in needed & loadable)

    def stop(self) -> None:
        """Stop the timer; nothing is shown any more."""
        self._timer.stop()

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks % _BEAT_TICKS == 0:
            self._window.footer.beat()
            self._reader.beat()
        self._show()

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        newest = snapshot.current.study_uid if snapshot.current else None
        if newest != self._newest_uid:
            # R47: another study takes the screen at once, whatever was being looked at.
            self._newest_uid = newest
            self._window.cases.hide()
            self._choose_quietly(None)
        self._snapshot = snapshot
        study = snapshot.find(self._chosen_uid) or snapshot.current
        if study is not None and snapshot.frames_of == study.study_uid:
            self._take_slices(study, snapshot.frames)
        elif study is None or study.study_uid != self._viewer.study_uid:
            self._viewer = self._viewer.show(study.study_uid if study else None, ())
            self._forget_frames()
        self._show()

    def _take_slices(self, study: StudyView, frames: tuple[FrameRow, ...]) -> None:
        if study.study_uid != self._viewer.study_uid:
            self._forget_frames()
        series = _series_of(study, frames)
        slices = tuple(frame.sop_uid for frame in frames if frame.series_uid == series)
        first = study.result.key_slices[0] if study.result and study.result.key_slices else ""
        # A revision opens anew: its key slices may be others.
        self._viewer = self._viewer.show(study.study_uid, slices, first)
        self._request_frames(frames)

    def _request_frames(self, frames: tuple[FrameRow, ...]) -> None:
        """Ask for what is not loaded yet: the slice in view first, then the key slices, then its neighbours."""
        paths = {frame.sop_uid: frame.path for frame in frames}
        keys = [key.sop_uid for key in self._model.key_slices] if self._model else []
        index, slices = self._viewer.index, self._viewer.slices
        near = sorted(range(len(slices)), key=lambda number: abs(number - index))
        order = dict.fromkeys([*slices[index : index + 1], *keys, *(slices[number] for number in near)])
        wanted = tuple((uid, path) for uid in order if uid not in self._frames and (path := paths.get(uid)))
        if wanted != self._asked:
            self._asked = wanted
            self._reader.load(wanted)

    def _on_frame(self, frame: Frame) -> None:
        self._asked = tuple(pair for pair in self._asked if pair[0] != frame.sop_uid)
        if frame.sop_uid in self._viewer.slices:
            self._frames[frame.sop_uid] = frame.hu
            keys = {key.sop_uid for key in self._model.key_slices} if self._model else set()
            if frame.sop_uid in keys or frame.sop_uid == self._viewer.current:
                self._show()

    def _forget_frames(self) -> None:
        self._frames.clear()
        self._thumbnails.clear()
        self._asked = ()

    def _look(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        if self._snapshot is not None:
            self._request_frames(self._snapshot.frames)
        self._show()

    def _on_action(self, name: str) -> None:
        if name == "theme":
            self._theme = THEMES["day" if self._theme.name == "night" else "night"]
        elif name == "language":
            self._language = LANGUAGES[(LANGUAGES.index(self._language) + 1) % len(LANGUAGES)]
        elif name == "zoom":
            self._viewer = self._viewer.next_zoom()
        elif name == "current":
            self._choose("")
            return
        self._show()

    def _choose(self, study_uid: str) -> None:
        self._choose_quietly(study_uid if study_uid != self._newest_uid else None)
        self._show()

    def _choose_quietly(self, study_uid: str | None) -> None:
        self._chosen_uid = study_uid or None
        self._reader.show_study(self._chosen_uid)

    def _show(self) -> None:
        if self._snapshot is None:
            return
        viewer = self._viewer
        study = self._snapshot.find(self._chosen_uid) or self._snapshot.current
        if study is not None and study.study_uid != viewer.study_uid:
            # The frames of a case just chosen have not come yet: no image of another patient beside its name.
            viewer = replace(viewer, study_uid=study.study_uid, slices=(), index=0)
        model = present(
            self._snapshot,
            viewer,
            self._language,
            self._now(),
            shown_uid=self._chosen_uid,
            ischaemia_validated=self._ischaemia_validated,
        )
        fresh_keys = self._model is None or model.key_slices != self._model.key_slices
        self._model = model
        self._window.show_model(model, self._theme)
        self._show_image(model, viewer)
        self._window.show_thumbnails(model, self._thumbnails_of(model), self._theme)
        if fresh_keys and study is not None and self._snapshot.frames_of == study.study_uid:
            self._request_frames(self._snapshot.frames)
        self.shown.emit(model)

    def _show_image(self, model: ScreenModel, viewer: ViewerModel) -> None:
        frames = self._snapshot.frames if self._snapshot else ()
        frame = next((frame for frame in frames if frame.sop_uid == viewer.current), None)
        spacing = (1.0, 1.0)
        if frame is not None and frame.row_spacing_mm and frame.column_spacing_mm:
            spacing = (frame.row_spacing_mm, frame.column_spacing_mm)
        hu = self._frames.get(viewer.current) if viewer.current else None
        self._window.view.show_slice(hu, spacing, viewer.preset, viewer.zoom, model.view)

    def _thumbnails_of(self, model: ScreenModel) -> dict[str, QImage]:
        images = {}
        for key in model.key_slices:
            hu = self._frames.get(key.sop_uid)
            if hu is None:
                continue
            name = (key.sop_uid, self._viewer.preset)
            if name not in self._thumbnails:
                self._thumbnails[name] = grey_image(crop_to_body(hu), self._viewer.preset)
            images[key.sop_uid] = self._thumbnails[name]
        return images


def _series_of(study: StudyView, frames: tuple[FrameRow, ...]) -> str | None:
    """Return the series to view: the analysed one, else the one being counted, else the longest."""
    present_series = [frame.series_uid for frame in frames]
    for series in (study.result.series_uid if study.result else None, study.progress.get("series_uid")):
        if series in present_series:
            return str(series)
    return max(sorted(set(present_series)), key=present_series.count) if present_series else None
