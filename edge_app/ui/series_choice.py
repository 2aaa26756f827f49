"""The sheet on which the crew chooses another series: each with why it was analysed, or was not (R18). No Qt."""

from __future__ import annotations

from edge_app.core.types import SeriesOption
from edge_app.ui import formats
from edge_app.ui.screen_model import SheetButton
from edge_app.ui.snapshot import StudyView
from edge_app.ui.strings import text

__all__ = ["can_choose", "series_buttons"]

MOST = 6
"""So many series find room; those that may be chosen come first."""


def can_choose(study: StudyView | None) -> bool:
    """Return whether there is another series that the AI could read."""
    result = study.result if study else None
    return result is not None and any(option.choosable and not option.analysed for option in result.series)


def series_buttons(study: StudyView, language: str) -> tuple[tuple[SheetButton | None, ...], ...]:
    """Return a button for each series, two in a row; those that cannot be chosen say why."""
    options = study.result.series if study.result else ()
    ordered = sorted(options, key=lambda option: (not option.analysed, not option.choosable))[:MOST]
    buttons: list[SheetButton | None] = [
        SheetButton(
            f"series:{option.series_uid}",
            f"{_name(option, language)}\n{text(f'series.why.{option.why}', language)}",
            enabled=option.choosable and not option.analysed,
            active=option.analysed,
        )
        for option in ordered
    ]
    buttons += [None] * (len(buttons) % 2)
    return tuple(zip(buttons[::2], buttons[1::2], strict=True))


def _name(option: SeriesOption, language: str) -> str:
    spacing = option.spacing_mm or option.thickness_mm
    parts = (
        text("series", language, number="?" if option.number is None else option.number),
        formats.millimetres(round(spacing, 2), language) if spacing else "",
        formats.clean(option.kernel, 10),
        text("images", language, count=option.images),
    )
    return " · ".join(part for part in parts if part)
