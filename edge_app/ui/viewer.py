"""What the viewer looks at: series, slice, window, zoom. Plain values and functions, no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_app.ui.windowing import PRESETS, Preset

__all__ = ["ZOOMS", "ViewerModel"]

ZOOMS = (1.0, 1.5, 2.0)
"""The zoom button goes round these."""


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
    touched: bool = False
    opened: str = ""
    """The key slice on which a result opened the view; a result does so once, a revision again."""

    @property
    def current(self) -> str | None:
        """Return the SOP Instance UID in view, or None."""
        return self.slices[self.index] if self.slices else None

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
        return replace(self, zoom=ZOOMS[(ZOOMS.index(self.zoom) + 1) % len(ZOOMS)])
