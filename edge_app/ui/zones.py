"""Where everything is: the eight zones of SCREEN.md section 5, the same in every state. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

from edge_app.ui.theme import Panel

__all__ = ["BANDS_MM", "TARGET_GAP_MM", "TARGET_MM", "FullZones", "Rect", "Zones", "split_row"]

TARGET_MM = 17.5
"""Side of every touch target at least (R63)."""

TARGET_GAP_MM = 3.0
"""Gap between two touch targets at least (R63)."""

BANDS_MM = 7.0
"""Height of the row of bands that cannot be hidden."""

_MARGIN_MM = 2.0
_TOP_MM = 20.0
_ACTIONS_MM = 20.0
_FOOTER_MM = 5.6
"""As low as its text allows: on 10.1" the full image has its 110 mm to the pixel (R49)."""

_ACTIONS_SHARE = 0.69
_TOP_BUTTON_MM = 24.0


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle in pixels."""

    x: int
    y: int
    width: int
    height: int

    def inset(self, by: int) -> Rect:
        """Return the rectangle made smaller on all sides."""
        return Rect(self.x + by, self.y + by, self.width - 2 * by, self.height - 2 * by)


@dataclass(frozen=True, slots=True)
class Zones:
    """The zones of the wireframe for one window size (height budget: SCREEN.md section 5)."""

    patient: Rect  # 1
    clocks: Rect  # 2
    top_buttons: Rect  # right of 1 and 2: last known well, confirm patient
    bands: Rect  # top of 3: SYNTHETIC, UNVALIDATED
    result: Rect  # 3
    view: Rect  # 4
    strip: Rect  # 5
    keys: Rect  # 6, left
    presets: Rect  # 6, right
    info: Rect  # 7, left
    actions: Rect  # 7, right
    footer: Rect  # 8
    cases: Rect  # the case list lies over 3, 4, 5 and 6

    @classmethod
    def of(cls, width: int, height: int, panel: Panel) -> Zones:
        """Return the zones of a window of `width` × `height` pixels on a panel."""
        margin = panel.px(_MARGIN_MM)
        target, gap = panel.px(TARGET_MM), panel.px(TARGET_GAP_MM)
        inner = width - 2 * margin
        top = panel.px(_TOP_MM)
        name_height = round(top * 0.54)
        top_buttons = 2 * panel.px(_TOP_BUTTON_MM) + gap
        footer = Rect(0, height - panel.px(_FOOTER_MM), width, panel.px(_FOOTER_MM))
        actions_y = footer.y - panel.px(_ACTIONS_MM)
        row_y = actions_y - margin - target
        centre_y = top + margin
        side = row_y - margin - centre_y  # the CT view is square
        strip_x = width - margin - target
        view_x = strip_x - margin - side
        result_width = view_x - 2 * margin
        band = panel.px(BANDS_MM)
        keys_width = 5 * target + 4 * gap
        presets_x = margin + keys_width + 2 * gap
        actions_width = round(inner * _ACTIONS_SHARE)
        # Targets in the lowest row keep R63's gap to those in the row above.
        action_y = footer.y - margin // 2 - target
        return cls(
            patient=Rect(0, 0, width, name_height),
            clocks=Rect(0, name_height, width, top - name_height),
            top_buttons=Rect(width - margin - top_buttons, (top - target) // 2, top_buttons, target),
            bands=Rect(margin, centre_y, result_width, band),
            result=Rect(margin, centre_y + band + margin // 2, result_width, side - band - margin // 2),
            view=Rect(view_x, centre_y, side, side),
            strip=Rect(strip_x, centre_y, target, side - (gap - margin)),
            keys=Rect(margin, row_y, keys_width, target),
            presets=Rect(presets_x, row_y, width - margin - presets_x, target),
            info=Rect(margin, action_y, inner - actions_width - gap, target),
            actions=Rect(width - margin - actions_width, action_y, actions_width, target),
            footer=footer,
            cases=Rect(margin, centre_y, inner, row_y + target - centre_y),
        )


@dataclass(frozen=True, slots=True)
class FullZones:
    """Where things are while the image takes the whole height (R49); top bands and footer stay."""

    bands: Rect
    result: Rect
    presets: Rect
    view: Rect
    strip: Rect

    @classmethod
    def of(cls, width: int, height: int, panel: Panel) -> FullZones:
        """Return the zones of a window of `width` × `height` pixels on a panel."""
        margin, target, gap = panel.px(_MARGIN_MM), panel.px(TARGET_MM), panel.px(TARGET_GAP_MM)
        y = panel.px(_TOP_MM)
        side = height - panel.px(_FOOTER_MM) - y
        strip_x = width - margin - target
        view_x = strip_x - margin - side
        left = view_x - 2 * margin
        band = panel.px(BANDS_MM)
        presets_y = y + side - 2 * target - gap - margin // 2
        band_y = y + margin // 2
        result_y = band_y + band + margin // 2
        strip_y = (y + target) // 2 + gap  # R63's gap to the buttons in the top bands
        return cls(
            bands=Rect(margin, band_y, left, band),
            result=Rect(margin, result_y, left, presets_y - margin - result_y),
            presets=Rect(margin, presets_y, left, 2 * target + gap),
            view=Rect(view_x, y, side, side),
            strip=Rect(strip_x, strip_y, target, y + side - strip_y - margin // 2),
        )

    def preset_places(self, panel: Panel) -> list[Rect]:
        """Return two rows of three places for the windows, the heat map and the way back."""
        target, gap = panel.px(TARGET_MM), panel.px(TARGET_GAP_MM)
        rows = [Rect(self.presets.x, self.presets.y + n * (target + gap), self.presets.width, target) for n in range(2)]
        return [place for row in rows for place in split_row(row, 3, gap)]


def split_row(row: Rect, count: int, gap: int) -> list[Rect]:
    """Return `count` equal rectangles beside each other in a row, with a gap between them."""
    width = (row.width - gap * (count - 1)) / count
    return [Rect(round(row.x + i * (width + gap)), row.y, int(width), row.height) for i in range(count)]
