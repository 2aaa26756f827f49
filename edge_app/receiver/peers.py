"""Who may push: the list of peers in the settings, and what a peer must show to be one of them.

A peer is an AE title at an address. AE titles are no secret and addresses can be borrowed, so on the TLS port a peer
must also hold the one certificate that its entry names (SCREEN.md R80). An entry without fingerprint is for the plain
port, one with fingerprint for the TLS port: a peer that was set up for TLS cannot be had without it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Peer", "PeerList"]

ANY_AET = "*"


@dataclass(frozen=True, slots=True)
class Peer:
    """One entry of ``receiver.peers``. `certificate_sha256` is empty for the plain port."""

    aet: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    certificate_sha256: str

    @classmethod
    def parse(cls, text: str) -> Peer:
        """Read ``AE@ADDRESS`` or ``AE@ADDRESS#SHA256``; the settings have checked the form."""
        aet, _, rest = text.rpartition("@")
        address, _, certificate = rest.partition("#")
        return cls(aet.strip(), ipaddress.ip_network(address, strict=False), certificate)


class PeerList:
    """Default deny: who is not in the list stays out.

    Parameters
    ----------
    entries
        Entries of ``receiver.peers``.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._peers = tuple(Peer.parse(entry) for entry in entries)

    def knows_address(self, address: str) -> bool:
        """Tell whether any peer may call from an IP address; asked before a byte of it is read."""
        return any(_contains(peer.network, address) for peer in self._peers)

    def uses_tls(self, aet: str) -> bool:
        """Tell whether a peer has a certificate."""
        return any(peer.certificate_sha256 for peer in self._peers if peer.aet in (aet, ANY_AET))

    def problem_with(self, calling_aet: str, address: str, certificate_sha256: str) -> str:
        """Return why a caller is none of the peers, or an empty string.

        Parameters
        ----------
        certificate_sha256
            Fingerprint of the certificate it showed, in lower-case hex; empty on the plain port.
        """
        named = [peer for peer in self._peers if peer.aet in (calling_aet.strip(), ANY_AET)]
        if not named:
            return "calling AE title is not in receiver.peers"
        here = [peer for peer in named if _contains(peer.network, address)]
        if not here:
            return "calling AE title is not allowed from this address"
        if any(peer.certificate_sha256 == certificate_sha256 for peer in here):
            return ""
        return (
            "certificate is not the one of this peer"
            if certificate_sha256
            else "this peer may only come over TLS, with its certificate"
        )


def _contains(network: ipaddress.IPv4Network | ipaddress.IPv6Network, address: str) -> bool:
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    # An IPv4 peer on a socket that listens on :: shows up as ::ffff:10.0.0.5.
    mapped = getattr(caller, "ipv4_mapped", None)
    return (mapped or caller) in network
