"""Who is let in: one pure function that looks at an association request and says no, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from edge_app.receiver.peers import PeerList

__all__ = ["NO_PLACE", "Admission", "Caller", "Refusal"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Result, source and diagnostic of an A-ASSOCIATE-RJ (PS3.8 Section 9.3.4, Table 9-21)."""

    result: int
    source: int
    diagnostic: int
    why: str


NO_PLACE = Refusal(0x02, 0x03, 0x02, "local limit exceeded")
"""For now: as many associations are open as may be."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What a peer says and shows of itself; `certificate_sha256` is empty on the plain port."""

    calling_aet: str
    called_aet: str
    address: str
    certificate_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules.

    Parameters
    ----------
    aet
        Our AE title, which a peer must call.
    self_check_aet
        The calling AE title of this process's own C-ECHO, which is always let in: a busy receiver is not a dead one.
    peers
        Who may push; None lets everybody in (loopback only, see `ReceiverSettings.access`).
    """

    aet: str
    self_check_aet: str
    peers: PeerList | None = None

    def is_own(self, caller: Caller) -> bool:
        """Tell our own C-ECHO, which needs no place among the associations."""
        return caller.calling_aet.strip() == self.self_check_aet

    def refuse(self, caller: Caller) -> Refusal | None:
        """Judge who asks; None lets it in if there is a place left."""
        if caller.called_aet.strip() != self.aet.strip():
            return Refusal(0x01, 0x01, 0x07, "called AE title not recognised")
        if self.is_own(caller):
            return None
        if self.peers is not None:
            problem = self.peers.problem_with(caller.calling_aet, caller.address, caller.certificate_sha256)
            if problem:
                return Refusal(0x01, 0x01, 0x03, problem)
        return None
