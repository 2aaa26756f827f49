"""The ledger's tables and how one version becomes the next."""

from __future__ import annotations

import sqlite3

from edge_app.core.errors import StoreError

__all__ = ["SCHEMA_VERSION", "prepare"]

SCHEMA_VERSION = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS associations (  -- one row per DICOM association the receiver accepted
    id TEXT PRIMARY KEY,
    calling_aet TEXT NOT NULL, called_aet TEXT NOT NULL, peer TEXT NOT NULL,
    opened_utc TEXT NOT NULL, opened_s REAL NOT NULL,
    closed_utc TEXT, closed_s REAL,
    outcome TEXT NOT NULL DEFAULT 'open',    -- open | released | aborted | lost (the receiver died)
    boot_id TEXT NOT NULL, pid INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS instances (  -- what was acknowledged; a row here is the promise made by 0x0000
    id INTEGER PRIMARY KEY AUTOINCREMENT,    -- order of arrival
    sop_uid TEXT NOT NULL UNIQUE, sop_class_uid TEXT NOT NULL,
    series_uid TEXT NOT NULL, study_uid TEXT NOT NULL, patient_id TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    path TEXT NOT NULL,                      -- relative to the store's folder
    sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    association_id TEXT NOT NULL, received_utc TEXT NOT NULL, received_s REAL NOT NULL, boot_id TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS instances_by_study ON instances(study_uid, id);
CREATE TABLE IF NOT EXISTS conflicts (  -- same SOP Instance UID, other bytes: kept, and the study gets no AI result
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sop_uid TEXT NOT NULL, study_uid TEXT NOT NULL,
    path TEXT NOT NULL, sha256 TEXT NOT NULL, received_utc TEXT NOT NULL,
    UNIQUE (study_uid, sha256)               -- one row for each study whose images are in doubt
) STRICT;
CREATE TABLE IF NOT EXISTS quarantine (  -- bytes that could not be taken in, with the reason
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL, reason TEXT NOT NULL, association_id TEXT NOT NULL, received_utc TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS commitment_requests (  -- what peers asked us to commit to (PS3.4 Annex J)
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_uid TEXT NOT NULL, calling_aet TEXT NOT NULL,
    items TEXT NOT NULL,                     -- JSON: list of [SOP Class UID, SOP Instance UID]
    state TEXT NOT NULL DEFAULT 'open',      -- open | reported | given_up
    tries INTEGER NOT NULL DEFAULT 0, received_utc TEXT NOT NULL, updated_utc TEXT NOT NULL,
    problem TEXT NOT NULL DEFAULT '',
    UNIQUE (transaction_uid, calling_aet)
) STRICT;
CREATE TABLE IF NOT EXISTS orders (  -- the hospital's worklist, as it was last seen; see edge_app.store.orders
    step_id TEXT PRIMARY KEY,                -- what tells scheduled procedure steps apart
    accession_number TEXT NOT NULL, patient_id TEXT NOT NULL, study_uid TEXT NOT NULL,
    body TEXT NOT NULL, seen_utc TEXT NOT NULL   -- body: JSON
) STRICT;
CREATE TABLE IF NOT EXISTS order_matches (  -- which order a study belongs to, for the screen
    study_uid TEXT PRIMARY KEY, step_id TEXT NOT NULL,
    body TEXT NOT NULL, at_utc TEXT NOT NULL     -- body: JSON of the order, how it was found, what differs
) STRICT;
CREATE TABLE IF NOT EXISTS frames (  -- the worker's note on each CT slice it decoded for the screen (or could not)
    sop_uid TEXT PRIMARY KEY,
    study_uid TEXT NOT NULL, series_uid TEXT NOT NULL,
    position_mm REAL, row_spacing_mm REAL, column_spacing_mm REAL, rows INTEGER, columns INTEGER,
    path TEXT,                               -- relative to the store's folder; NULL when it could not be decoded
    problem TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS frames_by_study ON frames(study_uid, series_uid, position_mm);
CREATE TABLE IF NOT EXISTS studies (  -- one row per study, written by the worker
    study_uid TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    patient TEXT NOT NULL DEFAULT '{}',      -- JSON: what the patient band shows
    progress TEXT NOT NULL DEFAULT '{}',     -- JSON: slices seen, slices analysed, coverage_mm, ...
    first_s REAL NOT NULL, first_utc TEXT NOT NULL,
    updated_utc TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS attempts (  -- noted before the model is touched; see edge_app.worker
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    study_uid TEXT NOT NULL, boot_id TEXT NOT NULL, pid INTEGER NOT NULL,
    started_utc TEXT NOT NULL, ended_utc TEXT,
    outcome TEXT NOT NULL DEFAULT 'running'  -- running | done | stopped | failed | crashed | power_cut
) STRICT;
CREATE INDEX IF NOT EXISTS attempts_by_study ON attempts(study_uid, id);
CREATE TABLE IF NOT EXISTS results (  -- never changed once written; the newest revision counts
    study_uid TEXT NOT NULL, revision INTEGER NOT NULL,
    created_utc TEXT NOT NULL, created_s REAL NOT NULL,
    body TEXT NOT NULL,                      -- JSON of StudyResult
    last_instance_id INTEGER NOT NULL,       -- instances.id up to which it looked
    PRIMARY KEY (study_uid, revision)
) STRICT;
CREATE TABLE IF NOT EXISTS outbox (  -- what has to leave the vehicle
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    study_uid TEXT NOT NULL, kind TEXT NOT NULL,     -- images | result | notice
    payload TEXT NOT NULL,                           -- JSON: revision (0: no result yet), edition, ...
    state TEXT NOT NULL DEFAULT 'queued',            -- queued | sent | failed
    tries INTEGER NOT NULL DEFAULT 0, created_utc TEXT NOT NULL, updated_utc TEXT NOT NULL,
    problem TEXT NOT NULL DEFAULT ''         -- state, problem: over all destinations that are served
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_by_state ON outbox(state, kind, id);
CREATE TABLE IF NOT EXISTS dispatches (  -- how far one destination is with an outbox row; no row: not begun
    outbox_id INTEGER NOT NULL, destination TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',            -- queued | sent | failed
    tries INTEGER NOT NULL DEFAULT 0, updated_utc TEXT NOT NULL, problem TEXT NOT NULL DEFAULT '',
    message_sent INTEGER NOT NULL DEFAULT 0,         -- 1: the 4 KB message of a result is there
    PRIMARY KEY (outbox_id, destination)
) STRICT;
CREATE TABLE IF NOT EXISTS diversions (  -- where the run goes; the last row counts, see edge_app.store.diversion
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL, by TEXT NOT NULL, at_utc TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS commitments (  -- Storage Commitment transactions we asked for (PS3.4 Annex J)
    transaction_uid TEXT PRIMARY KEY,
    destination TEXT NOT NULL, study_uid TEXT NOT NULL, requested_utc TEXT NOT NULL,
    answered_utc TEXT                        -- NULL: not yet
) STRICT;
CREATE TABLE IF NOT EXISTS acknowledgements (  -- somebody at the centre has seen a result
    study_uid TEXT NOT NULL, revision INTEGER NOT NULL, destination TEXT NOT NULL,
    by TEXT NOT NULL, role TEXT NOT NULL, at_utc TEXT NOT NULL, received_utc TEXT NOT NULL,
    PRIMARY KEY (study_uid, revision, destination)
) STRICT;
CREATE TABLE IF NOT EXISTS deliveries (  -- one row per object and destination: the proof, or the refusals so far
    destination TEXT NOT NULL, sop_uid TEXT NOT NULL, study_uid TEXT NOT NULL,
    state TEXT NOT NULL,                     -- sent | refused | lost (the destination says it has it not)
    status INTEGER NOT NULL,                 -- DIMSE or HTTP status the destination answered; -1: never asked
    transfer_syntax_uid TEXT NOT NULL, sha256 TEXT NOT NULL,
    tries INTEGER NOT NULL, at_utc TEXT NOT NULL, problem TEXT NOT NULL DEFAULT '',
    sop_class_uid TEXT NOT NULL DEFAULT '',
    proof TEXT NOT NULL DEFAULT 'answered',  -- answered (Success) | found (asked for it) | committed
    proved_utc TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (destination, sop_uid)
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_by_study ON deliveries(study_uid);
CREATE TABLE IF NOT EXISTS crew (  -- what the crew entered on the screen; see edge_app.store.crew
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    study_uid TEXT NOT NULL,                 -- '' for what belongs to the screen itself
    kind TEXT NOT NULL, body TEXT NOT NULL,  -- body: JSON
    at_utc TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outcomes (  -- what the hospital found in the end; see edge_app.store.outcomes
    study_uid TEXT PRIMARY KEY,
    hemorrhage INTEGER NOT NULL, ischemic INTEGER, source TEXT NOT NULL, imported_utc TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS audit (  -- append-only, hash-chained; see edge_app.store.audit
    seq INTEGER PRIMARY KEY,
    at_utc TEXT NOT NULL, process TEXT NOT NULL, event TEXT NOT NULL, body TEXT NOT NULL,
    previous_hash TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS audit_exports (  -- up to which record a server has the trail
    server TEXT PRIMARY KEY, seq INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS self_tests (  -- studies the vehicle sends to itself; see edge_app.store.self_tests
    study_uid TEXT PRIMARY KEY, at_utc TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT '',        -- '' (under way) | passed | failed | stopped
    body TEXT NOT NULL DEFAULT '{}'          -- JSON: what was compared
) STRICT;
CREATE TABLE IF NOT EXISTS heartbeats (  -- the last sign of life of each process
    process TEXT PRIMARY KEY,
    pid INTEGER NOT NULL, boot_id TEXT NOT NULL, at_s REAL NOT NULL, at_utc TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '{}'        -- JSON
) STRICT;
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Create what an empty or older ledger lacks, or refuse one of another version.

    A later release may add tables and indexes: it finds the older ledger and adds them, and the older release, should
    it run again, does not see them. Any change to a table that is there needs a new `SCHEMA_VERSION`.

    Raises
    ------
    StoreError
        If the ledger was written by a version this program does not know.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise StoreError(
                f"ledger has schema version {version}, this program knows {SCHEMA_VERSION}",
                remedy="Install the release that wrote it, or start with an empty data folder.",
            )
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        if version == 0:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
