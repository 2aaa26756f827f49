"""After a crash the store holds what was acknowledged, and nothing half-written."""

from __future__ import annotations

from edge_app.store.inbox import Inbox
from edge_app.store.ledger import Ledger
from edge_app.store.retention import REMOVED_SUFFIX
from edge_app.store.sweep import Swept, sweep_orphans
from tests.instances import STUDY_UID, add, make_instance


def test_half_written_files_go_and_unacknowledged_ones_are_kept_in_quarantine(inbox: Inbox, ledger: Ledger) -> None:
    add(inbox, make_instance("1.2.3"))
    add(inbox, make_instance("1.2.3", pixel=3))
    stored = {row.path for row in ledger.instances()}
    folder = ledger.paths.instance(STUDY_UID, "1").parent
    (folder / ".x.dcm.abc.part").write_bytes(b"half")
    (ledger.paths.quarantine / ".y.bin.abc.part").write_bytes(b"half")
    ledger.paths.instance(STUDY_UID, "1.2.4").write_bytes(b"whole but unknown")
    assert sweep_orphans(ledger) == Swept(removed=2, quarantined=1)
    left = {p.relative_to(ledger.paths.root).as_posix() for p in folder.iterdir()}
    assert stored <= left
    assert len(left) == 2  # the instance and its conflict
    ((path, reason),) = ledger.quarantined()
    assert (ledger.paths.root / path).read_bytes() == b"whole but unknown"
    assert "not acknowledged" in reason
    assert sweep_orphans(ledger) == Swept(0, 0)


def test_what_a_power_cut_left_of_a_removal_goes(inbox: Inbox, ledger: Ledger) -> None:
    add(inbox, make_instance())
    folder = ledger.paths.instance(STUDY_UID, "1").parent
    folder.rename(folder.with_name(folder.name + REMOVED_SUFFIX))
    assert sweep_orphans(ledger) == Swept(0, 0)
    assert not list((ledger.paths.root / "instances").iterdir())


def test_an_empty_store_needs_no_sweeping(ledger: Ledger) -> None:
    assert sweep_orphans(ledger) == Swept(0, 0)
