"""Joins store, viewer, desk, presenter and window on the GUI thread: the one place where the screen's state changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from edge_app.core.config import ScreenSettings
from edge_app.store.ledger import FrameRow
from edge_app.store.paths import StorePaths
from edge_app.ui.card_pdf import card_pdf
from edge_app.ui.desk import Desk, Entry, Step, desk_from
from edge_app.ui.facts import Moment
from edge_app.ui.frames import FrameStore, series_of
from edge_app.ui.hand_over import card
from edge_app.ui.heat import HeatMap
from edge_app.ui.presenter import awaited, is_locked, present, shown_study
from edge_app.ui.reader import Frame, StoreReader
from edge_app.ui.result_texts import named_finding
from edge_app.ui.review import Review, review_of
from edge_app.ui.rules import case_state, state_of
from edge_app.ui.screen_model import ScreenModel
from edge_app.ui.snapshot import Snapshot, StudyView
from edge_app.ui.states import ScreenState
from edge_app.ui.taps import for_the_next, scan, tap, tick
from edge_app.ui.theme import THEMES
from edge_app.ui.viewer import ViewerModel
from edge_app.ui.window import MainWindow
from edge_app.ui.windowing import body_box

__all__ = ["Controller"]

_TICK_MS = 250
_BEAT_TICKS = 4
_SOON_MS = 50
"""So long the view waits for more frames that show where the body lies, before it is drawn anew."""


class Controller(QObject):
    """Takes snapshots, frames and taps; shows the model that follows from them.

    `shown` is emitted after each model has been handed to the window.
    """

    shown = Signal(object)

    def __init__(
        self,
        window: MainWindow,
        reader: StoreReader,
        paths: StorePaths,
        now: Callable[[], Moment],
        *,
        site: ScreenSettings,
        ischaemia_validated: bool,
    ) -> None:
        super().__init__()
        self._window, self._reader, self._paths, self._now = window, reader, paths, now
        self._site, self._ischaemia_validated = site, ischaemia_validated
        self._desk: Desk | None = None
        self._snapshot: Snapshot | None = None
        self._viewer = ViewerModel()
        self._review = Review()
        self._reviewed: tuple[str, int] | None = None
        self._chosen_uid: str | None = None
        self._newest_uid: str | None = None
        self._frames = FrameStore(reader)
        self._ticks = 0
        self._model: ScreenModel | None = None
        reader.snapshot_read.connect(self._on_snapshot, Qt.ConnectionType.QueuedConnection)
        reader.frame_loaded.connect(self._on_frame, Qt.ConnectionType.QueuedConnection)
        reader.heat_maps_loaded.connect(self._on_heat_maps, Qt.ConnectionType.QueuedConnection)
        window.scrolled.connect(lambda by: self._look(self._viewer.scroll(by)))
        window.slice_chosen.connect(lambda number: self._look(self._viewer.go_to(number)))
        window.key_opened.connect(lambda uid: self._look(self._viewer.jump(uid)))
        window.action.connect(self._on_action)
        window.image_tapped.connect(self._on_image_tapped)
        window.case_chosen.connect(self._choose)
        window.line_scanned.connect(self._on_line)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(_TICK_MS)
        self._stopped = False
        self._soon = QTimer(self, singleShot=True, interval=_SOON_MS)
        self._soon.timeout.connect(self._show)

    @property
    def model(self) -> ScreenModel | None:
        """Return what is on the screen."""
        return self._model

    @property
    def desk(self) -> Desk | None:
        """Return the screen's own state; None before the store has been read."""
        return self._desk

    @property
    def images_loaded(self) -> bool:
        """Return whether the slice in view and all key slices that can be shown are on the screen."""
        if self._snapshot is None or self._model is None:
            return False
        study = self._study
        if study is None:
            return True
        if self._snapshot.frames_of != study.study_uid or self._viewer.study_uid != study.study_uid:
            return False
        if self._viewer.current is None:
            return not self._snapshot.frames
        needed = {self._viewer.current, *(key.sop_uid for key in self._model.key_slices)}
        loadable = {frame.sop_uid for frame in self._snapshot.frames if frame.path}
        return all(uid in self._frames for uid in needed & loadable)

    @property
    def _study(self) -> StudyView | None:
        if self._snapshot is None or self._desk is None:
            return None
        return shown_study(self._snapshot, self._chosen_uid, self._desk, self._now())

    @property
    def _locked(self) -> bool:
        if self._snapshot is None or self._desk is None:
            return False
        return is_locked(self._snapshot, self._desk, self._now())

    def stop(self) -> None:
        """Stop the timers; nothing is shown any more, not even what the reader has already sent."""
        self._stopped = True
        self._timer.stop()
        self._soon.stop()

    # What time and store bring ------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks % _BEAT_TICKS == 0:
            self._window.footer.beat()
            self._reader.beat()
        if self._desk is not None and self._snapshot is not None:
            self._take(tick(self._desk, self._snapshot.current, self._now(), self._site))
        self._show()
        self._watch()

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        if self._desk is None:
            self._desk = desk_from(snapshot.desk, self._site)
        self._take(tick(self._desk, snapshot.current, self._now(), self._site))  # a new case unlocks at once
        newest = snapshot.current.study_uid if snapshot.current else None
        if newest != self._newest_uid:
            # R47: another study takes the screen at once, whatever was being looked at or entered.
            self._newest_uid = newest
            self._window.hide_cases()
            self._desk = for_the_next(self._desk)
            self._choose_quietly(None)
        self._snapshot = snapshot
        study = self._study
        if study is not None and snapshot.frames_of == study.study_uid:
            self._take_slices(study, snapshot.frames)
        elif study is None or study.study_uid != self._viewer.study_uid:
            self._viewer = self._viewer.show(study.study_uid if study else None, ())
            self._frames.forget()
        self._show()

    def _take_slices(self, study: StudyView, frames: tuple[FrameRow, ...]) -> None:
        if study.study_uid != self._viewer.study_uid:
            self._frames.forget()
        series = series_of(study, frames)
        slices = tuple(frame.sop_uid for frame in frames if frame.series_uid == series)
        first = study.result.key_slices[0] if study.result and study.result.key_slices else ""
        state = case_state(study, self._now().monotonic_s, read_first=self._site.read_first)
        if state is ScreenState.READ_FIRST:
            first = ""  # where the AI would look is part of what it says (R35)
        # A revision opens anew: its key slices may be others.
        self._viewer = self._viewer.show(study.study_uid, slices, first)
        self._request_frames()

    def _on_frame(self, frame: Frame) -> None:
        if not self._frames.take(frame, self._viewer):
            return
        before, self._viewer = self._viewer, self._viewer.with_body(None if frame.hu is None else body_box(frame.hu))
        if frame.sop_uid == self._viewer.current or (self._model and frame.sop_uid in _keys(self._model)):
            self._show()
        elif (before.scale, before.focus) != (self._viewer.scale, self._viewer.focus) and not self._soon.isActive():
            self._soon.start()

    def _on_heat_maps(self, maps: Mapping[str, HeatMap]) -> None:
        self._frames.take_heat(maps)
        self._show()

    def _request_frames(self) -> None:
        if self._snapshot is not None:
            keys = [key.sop_uid for key in self._model.key_slices] if self._model else []
            self._frames.request(self._snapshot.frames, self._viewer, keys)

    def _watch(self) -> None:
        """Note which images are being looked at (R34)."""
        study, model = self._study, self._model
        in_view = self._window.view.isVisible() and self._window.view.has_image
        if study is None or model is None or study.result is None:
            return
        before = self._review.seen
        self._review = self._review.look(
            study.study_uid, self._viewer.current if in_view else None, self._now().monotonic_s
        )
        keys = study.result.key_slices[:5]
        fresh = (self._review.seen - before - study.seen).intersection(keys)
        role = self._desk.role if self._desk else ""
        entries = [Entry(study.study_uid, "seen", {"sop_uid": uid}) for uid in sorted(fresh)]
        how = self._review.how(keys, study.seen, self._viewer.slices)
        about = study.study_uid, study.result.revision
        if how and review_of(study) is None and about != self._reviewed:
            self._reviewed = about
            entries.append(Entry(study.study_uid, "reviewed", {"how": how, "by": role, "revision": about[1]}))
        if entries:
            self._reader.keep(entries)

    # What the crew does -------------------------------------------------------------------------------------------

    def _look(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._request_frames()
        self._show()

    def _on_action(self, action: str) -> None:
        name, _, value = action.partition(":")
        if self._desk is None or self._snapshot is None:
            return
        if name in _OF_THE_VIEW and self._locked:
            return
        if name in _OF_THE_VIEW:
            # A sheet closes, so that what was chosen on it can be seen.
            self._take(tap(self._desk, "back", self._study, self._now(), self._site))
        if name == "cases":
            self._window.toggle_cases()
        elif name == "current":
            self._choose("")
            return
        elif name == "zoom":
            self._viewer = self._viewer.next_zoom()
        elif name == "preset":
            self._viewer = self._viewer.with_preset(int(value))
        else:
            self._window.hide_cases()
            study, now = self._study, self._now()
            waiting = None if study else awaited(self._snapshot, self._desk, now)
            step = tap(self._desk, action, study, now, self._site, awaited=waiting)
            if step.save_card:  # its entry says that it was saved: the reader keeps it once that is so
                self._save_card(step.entries)
                step = replace(step, entries=())
            self._take(step)
        self._show()

    def _on_image_tapped(self, x: float, y: float) -> None:
        """Make the image large; one that is zoomed moves what was tapped to its middle."""
        if self._viewer.zoom > 1:
            self._look(self._viewer.look_at(x, y))
        else:
            self._on_action("full")

    def _on_line(self, line: str) -> None:
        if self._desk is not None:
            self._take(scan(self._desk, line, self._study, self._now(), self._site))
            self._show()

    def _take(self, step: Step) -> None:
        self._desk = step.desk
        if step.entries:
            self._reader.keep(step.entries)

    def _save_card(self, entries: Sequence[Entry]) -> None:
        study = self._study
        if study is not None and self._snapshot is not None and self._desk is not None:
            now, hidden = self._now(), self._desk.curtain
            state = state_of(self._snapshot, study, now, read_first=self._site.read_first)
            whole = card(self._snapshot, study, self._desk.language, now, state, hidden=hidden)
            marks = tuple(band.text for band in self._present(self._snapshot, self._desk, self._viewer).bands)
            revision = study.result.revision if study.result else 0
            path = self._paths.hand_over(study.study_uid, revision)
            self._reader.save(path, card_pdf(replace(whole, marks=marks)), entries)

    def _choose(self, study_uid: str) -> None:
        self._choose_quietly(study_uid if study_uid != self._newest_uid else None)
        self._show()

    def _choose_quietly(self, study_uid: str | None) -> None:
        self._chosen_uid = study_uid or None
        self._reader.show_study(self._chosen_uid)

    # What is shown ------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if self._stopped or self._snapshot is None or self._desk is None:
            return
        self._soon.stop()
        viewer, study = self._viewer, self._study
        shown_uid = study.study_uid if study else None
        if shown_uid != viewer.study_uid:
            # The frames of a case just chosen have not come yet: no image of another patient beside its name.
            viewer = replace(viewer, study_uid=shown_uid, slices=(), index=0)
        model = self._present(self._snapshot, self._desk, viewer)
        before, self._model = self._model, model
        theme = THEMES[self._desk.shown_theme]
        self._window.show_model(model, theme)
        self._show_image(model, viewer)
        images = self._frames.thumbnails((key.sop_uid for key in model.key_slices), viewer.preset)
        self._window.show_thumbnails(model, images, theme)
        fresh_keys = before is None or _keys(before) != _keys(model)
        if fresh_keys and study is not None and self._snapshot.frames_of == study.study_uid:
            self._request_frames()
        self.shown.emit(model)

    def _present(self, snapshot: Snapshot, desk: Desk, viewer: ViewerModel) -> ScreenModel:
        return present(
            snapshot,
            viewer,
            desk,
            self._now(),
            site=self._site,
            shown_uid=self._chosen_uid,
            ischaemia_validated=self._ischaemia_validated,
        )

    def _show_image(self, model: ScreenModel, viewer: ViewerModel) -> None:
        frames = self._snapshot.frames if self._snapshot else ()
        frame = next((frame for frame in frames if frame.sop_uid == viewer.current), None)
        spacing = (1.0, 1.0)
        if frame is not None and frame.row_spacing_mm and frame.column_spacing_mm:
            spacing = (frame.row_spacing_mm, frame.column_spacing_mm)
        heat = None
        study = self._study
        if model.view.caption and model.study_uid is not None and study is not None and study.result is not None:
            label = named_finding(study.result)
            keys = [key.sop_uid for key in model.key_slices]
            self._frames.request_heat(model.study_uid, model.revision, keys, label)
            heat = self._frames.heat(viewer.current)
        hu = self._frames.hu(viewer.current)
        self._window.view.show_slice(hu, spacing, viewer.preset, viewer.scale, model.view, heat, viewer.focus)


_OF_THE_VIEW = frozenset({"cases", "current", "zoom", "preset"})
"""Actions that are answered here, as they are about what is looked at."""


def _keys(model: ScreenModel) -> tuple[str, ...]:
    return tuple(key.sop_uid for key in model.key_slices)
