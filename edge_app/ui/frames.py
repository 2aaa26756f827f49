"""The images the GUI thread holds: which are needed, which have come, what is asked for next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from edge_app.store.ledger import FrameRow
from edge_app.ui.ct_view import grey_image
from edge_app.ui.heat import HeatMap
from edge_app.ui.reader import Frame, StoreReader
from edge_app.ui.snapshot import StudyView
from edge_app.ui.viewer import ViewerModel
from edge_app.ui.windowing import Preset, crop_to_body

__all__ = ["FrameStore", "series_of"]


class FrameStore:
    """Frames, thumbnails and heat maps of the study in view; everything is loaded by the reader's thread."""

    def __init__(self, reader: StoreReader) -> None:
        self._reader = reader
        self._frames: dict[str, NDArray[np.int16] | None] = {}
        self._thumbnails: dict[tuple[str, Preset], QImage] = {}
        self._heat: Mapping[str, HeatMap] = {}
        self._heat_of: tuple[str, int, str] | None = None
        self._asked: tuple[tuple[str, str], ...] = ()

    def __contains__(self, sop_uid: str) -> bool:
        return sop_uid in self._frames

    def __len__(self) -> int:
        return len(self._frames)

    def forget(self) -> None:
        """Let go of everything: another study comes into view."""
        self._frames.clear()
        self._thumbnails.clear()
        self._heat, self._heat_of = {}, None
        self._asked = ()

    def request(self, frames: Iterable[FrameRow], viewer: ViewerModel, keys: Sequence[str]) -> None:
        """Ask for what is not loaded yet: the slice in view first, then the key slices, then its neighbours."""
        paths = {frame.sop_uid: frame.path for frame in frames}
        index, slices = viewer.index, viewer.slices
        near = sorted(range(len(slices)), key=lambda number: abs(number - index))
        order = dict.fromkeys([*slices[index : index + 1], *keys, *(slices[number] for number in near)])
        wanted = tuple((uid, path) for uid in order if uid not in self._frames and (path := paths.get(uid)))
        if wanted != self._asked:
            self._asked = wanted
            self._reader.load(wanted)

    def take(self, frame: Frame, viewer: ViewerModel) -> bool:
        """Keep a frame that has come; False when it is of a study no longer in view."""
        self._asked = tuple(pair for pair in self._asked if pair[0] != frame.sop_uid)
        if frame.sop_uid not in viewer.slices:
            return False
        self._frames[frame.sop_uid] = frame.hu
        return True

    def hu(self, sop_uid: str | None) -> NDArray[np.int16] | None:
        """Return a slice (H, W) int16 HU, or None while it is not there."""
        return self._frames.get(sop_uid) if sop_uid else None

    def thumbnails(self, keys: Iterable[str], preset: Preset) -> dict[str, QImage]:
        """Return the key slices' thumbnails that can be made."""
        images = {}
        for uid in keys:
            hu = self._frames.get(uid)
            if hu is None:
                continue
            if (uid, preset) not in self._thumbnails:
                self._thumbnails[uid, preset] = grey_image(crop_to_body(hu), preset)
            images[uid] = self._thumbnails[uid, preset]
        return images

    def request_heat(self, study_uid: str, revision: int, keys: Sequence[str], label: str) -> None:
        """Ask for a result's heat maps, once."""
        if (study_uid, revision, label) != self._heat_of:
            self._heat, self._heat_of = {}, (study_uid, revision, label)
            self._reader.load_heat_maps(study_uid, revision, keys, label)

    def take_heat(self, maps: Mapping[str, HeatMap]) -> None:
        """Keep the heat maps that have come."""
        self._heat = maps

    def heat(self, sop_uid: str | None) -> HeatMap | None:
        """Return a slice's heat map, or None."""
        return self._heat.get(sop_uid) if sop_uid else None


def series_of(study: StudyView, frames: Sequence[FrameRow]) -> str | None:
    """Return the series to view: the analysed one, else the one being counted, else the longest."""
    present_series = [frame.series_uid for frame in frames]
    for series in (study.result.series_uid if study.result else None, study.progress.get("series_uid")):
        if series in present_series:
            return str(series)
    return max(sorted(set(present_series)), key=present_series.count) if present_series else None
