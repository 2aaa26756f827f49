"""The real product with its watch: READY only after the phantom's answer was right, and not with a damaged model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_app.inference.bundle import demo_bundle_path
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.store.self_tests import last_self_test
from tests.integration.conftest import run_msu, start_serving, stop_serving
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def test_a_vehicle_is_fit_only_after_its_self_test_and_not_with_another_byte_in_the_model(tmp_path: Path) -> None:
    bundle = shutil.copytree(demo_bundle_path(), tmp_path / "bundle")
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f'data = "{tmp_path / "store"}"\n[receiver]\nport = 0\n[analysis]\nbundle = "{bundle}"\n'
        "[watch]\nself_test = true\n"
    )
    serving = start_serving(tmp_path / "store", config=settings)
    try:
        with Ledger(StorePaths(tmp_path / "store"), "test") as ledger:

            def unfit() -> set[str] | None:
                beat = ledger.heartbeats().get("watch")
                if beat is None:
                    return None
                findings: list[dict[str, Any]] = beat.detail["findings"]
                return {str(finding["code"]) for finding in findings if not finding["ok"]}

            wait_until(lambda: unfit() == set(), "the self-test passes", 180)
            last = last_self_test(ledger)
            assert last is not None and last[1] == "passed"
            assert ledger.instances() == [] and serving.cases() == []

            image = Path(bundle) / "image.onnx"
            whole = image.read_bytes()
            image.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
            wait_until(lambda: "F-03" in (unfit() or ()), "the damage is noticed", 120)
            image.write_bytes(whole)
            wait_until(lambda: unfit() == set(), "all is well again", 180)

            asked = run_msu("selftest", "--data", tmp_path / "store")
            assert asked.returncode == 0, asked.stderr
            assert asked.stdout.startswith("PASSED")
    finally:
        assert stop_serving(serving) == 0
