"""Under which licences the vehicle's packages stand, and whether that is allowed: no GPL on board.

What a package says of itself is taken (SPDX expression, licence field, classifiers, in this order). One that says
nothing usable, or leaves a choice, is decided on in `DECIDED`, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["ALLOWED", "DECIDED", "Decision", "licence_of", "refused"]

ALLOWED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD", "CC0-1.0", "HPND", "ISC", "LGPL-3.0-only",
        "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for a package, and why."""

    licence: str
    why: str


_QT = Decision(
    "LGPL-3.0-only",
    "Chosen of the three it is offered under; its shared libraries are unchanged and can be replaced on the device.",
)

DECIDED: Mapping[str, Decision] = {
    "pyside6-essentials": _QT,
    "shiboken6": _QT,
    "protobuf": Decision("BSD-3-Clause", "Its licence field says so in words."),
}

_WORDS = {
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "bsd license": "BSD",
    "bsd-3-clause": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit": "MIT",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "3-clause bsd license": "BSD-3-Clause",
}
"""What older metadata say, in SPDX's words; "BSD" where it does not say which."""

_CLASSIFIER = "License :: OSI Approved :: "


def licence_of(name: str, expression: str, field: str, classifiers: Sequence[str]) -> str:
    """Return a package's licence as an SPDX expression, "" where it cannot be told."""
    if name in DECIDED:
        return DECIDED[name].licence
    if expression:
        return expression
    field = field.strip()
    if re.fullmatch(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*", field) and _parts(field) <= ALLOWED:
        return field
    if field.lower() in _WORDS:
        return _WORDS[field.lower()]
    words = [text.removeprefix(_CLASSIFIER).lower() for text in classifiers if text.startswith(_CLASSIFIER)]
    known = sorted({_WORDS[text] for text in words if text in _WORDS})
    return known[0] if len(known) == 1 and len(words) == 1 else ""


def refused(licences: Iterable[tuple[str, str]]) -> list[str]:
    """Return what is wrong with (package, licence) pairs."""
    problems = []
    for name, licence in licences:
        if not licence:
            problems.append(f"{name}: its licence cannot be told; decide it in edge_app/deploy/licences.py")
        elif not _is_allowed(licence):
            problems.append(f"{name}: {licence} is not allowed on board")
    return problems


def _parts(expression: str) -> set[str]:
    return {part for part in re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", expression) if part}


def _is_allowed(expression: str) -> bool:
    """Judge an expression without brackets; with them, all parts must be allowed."""
    if "(" in expression:
        return _parts(expression) <= ALLOWED
    return all(
        any(choice.strip() in ALLOWED for choice in re.split(r"\s+OR\s+", part))
        for part in re.split(r"\s+AND\s+", expression)
    )
