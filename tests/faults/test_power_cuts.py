"""[R11] Power cuts: wherever one falls, every acknowledged image is there afterwards, whole.

A process takes images in with the real inbox and ledger while a shim records each write, rename and sync of it, of
SQLite's too. The records are then played back up to each chosen point onto a pessimist's disk (`disk_after_cut`), a
receiver starts on what is left, and what had been acknowledged by then is looked for.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_app.store import audit
from edge_app.store.intact import is_intact
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.store.sweep import sweep_orphans
from tests.faults.disk_after_cut import Operation, read_operations, write_disk

CUTS = 210
IMAGES = 14

_TAKE_IN = """
import os, sys
from pathlib import Path
from edge_app.core.errors import InputError
from edge_app.store.associations import open_association
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from tests.instances import add, make_instance
acknowledged = os.open(sys.argv[1] + ".acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
with Ledger(StorePaths(Path(sys.argv[1])), "receive") as ledger:
    inbox = Inbox(ledger, 0)
    open_association(ledger, "a1", "SCANNER", "MSU1", "test")
    for number in range(int(sys.argv[2])):
        # Two studies, one image again, one conflict, one object for quarantine: every way through the inbox.
        name = f"1.2.{number if number != 5 else 4}"
        instance = make_instance(name, study_uid=f"1.9.{number % 2}", pixel=number if number != 5 else 4)
        add(inbox, instance)
        os.write(acknowledged, f"{instance.sop_uid}\\n".encode())
        if number == 7:
            add(inbox, make_instance("1.2.7", study_uid="1.9.1", pixel=99))
            try:
                inbox.add_instance(b"?" * 300, **instance.announced())
            except InputError:
                pass
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Operation]]:
    """Return the store's folder and what was done to it (and to the list of acknowledgements beside it)."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux")
    folder = tmp_path_factory.mktemp("recorded")
    shim, log, store = folder / "record_io.so", folder / "log", folder / "store"
    source = Path(__file__).with_name("record_io.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True, timeout=60)
    environment = {**os.environ, "LD_PRELOAD": str(shim), "RECORD_ROOT": str(store), "RECORD_LOG": str(log)}
    command = [sys.executable, "-c", _TAKE_IN, str(store), str(IMAGES)]
    subprocess.run(command, check=True, timeout=120, env=environment, cwd=Path(__file__).parents[2])
    return str(store), read_operations(log)


def _acknowledged(operations: list[Operation], store: str) -> list[str]:
    return [o.data.decode().strip() for o in operations if o.kind == "W" and o.path == f"{store}.acknowledged"]


def _cut(recorded: tuple[str, list[Operation]], at: int, target: Path, survives: str, seed: int) -> list[str]:
    """Cut the power after `at` operations; returns what had been acknowledged by then."""
    store, operations = recorded
    done = operations[:at]
    inside = [o for o in done if not o.path.startswith(f"{store}.") and not o.path.endswith("-shm")]
    write_disk(inside, store, target, survives, seed)
    return _acknowledged(done, store)


def test_everything_was_recorded(recorded: tuple[str, list[Operation]], tmp_path: Path) -> None:
    store, operations = recorded
    assert len(_acknowledged(operations, store)) == IMAGES
    assert {o.kind for o in operations} >= set("CMWRSU")
    assert sum(o.path.endswith("-wal") and o.kind == "W" for o in operations) > IMAGES
    acknowledged = _cut(recorded, len(operations), tmp_path / "disk", "none", 0)
    assert len(set(acknowledged)) == IMAGES - 1


def test_the_disk_forgets_what_was_not_synced(recorded: tuple[str, list[Operation]], tmp_path: Path) -> None:
    """The proof has teeth: without the inbox's own syncs, images are lost."""
    store, operations = recorded
    careless = [o for o in operations if o.kind != "S" or "ledger" in o.path]
    write_disk(
        [o for o in careless if not o.path.startswith(f"{store}.") and not o.path.endswith("-shm")],
        store,
        tmp_path / "disk",
        "none",
        0,
    )
    assert not list((tmp_path / "disk").rglob("*.dcm"))


@pytest.mark.requirement("R11")
def test_no_acknowledged_image_is_lost_in_two_hundred_power_cuts(
    recorded: tuple[str, list[Operation]], tmp_path: Path
) -> None:
    _, operations = recorded
    # "all" is what a kill leaves: the system goes on and writes the rest. Points are spread over the whole run.
    choose = random.Random(2026)
    points = sorted(choose.randrange(1, len(operations) + 1) for _ in range(CUTS))
    survivors = 0
    for number, at in enumerate(points):
        disk = tmp_path / f"disk-{number}"
        acknowledged = _cut(recorded, at, disk, ("none", "some", "all")[number % 3], number)
        with Ledger(StorePaths(disk), "receive") as ledger:
            sweep_orphans(ledger)
            rows = {row.sop_uid: row for row in ledger.instances()}
            assert rows.keys() >= set(acknowledged), f"cut after operation {at}"
            assert all(is_intact(ledger.paths, row) for row in rows.values()), f"cut after operation {at}"
            with ledger.transaction() as db:
                assert audit.verify(db) is None
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            on_disk = {p.relative_to(disk).as_posix() for p in (disk / "instances").rglob("*") if p.is_file()}
            assert on_disk == ledger.instance_paths()
            survivors += len(acknowledged)
        shutil.rmtree(disk)
    assert survivors > 5 * CUTS
