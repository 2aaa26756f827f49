"""What the queue knows of a way out, whatever it speaks: open it for some objects, send them one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from edge_app.delivery.items import Item

__all__ = ["Connect", "Receipt", "Sender"]

_DIMSE_HAS_IT = frozenset({0x0000, 0xB000, 0xB006, 0xB007, 0x0111})
"""Success, the warnings that mean "stored" (PS3.4 Table B.2-1), and Duplicate SOP Instance (PS3.7 Annex C)."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the peer answered to one object, and the transfer syntax in which it got it.

    `status` is of DIMSE (PS3.7 Annex C) as numbers below 0 never are; an HTTP client translates its own into these.
    """

    status: int
    transfer_syntax_uid: str
    size_bytes: int = 0
    """What went over the wire."""

    @property
    def accepted(self) -> bool:
        """Tell whether the peer has the object now."""
        return self.status in _DIMSE_HAS_IT

    @property
    def busy(self) -> bool:
        """Tell whether the peer has no room (0xA7xx): true for whatever would come next as well."""
        return self.status & 0xFF00 == 0xA700


class Sender(Protocol):
    """An open link: `edge_app.delivery.dimse.Link`, `edge_app.delivery.web.StowLink`, …."""

    def send(self, item: Item, *, smaller: bool) -> Receipt:
        """Send one object and return the peer's answer.

        Parameters
        ----------
        smaller
            Compress it without loss, if that is possible and the peer takes it.

        Raises
        ------
        SendError
            If the peer takes this kind of object in no form that we can make; the others are not concerned.
        NetworkError
            If the connection broke or the answer did not come in time: whether the peer has it is not known.
        """


Connect = Callable[[Sequence[Item], Callable[[], bool]], AbstractContextManager[Sender]]
"""Opens a link for some objects; the second argument is asked while a call waits, and False cuts the connection."""
