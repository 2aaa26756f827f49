"""Person names as text (PS3.5 Section 6.2, PN), to be compared whoever wrote them."""

from __future__ import annotations

__all__ = ["plain_group"]


def plain_group(group: str) -> str:
    """Return a component group (alphabetic, ideographic or phonetic) without case, separators and padding."""
    return " ".join(group.replace("^", " ").split()).casefold()
