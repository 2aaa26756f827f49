"""Bad links on one machine: two network namespaces, and between them a wire that is thin, slow, lossy or cut.

Linux's own TCP speaks over it. The wire itself is a thread that carries IP packets between two TUN devices, each packet
delayed, lost and paced as `tc netem` would; netem is not built into every kernel. Needs root, ``ip`` and /dev/net/tun;
`why_not` says what is missing.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CENTRE", "BadLink", "bad_link", "why_not"]

CAR, CENTRE = "10.213.77.1", "10.213.77.2"
"""Addresses of the vehicle and the hospital."""

QUEUE_S = 1.0
"""What the modem's buffer holds, in seconds at the link's rate; more is dropped."""

_TUN, _SET_TUN, _IS_TUN, _NO_INFORMATION = "/dev/net/tun", 0x400454CA, 0x0001, 0x1000


def why_not() -> str:
    """Return why bad links cannot be made here, or an empty string."""
    if shutil.which("ip") is None:
        return "ip is not installed (deploy/system-packages.sh test)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path(_TUN).exists():
        return f"there is no {_TUN}"
    try:
        with bad_link():
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces are not permitted: {getattr(error, 'stderr', '') or error}".strip()


@dataclass
class BadLink:
    """The wire. `car` and `centre` are prefixes for commands at its ends; both ways are alike."""

    car: tuple[str, ...]
    centre: tuple[str, ...]
    bit_s: float = 1e9
    delay_s: float = 0.0
    loss: float = 0.0
    carried_bytes: list[int] = field(default_factory=lambda: [0, 0])

    def shape(self, *, kbit_s: float, round_trip_ms: float, loss_percent: float) -> None:
        """Set rate, round trip (half of it each way) and share of packets lost on each way."""
        self.bit_s, self.delay_s, self.loss = kbit_s * 1000.0, round_trip_ms / 2000.0, loss_percent / 100.0


@contextmanager
def bad_link(seed: int = 1) -> Iterator[BadLink]:
    """Lay the wire, perfect at first; it is taken away at the end."""
    with ExitStack() as laid:
        ends = [
            laid.enter_context(_end(f"msu{name}{os.getpid()}", address, peer))
            for name, address, peer in (("c", CAR, CENTRE), ("h", CENTRE, CAR))
        ]
        link = BadLink(*(("ip", "netns", "exec", name) for name, _ in ends))
        stop_read, stop_write = os.pipe()
        carrier = threading.Thread(target=_carry, args=(link, [fd for _, fd in ends], stop_read, seed), daemon=True)
        carrier.start()
        try:
            yield link
        finally:
            os.close(stop_write)
            carrier.join()
            os.close(stop_read)


@contextmanager
def _end(name: str, address: str, peer: str) -> Iterator[tuple[str, int]]:
    """Make a namespace with a TUN device in it; yields its name and the device's file descriptor."""
    _run("ip", "netns", "add", name)
    device = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, _SET_TUN, struct.pack("16sH22x", name.encode(), _IS_TUN | _NO_INFORMATION))
        _run("ip", "link", "set", name, "netns", name)
        _run("ip", "-n", name, "address", "add", address, "peer", peer, "dev", name)
        for interface in ("lo", name):
            _run("ip", "-n", name, "link", "set", interface, "up")
        yield name, device
    finally:
        os.close(device)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _carry(link: BadLink, devices: list[int], stop: int, seed: int) -> None:
    chance = random.Random(seed)
    free_s = [0.0, 0.0]
    flying: list[tuple[float, int, int, bytes]] = []
    count = 0
    while True:
        wait_s = max(0.0, flying[0][0] - time.monotonic()) if flying else None
        ready, _, _ = select.select([*devices, stop], [], [], wait_s)
        if stop in ready:
            return
        now_s = time.monotonic()
        for way, device in enumerate(devices):
            if device not in ready:
                continue
            packet = os.read(device, 65536)
            if free_s[way] - now_s > QUEUE_S or chance.random() < link.loss:
                continue
            free_s[way] = max(free_s[way], now_s) + len(packet) * 8 / link.bit_s
            count += 1
            heapq.heappush(flying, (free_s[way] + link.delay_s, count, way, packet))
        while flying and flying[0][0] <= now_s:
            _, _, way, packet = heapq.heappop(flying)
            link.carried_bytes[way] += len(packet)
            with suppress(BlockingIOError):  # the other end's queue is full: one more that is lost
                os.write(devices[1 - way], packet)


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)
