"""What the viewer looks at: series, slice, window, zoom. Plain values and functions, no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_app.ui.windowing import PRESETS, Preset

__all__ = ["ZOOMS", "ViewerModel"]

ZOOMS = (1.0, 1.5, 2.0)
"""The zoom button goes round these."""

_MOST_FIT = 1.4
_MARGIN = 1.06
"""Room left around the head."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of the image."""


@dataclass(frozen=True, slots=True)
class ViewerModel:
    """The viewer's state; every action returns a new one.

    `slices` are SOP Instance UIDs, foot to head, so "up" is towards the head (R51). `touched` says that a person has
    chosen the slice: until then the view follows what arrives, and the result's first key slice.
    """

    study_uid: str | None = None
    slices: tuple[str, ...] = ()
    index: int = 0
    preset: Preset = PRESETS[0]
    zoom: float = ZOOMS[0]
    body: Box | None = None
    """What of the series' images is no air: the view is filled with it and not with what lies around the head."""
    centre: tuple[float, float] | None = None
    """Where a person tapped the zoomed image, as shares from its left and top."""
    touched: bool = False
    opened: str = ""
    """The key slice on which a result opened the view; a result does so once, a revision again."""

    @property
    def current(self) -> str | None:
        """Return the SOP Instance UID in view, or None."""
        return self.slices[self.index] if self.slices else None

    @property
    def scale(self) -> float:
        """Return how much larger the image is than one that just fits the view."""
        if self.body is None:
            return self.zoom
        left, top, right, bottom = self.body
        most = 1 / (max(right - left, bottom - top, 0.1) * _MARGIN)
        return self.zoom * min(max(int(most * 20) / 20, 1.0), _MOST_FIT)

    @property
    def focus(self) -> tuple[float, float]:
        """Return what of the image is in the middle of the view."""
        if self.centre is not None:
            return self.centre
        left, top, right, bottom = self.body or (0.0, 0.0, 1.0, 1.0)
        return (left + right) / 2, (top + bottom) / 2

    def with_body(self, box: Box | None) -> ViewerModel:
        """Take in where the body lies on one more slice: the view never gets so large that a slice is cut."""
        if box is None:
            return self
        known = self.body or box
        grown = (min(known[0], box[0]), min(known[1], box[1]), max(known[2], box[2]), max(known[3], box[3]))
        return self if grown == self.body else replace(self, body=grown)

    def look_at(self, x: float, y: float) -> ViewerModel:
        """Bring a place of the zoomed image to the middle."""
        return replace(self, centre=(min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)))

    def show(self, study_uid: str | None, slices: tuple[str, ...], open_at: str = "") -> ViewerModel:
        """Take over the slices of a study as they are now.

        A new study starts afresh but keeps the window. The slice in view stays in view while others arrive around it;
        `open_at` (the first key slice of a new result) is opened once unless a person has scrolled.
        """
        model = self if study_uid == self.study_uid else ViewerModel(study_uid=study_uid, preset=self.preset)
        if slices == model.slices and open_at == model.opened:
            return model
        index = len(slices) // 2
        if model.touched and model.current in slices:
            index = slices.index(model.current)
        elif open_at in slices:
            index = slices.index(open_at)
        return replace(model, slices=slices, index=index, opened=open_at)

    def scroll(self, by: int) -> ViewerModel:
        """Go `by` slices towards the head (negative: towards the feet), stopping at the ends."""
        return self.go_to(self.index + by)

    def go_to(self, index: int) -> ViewerModel:
        """Go to a slice by number (0 is the lowest), stopping at the ends."""
        if not self.slices:
            return self
        return replace(self, index=min(max(index, 0), len(self.slices) - 1), touched=True)

    def jump(self, sop_uid: str) -> ViewerModel:
        """Go to a slice by UID; a UID that is not in the series changes nothing."""
        return self.go_to(self.slices.index(sop_uid)) if sop_uid in self.slices else self

    def with_preset(self, number: int) -> ViewerModel:
        """Choose a window by its place in `PRESETS`."""
        return replace(self, preset=PRESETS[number])

    def next_zoom(self) -> ViewerModel:
        """Go to the next zoom, and round again."""
        zoom = ZOOMS[(ZOOMS.index(self.zoom) + 1) % len(ZOOMS)]
        return replace(self, zoom=zoom, centre=self.centre if zoom > 1 else None)
