"""Filling a store as the receiver does: real inbox, real ledger, associations opened and closed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import Dataset
from pynetdicom.dsutils import encode

from edge_app.store.associations import close_association, open_association
from edge_app.store.inbox import Inbox, Outcome
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths

__all__ = ["Sender"]


class Sender:
    """Stands in for scanner and receiver; use as a context manager."""

    def __init__(self, root: Path) -> None:
        self.ledger = Ledger(StorePaths(root), "receive")
        self._inbox = Inbox(self.ledger, min_free_bytes=0)
        self._numbers = itertools.count(1)

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    @contextmanager
    def association(self, outcome: str = "released") -> Iterator[str]:
        """Open an association and close it with `outcome`."""
        name = f"association-{next(self._numbers)}"
        open_association(self.ledger, name, "SIMCT", "MSU1", "test")
        yield name
        close_association(self.ledger, name, outcome)

    def store(self, ds: Dataset, association: str) -> Outcome:
        """Take in one object, as after its last byte has come."""
        syntax = ds.file_meta.TransferSyntaxUID
        content = encode(ds, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        assert content is not None
        return self._inbox.add_instance(
            content,
            sop_uid=ds.SOPInstanceUID,
            sop_class_uid=ds.SOPClassUID,
            transfer_syntax_uid=syntax,
            association_id=association,
            source_aet="SIMCT",
        )

    def push(self, datasets: Iterable[Dataset], outcome: str = "released") -> None:
        """Send objects over one association."""
        with self.association(outcome) as association:
            for ds in datasets:
                self.store(ds, association)
