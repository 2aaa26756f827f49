"""Objects that are none, bombs and damaged pixels: quarantined with a reason, or shown as undecodable; nobody dies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from edge_app.core.errors import InputError
from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.worker.reading import read_instance
from tests.faults.hostile_objects import FOREIGN_PIXELS, NO_OBJECTS
from tests.instances import Instance, add, make_instance

MIB = 1 << 20

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, about what it is given


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(StorePaths(tmp_path / "store"), "receive") as ledger:
        yield ledger


@pytest.fixture
def inbox(ledger: Ledger) -> Inbox:
    return Inbox(ledger, min_free_bytes=0)


@pytest.mark.parametrize("name", NO_OBJECTS)
def test_what_is_no_object_is_quarantined_with_a_reason(inbox: Inbox, ledger: Ledger, name: str) -> None:
    instance = NO_OBJECTS[name]()
    with pytest.raises(InputError):
        add(inbox, instance)
    ((path, reason),) = ledger.quarantined()
    assert (ledger.paths.root / path).read_bytes() == instance.content
    assert reason.startswith("E-50")
    assert ledger.instances() == []
    assert {p.name for p in ledger.paths.root.parent.iterdir()} == {"store"}


_RUN = """
import resource, sys
from pathlib import Path
from edge_app.core.errors import InputError
from edge_app.worker.reading import read_instance
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for line in Path(sys.argv[1]).read_text().splitlines():
    try:
        print("read", " ".join((read_instance(Path(line)).problem or "decoded").split()))
    except InputError as error:
        print("refused", error.code)
print("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_the_worker_reads_them_all_without_dying_or_filling_its_memory(
    inbox: Inbox, ledger: Ledger, tmp_path: Path
) -> None:
    for make in FOREIGN_PIXELS.values():
        add(inbox, make())
    rows = ledger.instances()
    assert len(rows) == len(FOREIGN_PIXELS)
    names = tmp_path / "files"
    names.write_text("\n".join(str(ledger.paths.root / row.path) for row in rows))
    command = [sys.executable, "-W", "ignore", "-c", _RUN, str(names)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    *outcomes, memory = done.stdout.splitlines()
    assert len(outcomes) == len(rows)
    decoded = {name for name, outcome in zip(FOREIGN_PIXELS, outcomes, strict=True) if outcome == "read decoded"}
    claims = {name for name in FOREIGN_PIXELS if "claimed" in name}
    assert not decoded & claims
    assert "path and shell in the names" in decoded
    assert int(memory.split()[1]) * 1024 < 256 * MIB


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    syntax=st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]),
    damage=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 3000),
)
def test_a_data_set_damaged_at_random_is_stored_or_quarantined_and_read_or_refused(
    inbox: Inbox, ledger: Ledger, syntax: str, damage: list[tuple[int, bytes]], cut: int | None
) -> None:
    content = bytearray(make_instance("1.2.3", transfer_syntax_uid=syntax).content)
    for at, new in damage:
        content[at : at + len(new)] = new
    instance = Instance(bytes(content[:cut]), "1.2.3", "1.2.840.10008.5.1.4.1.1.2", syntax)
    known = len(ledger.quarantined())
    try:
        add(inbox, instance)
    except InputError:
        assert len(ledger.quarantined()) > known
        return
    newest = max((ledger.paths.root / "instances").rglob("*.dcm"), key=lambda path: path.stat().st_mtime_ns)
    try:
        read_instance(newest)
    except InputError:
        return
