"""A language that does not exist: accents on English words that are 40 % longer (R84)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from edge_app.core.reasons import TEXTS
from edge_app.ui import strings

_ACCENTS = str.maketrans("aeiouAEIOUncs", "áéíöüÁÉÍÖÜñçš")
_FILLER = ("lorem", "ipsum", "dolor", "sit", "amet", "consul", "sadips", "elitr", "sed", "diam", "nonumy", "eirmod")


def expand(words: str) -> str:
    """Return words with accents, each line at least 40 % longer; what stands in braces is left as it is."""
    return "\n".join(_expand_line(line) for line in words.split("\n"))


def _expand_line(line: str) -> str:
    if not any(letter.isalpha() for letter in line):
        return line
    parts = []
    for part in line.replace("{", "\0{").replace("}", "}\0").split("\0"):
        parts.append(part if part.startswith("{") else part.translate(_ACCENTS))
    accented = "".join(parts)
    extra, number = max(round(len(line) * 0.4), 1), 0
    filler = ""
    while len(filler) < extra:
        filler += (" " if filler else "") + _FILLER[number % len(_FILLER)]
        number += 1
    cut = filler[:extra].strip()
    return f"{accented} {cut.upper() if line.isupper() else cut}"


@contextmanager
def pseudo_locale() -> Iterator[None]:
    """Let English be the pseudo-locale, but for R01's sentence, which is what it is."""
    longer = {key: (expand(pair[0]), pair[1]) for key, pair in strings.STRINGS.items() if key != "disclaimer"}
    reasons = {code: expand(words) for code, words in TEXTS.items()}
    with patch.dict(strings.STRINGS, longer), patch.dict(strings.REASON_TEXTS, reasons):
        yield
