"""The ledger: what is on disk is the truth, and this is its index.

SQLite in WAL mode with ``synchronous=FULL``: a committed transaction survives a power cut. Four processes share it;
each opens its own `Ledger`, and learns of the others' commits by `data_version`, which is cheap to poll.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_app.core.clock import boot_id, monotonic_s, utc_iso, utc_now
from edge_app.core.errors import StoreError
from edge_app.core.types import StudyResult, StudyStatus
from edge_app.store import audit, schema
from edge_app.store.lock import hold_in_turn
from edge_app.store.paths import StorePaths
from edge_app.store.rows import FrameRow, HeartbeatRow, InstanceRow, StudyRow

__all__ = ["FrameRow", "HeartbeatRow", "InstanceRow", "Ledger", "StudyRow"]


class Ledger:
    """One process's connection to the ledger; use as a context manager.

    Threads of the process may share it: a lock lets one in at a time, and a transaction holds it to its end. (SQLite
    allows one writer at a time anyhow, so a connection per thread would gain nothing.)

    Raises
    ------
    StoreError
        If the ledger cannot be opened or is of another version.
    """

    def __init__(self, paths: StorePaths, process: str) -> None:
        self.paths = paths
        self.process = process
        self._boot_id = boot_id()
        self._lock = threading.RLock()
        paths.create()
        try:
            _create_shared(paths.ledger)
            self._db = sqlite3.connect(paths.ledger, timeout=30.0, isolation_level=None, check_same_thread=False)
            try:
                # The switch to WAL does not wait for others as all else does, so four processes that open an empty
                # store at once would see "database is locked".
                with hold_in_turn(paths.root / "ledger.lock"):
                    self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA foreign_keys = ON")
                schema.prepare(self._db)
            except BaseException:
                self._db.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"ledger {paths.ledger} cannot be opened: {error}",
                remedy="Check the folder's permissions and free space; a damaged ledger is never overwritten.",
            ) from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, after what another thread is doing with it; this one's open transaction is rolled back.

        SQLite would be taken from under the other thread, and the process would crash.
        """
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run several writes as one: all of them are durable when the block ends, or none is.

        Transactions of one thread nest; the outermost one commits.

        Raises
        ------
        sqlite3.Error
            If the commit fails (full disk, I/O error): then nothing of it is in the ledger.
        """
        with self._lock:
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._commit()
            except BaseException:
                self._roll_back()
                raise

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    def _roll_back(self) -> None:
        # A transaction left open by a failed commit would take in the next one, which would then never commit and
        # still be acknowledged. (After some errors SQLite has already rolled back by itself.)
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def data_version(self) -> int:
        """Return a number that changes when another connection has committed (cheap: poll it)."""
        return int(self._rows("PRAGMA data_version")[0][0])

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query of another module of the store, without waiting for the write lock."""
        return self._rows(sql, *values)

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # Receiving --------------------------------------------------------------------------------------------------

    def find_instance(self, sop_uid: str) -> InstanceRow | None:
        """Return an acknowledged instance, or None."""
        rows = self._rows("SELECT * FROM instances WHERE sop_uid = ?", sop_uid)
        return InstanceRow(*rows[0]) if rows else None

    def add_instance(
        self,
        *,
        sop_uid: str,
        sop_class_uid: str,
        series_uid: str,
        study_uid: str,
        patient_id: str,
        transfer_syntax_uid: str,
        path: Path,
        sha256: str,
        size: int,
        association_id: str,
    ) -> None:
        """Index an instance whose bytes are already durable at `path`; when this returns, it may be acknowledged."""
        with self.transaction() as db:
            db.execute(
                "INSERT INTO instances (sop_uid, sop_class_uid, series_uid, study_uid, patient_id, "
                "transfer_syntax_uid, path, sha256, size, association_id, received_utc, received_s, boot_id) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    sop_uid, sop_class_uid, series_uid, study_uid, patient_id, transfer_syntax_uid,
                    self._relative(path), sha256, size, association_id,
                    utc_iso(utc_now()), monotonic_s(), self._boot_id,
                ),
            )  # fmt: skip

    def add_conflict(self, sop_uid: str, study_uid: str, path: Path, sha256: str) -> None:
        """Note that a known SOP Instance UID came with other bytes, which are kept at `path`."""
        with self.transaction() as db:
            cursor = db.execute(
                "INSERT OR IGNORE INTO conflicts (sop_uid, study_uid, path, sha256, received_utc) "
                "VALUES (?, ?, ?, ?, ?)",
                (sop_uid, study_uid, self._relative(path), sha256, utc_iso(utc_now())),
            )
            if cursor.rowcount:
                self.audit("conflict", {"sop_uid": sop_uid, "study_uid": study_uid, "sha256": sha256})

    def add_quarantine(self, path: Path, why: str, association_id: str) -> None:
        """Note bytes that were kept but could not be taken in."""
        with self.transaction() as db:
            db.execute(
                "INSERT INTO quarantine (path, reason, association_id, received_utc) VALUES (?, ?, ?, ?)",
                (self._relative(path), why, association_id, utc_iso(utc_now())),
            )
            self.audit("quarantined", {"reason": why})

    def instances(self, *, after_id: int = 0, study_uid: str | None = None) -> list[InstanceRow]:
        """Return instances in order of arrival: those after an id, of one study or of all."""
        if study_uid is None:
            rows = self._rows("SELECT * FROM instances WHERE id > ? ORDER BY id", after_id)
        else:
            rows = self._rows("SELECT * FROM instances WHERE study_uid = ? AND id > ? ORDER BY id", study_uid, after_id)
        return [InstanceRow(*row) for row in rows]

    def instance_paths(self) -> set[str]:
        """Return the paths, relative to the store's folder, of all files that were acknowledged."""
        return {row[0] for row in self._rows("SELECT path FROM instances UNION SELECT path FROM conflicts")}

    def conflicts(self, study_uid: str) -> list[str]:
        """Return the SOP Instance UIDs of a study that came with different bytes."""
        return [row[0] for row in self._rows("SELECT DISTINCT sop_uid FROM conflicts WHERE study_uid = ?", study_uid)]

    def quarantined(self) -> list[tuple[str, str]]:
        """Return (path, reason) of everything in quarantine, oldest first."""
        return [(row[0], row[1]) for row in self._rows("SELECT path, reason FROM quarantine ORDER BY id")]

    # Analysing --------------------------------------------------------------------------------------------------

    def put_frame(self, frame: FrameRow) -> None:
        """Publish a decoded slice (or the reason why there is none)."""
        with self.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO frames VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    frame.sop_uid, frame.study_uid, frame.series_uid, frame.position_mm, frame.row_spacing_mm,
                    frame.column_spacing_mm, frame.rows, frame.columns, frame.path, frame.problem,
                ),
            )  # fmt: skip

    def frames(self, study_uid: str) -> list[FrameRow]:
        """Return a study's slices by series, foot to head."""
        rows = self._rows(
            "SELECT * FROM frames WHERE study_uid = ? ORDER BY series_uid, position_mm, sop_uid", study_uid
        )
        return [FrameRow(*row) for row in rows]

    def put_study(
        self,
        study_uid: str,
        status: StudyStatus,
        *,
        patient: dict[str, Any] | None = None,
        progress: dict[str, Any] | None = None,
    ) -> None:
        """Create a study or update its status; `patient` and `progress` stay as they are when None."""
        now = utc_iso(utc_now())
        with self.transaction() as db:
            db.execute(
                "INSERT INTO studies (study_uid, status, first_s, first_utc, updated_utc) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (study_uid) DO UPDATE SET status = excluded.status, updated_utc = excluded.updated_utc",
                (study_uid, status.value, monotonic_s(), now, now),
            )
            if patient is not None:
                db.execute("UPDATE studies SET patient = ? WHERE study_uid = ?", (json.dumps(patient), study_uid))
            if progress is not None:
                db.execute("UPDATE studies SET progress = ? WHERE study_uid = ?", (json.dumps(progress), study_uid))

    def studies(self) -> list[StudyRow]:
        """Return all studies, the one that started last first."""
        rows = self._rows(
            "SELECT study_uid, status, patient, progress, first_s, first_utc, updated_utc FROM studies "
            "ORDER BY first_utc DESC, rowid DESC"
        )
        return [
            StudyRow(uid, StudyStatus(status), json.loads(patient), json.loads(progress), first_s, first, updated)
            for uid, status, patient, progress, first_s, first, updated in rows
        ]

    def start_attempt(self, study_uid: str) -> int:
        """Note, durably and before the model is touched, that an analysis begins; returns the attempt's id."""
        with self.transaction() as db:
            cursor = db.execute(
                "INSERT INTO attempts (study_uid, boot_id, pid, started_utc) VALUES (?, ?, ?, ?)",
                (study_uid, self._boot_id, os.getpid(), utc_iso(utc_now())),
            )
            return int(cursor.lastrowid or 0)

    def end_attempt(self, attempt_id: int, outcome: str) -> None:
        """Note how an attempt ended: done or failed."""
        with self.transaction() as db:
            db.execute(
                "UPDATE attempts SET outcome = ?, ended_utc = ? WHERE id = ?", (outcome, utc_iso(utc_now()), attempt_id)
            )

    def settle_attempts(self) -> None:
        """Judge attempts that a dead worker left running: same boot is a crash, another boot a power cut."""
        with self.transaction() as db:
            db.execute(
                "UPDATE attempts SET outcome = CASE boot_id WHEN ? THEN 'crashed' ELSE 'power_cut' END, ended_utc = ? "
                "WHERE outcome = 'running'",
                (self._boot_id, utc_iso(utc_now())),
            )

    def count_crashes(self, study_uid: str) -> int:
        """Return how many analyses of a study crashed or failed since its last result (power cuts do not count)."""
        rows = self._rows(
            "SELECT COUNT(*) FROM attempts WHERE study_uid = ? AND outcome IN ('crashed', 'failed') AND started_utc > "
            "(SELECT COALESCE(MAX(created_utc), '') FROM results WHERE study_uid = ?)",
            study_uid,
            study_uid,
        )
        return int(rows[0][0])

    def add_result(self, result: StudyResult, *, last_instance_id: int, attempt_id: int | None = None) -> StudyResult:
        """Write a result as the study's next revision, with its outbox rows and audit record, in one transaction.

        Returns
        -------
        StudyResult
            The result as stored, with its revision.
        """
        with self.transaction() as db:
            (revision,) = db.execute(
                "SELECT COALESCE(MAX(revision), 0) + 1 FROM results WHERE study_uid = ?", (result.study_uid,)
            ).fetchone()
            body = {**result.to_json(), "revision": revision}
            now = utc_iso(utc_now())
            db.execute(
                "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)",
                (result.study_uid, revision, now, monotonic_s(), json.dumps(body), last_instance_id),
            )
            self.put_study(result.study_uid, result.status)
            (crew_id,) = db.execute(
                "SELECT COALESCE(MAX(id), 0) FROM crew WHERE study_uid = ?", (result.study_uid,)
            ).fetchone()
            payload = json.dumps({"revision": revision, "last_instance_id": last_instance_id, "crew_id": crew_id})
            for kind in ("images", "result"):
                # What the vehicle sends to itself (edge_app.store.self_tests) leaves it for nobody.
                db.execute(
                    "INSERT INTO outbox (study_uid, kind, payload, created_utc, updated_utc) SELECT ?, ?, ?, ?, ? "
                    "WHERE NOT EXISTS (SELECT 1 FROM self_tests WHERE study_uid = ?)",
                    (result.study_uid, kind, payload, now, now, result.study_uid),
                )
            self.audit(
                "result",
                {
                    "study_uid": result.study_uid,
                    "revision": revision,
                    "status": body["status"],
                    "verdict": body["verdict"],
                    "model": body["model"],
                    "backend": body["backend"],
                },
            )
            if attempt_id is not None:
                self.end_attempt(attempt_id, "done")
        return StudyResult.from_json(body)

    def latest_result(self, study_uid: str) -> StudyResult | None:
        """Return the newest revision of a study's result, or None."""
        rows = self._rows("SELECT body FROM results WHERE study_uid = ? ORDER BY revision DESC LIMIT 1", study_uid)
        return StudyResult.from_json(json.loads(rows[0][0])) if rows else None

    def result_times(self, study_uid: str) -> tuple[str, float, int] | None:
        """Return (created_utc, created_s, last_instance_id) of the newest revision, or None."""
        rows = self._rows(
            "SELECT created_utc, created_s, last_instance_id FROM results WHERE study_uid = ? "
            "ORDER BY revision DESC LIMIT 1",
            study_uid,
        )
        return rows[0] if rows else None

    # Everybody --------------------------------------------------------------------------------------------------

    def audit(self, event: str, body: dict[str, Any]) -> None:
        """Append a record to the hash-chained audit trail."""
        with self.transaction() as db:
            audit.append(db, self.process, event, body)

    def beat(self, detail: dict[str, Any] | None = None) -> None:
        """Leave a sign of life. Called by the thing that must live, never by a helper thread."""
        with self.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO heartbeats VALUES (?, ?, ?, ?, ?, ?)",
                (self.process, os.getpid(), self._boot_id, monotonic_s(), utc_iso(utc_now()), json.dumps(detail or {})),
            )

    def heartbeats(self) -> dict[str, HeartbeatRow]:
        """Return the last sign of life of each process."""
        rows = self._rows("SELECT process, pid, boot_id, at_s, at_utc, detail FROM heartbeats")
        return {
            row[0]: HeartbeatRow(
                process=row[0], pid=row[1], boot_id=row[2], at_s=row[3], at_utc=row[4], detail=json.loads(row[5])
            )
            for row in rows
        }

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.paths.root).as_posix()


def _create_shared(path: Path) -> None:
    """Create the file so that the group may write: SQLite's own would not, and each process has a user of its own.

    One that is there is never opened here: closing it would let go of this process's locks on it.
    """
    if not path.exists():
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o660))
