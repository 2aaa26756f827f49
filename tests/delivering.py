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

__all__ = ["all_sent", "data_sets", "deliver", "objects", "originals", "start"]


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
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


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
