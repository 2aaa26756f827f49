"""The real delivery process on a real store, for tests: start it, wait for it, and know what it should have sent."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_app.core.config import Settings
from edge_app.delivery.items import data_set_of, item_of_file
from edge_app.store import outbox
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.waiting import DEADLINE_S

__all__ = ["CENTRE_PORT", "all_sent", "centre", "data_sets", "deliver", "objects", "originals", "start"]


def start(ledger: Ledger, destination: str, *, prefix: Sequence[str] = (), **more: object) -> subprocess.Popen[bytes]:
    """Start `msu deliver` with short pauses, `prefix` before its command; `more` are keys of ``[delivery]``."""
    settings = Settings(data=ledger.paths.root).replaced(
        delivery={"destination": destination, "retry_first_s": 0.2, "retry_longest_s": 0.5, **more}
    )
    config = ledger.paths.root / "deliver.toml"
    config.write_text(settings.to_toml())
    return subprocess.Popen([*prefix, sys.executable, "-m", "edge_app", "deliver", "--config", str(config)])


@contextmanager
def deliver(ledger: Ledger, destination: str, **more: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run `msu deliver` and make sure that it ends as it should."""
    process = start(ledger, destination, **more)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()


CENTRE_PORT = 11112


@contextmanager
def centre(folder: Path, *, prefix: Sequence[str] = (), peer: str = "MSU1@127.0.0.1") -> Iterator[Ledger]:
    """Run `msu receive` as the centre (AE title CSC, `CENTRE_PORT`), and yield its ledger.

    dcmtk's storescp will not do where links break: what is left of a broken transfer takes away the file of the
    transfer that came after it.
    """
    settings = Settings(data=folder).replaced(
        receiver={"aet": "CSC", "host": "0.0.0.0", "port": CENTRE_PORT, "access": "listed", "peers": [peer],
                  "min_free_bytes": 0}
    )  # fmt: skip
    with Ledger(StorePaths(folder), "test") as ledger:
        config = folder / "receive.toml"
        config.write_text(settings.to_toml())
        command = [*prefix, sys.executable, "-m", "edge_app", "receive", "--config", str(config)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("READY ")
            yield ledger
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


def all_sent(ledger: Ledger) -> bool:
    """Tell whether nothing is left to send."""
    return not outbox.queued(ledger)


def originals(ledger: Ledger) -> dict[str, bytes]:
    """Return the data sets of the images by SOP Instance UID."""
    return {row.sop_uid: data_set_of(ledger.paths.root / row.path) for row in ledger.instances()}


def objects(ledger: Ledger) -> dict[str, bytes]:
    """Return the data sets of the objects that were made, by SOP Instance UID."""
    files = (ledger.paths.root / "results").glob("*/r*/*.dcm")
    return {item_of_file(path).sop_uid: data_set_of(path) for path in files}


def data_sets(files: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    """Return the data sets of Part 10 files that a peer gave back."""
    path = folder / "from-peer.dcm"
    found = {}
    for uid, content in files.items():
        path.write_bytes(content)
        found[uid] = data_set_of(path)
    return found
