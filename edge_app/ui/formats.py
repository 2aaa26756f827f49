"""How names, ages, dates, times and scores are written. No Qt."""

from __future__ import annotations

import math
import unicodedata
from datetime import date, datetime

__all__ = ["age_years", "clean", "date_text", "elapsed", "millimetres", "number", "percent", "person_name", "when"]

_NO_BREAK = "\u00a0"


def clean(text: object, limit: int = 64) -> str:
    """Return text from outside made fit for one line: no control or direction characters, at most `limit` long.

    The middle is left out of longer text, so that neither the start nor the end of an identifier is lost.
    """
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(text or ""))
    line = " ".join(kept.split())
    if len(line) <= limit:
        return line
    head = (limit - 1) // 2
    return f"{line[:head]}…{line[-(limit - 1 - head) :]}"


def person_name(name: object, limit: int = 40) -> str:
    """Return a DICOM person name ("Family^Given^Middle^Prefix^Suffix", PS3.5 6.2.1) as "FAMILY, GIVEN MIDDLE".

    Only the first (alphabetic) component group is used; "" when there is no name.
    """
    parts = [clean(part) for part in str(name or "").split("=")[0].split("^")]
    given = " ".join(part for part in parts[1:3] if part)
    return clean(", ".join(part for part in (parts[0], given) if part).upper(), limit)


def _date(value: object) -> date | None:
    digits = str(value or "").strip()[:8]
    try:
        return datetime.strptime(digits, "%Y%m%d").date()  # noqa: DTZ007  a calendar day has no time zone
    except ValueError:
        return None


def date_text(value: object, language: str) -> str:
    """Return a DICOM date (YYYYMMDD) without ambiguity (R84): 2026-03-14, in German 14.03.2026; "" if there is none."""
    day = _date(value)
    if day is None:
        return ""
    return day.strftime("%d.%m.%Y" if language == "de" else "%Y-%m-%d")


def age_years(birth_date: object, on: object, age: object = "") -> int | None:
    """Return the age in whole years on a day, from the birth date, else from PatientAge ("074Y"), else None."""
    born, day = _date(birth_date), _date(on)
    if born is not None and day is not None and born <= day:
        return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    text = str(age or "").strip()
    if len(text) == 4 and text[:3].isascii() and text[:3].isdigit():
        return int(text[:3]) if text[3] == "Y" else 0 if text[3] in "DWM" else None
    return None


def when(value: object) -> datetime | None:
    """Return a DICOM date-time (YYYYMMDDHHMMSS.f, seconds and fraction may lack) as the naive local time it is."""
    digits = str(value or "").strip().split(".")[0].split("+")[0].split("-")[0]
    for pattern, length in (("%Y%m%d%H%M%S", 14), ("%Y%m%d%H%M", 12)):
        if len(digits) >= length:
            try:
                return datetime.strptime(digits[:length], pattern)  # noqa: DTZ007  the scanner's own clock
            except ValueError:
                return None
    return None


def elapsed(seconds: float) -> str:
    """Return a span as mm:ss below one hour, else h:mm (R56)."""
    whole = max(int(seconds), 0)
    if whole < 3600:
        return f"{whole // 60:02d}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def number(value: float, language: str, places: int | None = None) -> str:
    """Return a number with the language's decimal mark (R84): a comma in German."""
    words = f"{value:g}" if places is None else f"{value:.{places}f}"
    return words.replace(".", ",") if language == "de" else words


def millimetres(value: float, language: str, places: int | None = None) -> str:
    """Return a length."""
    return f"{number(value, language, places)} mm"


def percent(probability: float) -> str:
    """Return a probability as whole per cent, clipped to "<1 %" and ">99 %" (R26).

    Raises
    ------
    ValueError
        If it is not a number between 0 and 1.
    """
    if not (math.isfinite(probability) and 0.0 <= probability <= 1.0):
        raise ValueError(f"probability {probability} is not between 0 and 1")
    if probability < 0.01:
        return f"<1{_NO_BREAK}%"
    if probability > 0.99:
        return f">99{_NO_BREAK}%"
    return f"{round(probability * 100)}{_NO_BREAK}%"
