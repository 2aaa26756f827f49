from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.cli import NOT_AS_EXPECTED, main
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:
        for number in range(5):
            ledger.audit("event", {"number": number})
    return tmp_path / "store"


def tamper(store: Path, sql: str) -> None:
    with Ledger(StorePaths(store), "test") as ledger, ledger.transaction() as db:
        db.execute(sql)


def test_a_whole_trail_is_confirmed_with_its_last_hash(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "--data", str(store)]) == 0
    assert capsys.readouterr().out.startswith("OK 5 records, last hash ")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET body = '{}' WHERE seq = 3",
        "UPDATE audit SET at_utc = '2020-01-01T00:00:00Z' WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 3",
    ],
)
def test_the_first_broken_record_is_named(store: Path, sql: str, capsys: pytest.CaptureFixture[str]) -> None:
    tamper(store, sql)
    assert main(["audit", "verify", "--data", str(store)]) == NOT_AS_EXPECTED
    assert "BROKEN at record 3 of" in capsys.readouterr().err


def test_records_missing_at_the_end_change_the_last_hash(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["audit", "verify", "--data", str(store)])
    before = capsys.readouterr().out
    tamper(store, "DELETE FROM audit WHERE seq = 5")
    main(["audit", "verify", "--data", str(store)])
    assert capsys.readouterr().out.split()[-1] != before.split()[-1]
