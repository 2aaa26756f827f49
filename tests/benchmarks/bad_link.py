"""How long the way out takes on bad links, and whether everything arrives: ``python -m tests.benchmarks.bad_link``.

The real delivery process in one network namespace, the real receiver as the centre in another, a bad wire in between
(`tests.bad_links`).
Times count from the result's commit in the one ledger to the object's in the other. ``--runs`` results are sent while
nothing else is, and as many while the objects of the one before are on their way: the first at once, each of the others
a step later, over the time that those objects take. Then one study with its images, with an outage when the key slice
is there.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from edge_app.delivery.items import data_set_of
from edge_app.reports import message_uid
from edge_app.simulator import make_study, write_study
from edge_app.store import outbox
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.bad_links import CAR, CENTRE, BadLink, bad_link, why_not
from tests.delivering import CENTRE_PORT, centre, objects, originals, start
from tests.stored_studies import add_ct_study, ct_uid, study_result

OBJECTS_BYTES = 140_000
"""Of one result of `study_result`, the page for the most part."""

DESTINATION = f"CSC@{CENTRE}:{CENTRE_PORT}"


@dataclass(frozen=True, slots=True)
class Case:
    """A link; `outage_s` is how long it is gone while images are sent."""

    kbit_s: int
    round_trip_ms: int
    loss_percent: float
    outage_s: float = 0.0


CASES = (
    Case(2000, 200, 1, 60),
    Case(512, 400, 2, 60),
    Case(128, 800, 5, 60),
    Case(64, 200, 5, 60),
    Case(64, 800, 5, 60),
)


def main() -> int:
    """Print the table; returns 1 if something did not arrive as it was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="messages for each link, idle and busy")
    parser.add_argument("--images", type=int, default=4, help="images of the study, 512 by 512")
    parser.add_argument("--link", type=int, action="append", help="number of the link in the table, from 1")
    parser.add_argument("--seed", type=int, default=1, help="the simulated scanner: 1 sends RLE, 3 uncompressed")
    arguments = parser.parse_args()
    if reason := why_not():
        sys.stderr.write(f"cannot be measured here: {reason}\n")
        return 2
    _say("| link | message, idle link | message, busy link | outage | key slice | study | arrived |")
    _say("|---|---|---|---|---|---|---|")
    whole = True
    for number, case in enumerate(CASES, 1):
        if arguments.link and number not in arguments.link:
            continue
        idle, busy = measure_messages(case, arguments.runs)
        key_s, study_s, arrived = measure_study(case, arguments.images, arguments.seed)
        whole &= arrived.startswith("all")
        _say(
            f"| {case.kbit_s} kbit/s, {case.round_trip_ms} ms, {case.loss_percent:g} % | {_times(idle)} "
            f"| {_times(busy)} | {case.outage_s:g} s | {key_s:.0f} s | {study_s:.0f} s | {arrived} |"
        )
    return 0 if whole else 1


def measure_messages(case: Case, runs: int) -> tuple[list[float], list[float]]:
    """Return how long the messages of results took that came when nothing was sent, and while something was."""
    idle: list[float] = []
    busy: list[float] = []
    with _laid(case) as (link, ledger, there):
        add_ct_study(ledger)
        with _delivering(link, ledger):
            for revision in range(1, 2 * runs + 1):
                times = idle if revision % 2 else busy
                if times is idle:
                    _rest(ledger)
                else:
                    threading.Event().wait(len(busy) / runs * OBJECTS_BYTES * 8 / (case.kbit_s * 1000))
                began_s = time.monotonic()
                ledger.add_result(study_result(), last_instance_id=6)
                times.append(_arrival_s(there, message_uid(ct_uid(1), revision)) - began_s)
    return idle, busy


def _rest(ledger: Ledger) -> None:
    """Wait until nothing is left to send or to prove, and an association can stand on the worst link."""
    while outbox.queued(ledger):
        threading.Event().wait(0.1)
    threading.Event().wait(12.0)


def _times(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.1f} s, longest {max(seconds):.1f} s"


def measure_study(case: Case, images: int, seed: int) -> tuple[float, float, str]:
    """Return when the first key slice and everything was there, and what arrived; the link fails in between."""
    with _laid(case) as (link, ledger, there), tempfile.TemporaryDirectory() as made:
        files = write_study(make_study(seed, "hemorrhage"), Path(made))
        middle = len(files) // 2
        uids = _take_in(ledger, files[middle : middle + images])
        study_uid, key_uid = ledger.instances()[0].study_uid, uids[images // 2]
        began_s = time.monotonic()
        ledger.add_result(study_result(study_uid=study_uid, slices=0, key_slices=(key_uid,)), last_instance_id=images)
        with _delivering(link, ledger):
            key_s = _arrival_s(there, key_uid) - began_s
            _fail(link, case)
            wanted = set(originals(ledger) | objects(ledger))
            all_s = max(_arrival_s(there, uid) for uid in wanted) - began_s
            proofs = set()
            while proofs != {"committed"}:
                threading.Event().wait(0.1)
                proofs = {row.proof for row in outbox.deliveries(ledger, study_uid, DESTINATION).values()}
        return key_s, all_s, _compare(ledger, there)


def _fail(link: BadLink, case: Case) -> None:
    if case.outage_s:
        link.shape(kbit_s=case.kbit_s, round_trip_ms=case.round_trip_ms, loss_percent=100)
        threading.Event().wait(case.outage_s)
        link.shape(kbit_s=case.kbit_s, round_trip_ms=case.round_trip_ms, loss_percent=case.loss_percent)


def _compare(ledger: Ledger, there: Ledger) -> str:
    """Return what arrived: each object once, its bytes the same, or its grey levels where it was compressed."""
    sent = {uid: hashlib.sha256(content).hexdigest() for uid, content in (originals(ledger) | objects(ledger)).items()}
    held = {row.sop_uid: row for row in there.instances()}
    doubtful = [uid for uid in sent if there.conflicts(held[uid].study_uid)] if held else []
    if set(held) != set(sent) or doubtful:
        return f"NOT ALL: {len(held)} of {len(sent)}, {len(doubtful)} in doubt"
    same = [uid for uid in sent if held[uid].sha256 == sent[uid]]
    paths = {row.sop_uid: ledger.paths.root / row.path for row in ledger.instances()}
    equal = [
        uid
        for uid in set(sent) - set(same)
        if uid in paths
        and (dcmread(there.paths.root / held[uid].path).pixel_array == dcmread(paths[uid]).pixel_array).all()
    ]
    if len(same) + len(equal) != len(sent):
        return f"CHANGED: {len(sent) - len(same) - len(equal)}"
    return f"all, once: {len(same)} by bytes" + (f", {len(equal)} compressed, by pixels" if equal else "")


def _take_in(ledger: Ledger, files: list[Path]) -> list[str]:
    inbox = Inbox(ledger, min_free_bytes=0)
    for path in files:
        ds = dcmread(path, stop_before_pixels=True)
        inbox.add_instance(
            data_set_of(path),
            sop_uid=str(ds.SOPInstanceUID),
            sop_class_uid=str(ds.SOPClassUID),
            transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
            association_id="benchmark",
            source_aet="SCANNER",
        )
    return [row.sop_uid for row in ledger.instances()]


@contextmanager
def _laid(case: Case) -> Iterator[tuple[BadLink, Ledger, Ledger]]:
    """Lay the wire with both ends; yields the ledgers of the vehicle and of the centre."""
    with (
        tempfile.TemporaryDirectory() as root,
        bad_link() as link,
        centre(Path(root) / "centre", prefix=link.centre, peer=f"MSU1@{CAR}") as there,
        Ledger(StorePaths(Path(root) / "store"), "benchmark") as ledger,
    ):
        link.shape(kbit_s=case.kbit_s, round_trip_ms=case.round_trip_ms, loss_percent=case.loss_percent)
        yield link, ledger, there


@contextmanager
def _delivering(link: BadLink, ledger: Ledger) -> Iterator[None]:
    process = start(
        ledger, DESTINATION, prefix=link.car, retry_first_s=2.0, retry_longest_s=10.0, stalled_timeout_s=30.0
    )
    try:
        while "deliver" not in ledger.heartbeats():
            threading.Event().wait(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def _arrival_s(there: Ledger, uid: str) -> float:
    """Wait for an object and return when it was durable at the centre (same machine, same monotonic clock)."""
    while (row := there.find_instance(uid)) is None:
        threading.Event().wait(0.1)
    return row.received_s


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
