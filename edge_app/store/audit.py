"""The audit trail: append-only, each record hashed together with the one before.

A record that is changed or taken out breaks the chain from there on; `verify` names the first broken one.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any

from edge_app.core.clock import utc_iso, utc_now

__all__ = ["append", "head", "verify"]

_GENESIS = "0" * 64


def _hash(seq: int, at_utc: str, process: str, event: str, body: str, previous: str) -> str:
    return hashlib.sha256(json.dumps([seq, at_utc, process, event, body, previous]).encode()).hexdigest()


def append(db: sqlite3.Connection, process: str, event: str, body: dict[str, Any]) -> None:
    """Append one record inside the caller's transaction (which must hold the write lock)."""
    last = db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    seq, previous = (last[0] + 1, last[1]) if last else (1, _GENESIS)
    at_utc, text = utc_iso(utc_now()), json.dumps(body, sort_keys=True)
    db.execute(
        "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)",
        (seq, at_utc, process, event, text, previous, _hash(seq, at_utc, process, event, text, previous)),
    )


def verify(db: sqlite3.Connection) -> int | None:
    """Return the sequence number of the first broken record, or None if the whole chain holds."""
    expected_seq, previous = 1, _GENESIS
    for seq, at_utc, process, event, body, previous_hash, own_hash in db.execute("SELECT * FROM audit ORDER BY seq"):
        whole = previous_hash == previous and own_hash == _hash(seq, at_utc, process, event, body, previous)
        if seq != expected_seq or not whole:
            return expected_seq
        expected_seq, previous = seq + 1, own_hash
    return None


def head(db: sqlite3.Connection) -> tuple[int, str]:
    """Return how many records there are, and the hash of the last one (which stands for all of them)."""
    rows = db.execute(
        "SELECT COUNT(*), COALESCE((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), ?) FROM audit", (_GENESIS,)
    )
    count, last = rows.fetchone()
    return int(count), str(last)
