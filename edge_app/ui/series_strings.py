"""Why a series was analysed or not, in English and German (R18). No Qt."""

from __future__ import annotations

from edge_app.core.reasons import SERIES_TEXTS

__all__ = ["SERIES_STRINGS"]

_GERMAN = {
    "only": "einzige auswertbare Serie",
    "nearest": "am nächsten am Trainingsprotokoll",
    "crew": "vom Team gewählt",
    "none": "keine auswertbare Serie",
    "crew_chose_other": "Team wählte eine andere",
    "sharp_kernel": "scharfer Kernel",
    "contrast": "Kontrastmittel",
    "not_whole": "Kopf nicht ganz und lückenlos",
    "not_head": "sieht nicht wie ein Kopf aus",
    "spacing_outside": "Schichtabstand nicht 2,5–5 mm",
    "spacing_further": "Schichtabstand weiter von 5 mm",
    "smaller_coverage": "kleinere Abdeckung",
    "fewer_slices": "weniger Schichten",
    "same": "wie die gewählte",
    "no_position": "Schichten ohne Lage",
    "modality": "kein CT",
    "not_ct": "keine CT-Bilder",
    "localizer": "Topogramm",
    "reformatted": "umgerechnete Bilder",
    "derived": "abgeleitete Bilder",
    "not_axial": "nicht axial",
}

SERIES_STRINGS: dict[str, tuple[str, str]] = {
    "action.series": ("OTHER\nSERIES", "ANDERE\nSERIE"),
    "button.series": ("SERIES", "SERIEN"),
    "sheet.series": ("Which series shall the AI read?", "Welche Serie soll die KI lesen?"),
    "series.ask": ("The AI reads it again: a new result follows.", "Die KI liest neu: ein neues Ergebnis folgt."),
    "lead.other_series": ("Other series - re-analysing", "Andere Serie - neue Analyse"),
    **{f"series.why.{key}": (words, _GERMAN[key]) for key, words in SERIES_TEXTS.items()},
}
"""Merged into `edge_app.ui.strings.STRINGS`; a reason without German words fails at the import."""
