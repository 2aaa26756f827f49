"""The worker takes up another bundle between cases, or stays with the one it has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_app.core.config import Settings
from edge_app.core.errors import BundleError
from edge_app.core.types import CLASSES
from edge_app.inference.bundle import load_bundle
from edge_app.inference.installed import BundleStore
from edge_app.inference.manifest import IMAGE_FILE
from edge_app.inference.passport import GOLDEN_ANSWERS_FILE, GOLDEN_FILE, engines_folder, passport_path
from edge_app.inference.signature import TrustedKeys
from edge_app.store.ledger import Ledger
from edge_app.store.paths import StorePaths
from edge_app.worker import changeover as changeover_module
from edge_app.worker.changeover import Changeover, try_bundle
from tests.bundles import image_network, write_tiny_bundle
from tests.engines import golden_set

KEYS = TrustedKeys(development=True)


class Bench:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = Settings(data=root).replaced(analysis={"threads": 1, "switch_quiet_s": 60.0})
        self.store = BundleStore.of(self.settings)
        self.ledger = Ledger(StorePaths(root), "work")
        self.changeover = Changeover(self.settings, self.ledger)

    def restart(self) -> None:
        """Start a worker, as after the death of the one before."""
        self.changeover.close()
        self.changeover = Changeover(self.settings, self.ledger)
        self.changeover.start()

    def ask_for(self, version: str, **parts: Any) -> str:
        """Install a bundle as `msu bundle install` does."""
        folder = write_tiny_bundle(self.root / f"source-{version}", version=version, **parts)
        name = self.store.add(load_bundle(folder), KEYS)
        self.store.ask_for(name)
        return name

    @property
    def version(self) -> str:
        models = self.changeover.models
        return models.identity.version if models else ""

    def audited(self) -> list[str]:
        return [row[0] for row in self.ledger.read("SELECT event FROM audit ORDER BY seq")]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    with bench.ledger:
        yield bench
        bench.changeover.close()


def test_the_first_bundle_runs_as_soon_as_the_worker_starts(bench: Bench) -> None:
    name = bench.ask_for("1.0")
    bench.restart()
    assert (bench.version, bench.store.name("current")) == ("1.0", name)
    assert bench.audited() == ["bundle_taken_up"]
    assert bench.ledger.paths.model(bench.changeover.models.identity.sha256).is_file()  # type: ignore[union-attr]


def test_nothing_is_switched_while_a_case_is_under_way_or_just_over(bench: Bench) -> None:
    bench.ask_for("1.0")
    bench.restart()
    assert not bench.changeover.due(1e9)
    bench.ask_for("2.0")
    assert not bench.changeover.due(0.0) and not bench.changeover.due(59.9)
    assert bench.changeover.due(60.0)


def test_another_start_alone_switches_nothing(bench: Bench) -> None:
    bench.ask_for("1.0")
    bench.restart()
    bench.ask_for("2.0")
    bench.restart()
    assert bench.version == "1.0" and bench.store.has("next")


def test_between_cases_the_new_bundle_is_taken_up_and_the_old_one_kept(bench: Bench) -> None:
    first = bench.ask_for("1.0")
    bench.restart()
    second = bench.ask_for("2.0")
    bench.changeover.take_up()
    assert (bench.version, bench.changeover.problem) == ("2.0", "")
    assert (bench.store.name("current"), bench.store.name("previous")) == (second, first)


def answers() -> dict[str, bytes]:
    """Return a golden set and the answers of tiny networks whose verdict is the class of the highest mean."""
    rows = []
    for label in CLASSES:
        verdict = {"negative": "none_detected"}.get(label, label)
        rows.append({"probabilities": {name: float(name == label) for name in CLASSES}, "verdict": verdict})
    body = json.dumps({"patients": rows}).encode()
    return {GOLDEN_FILE: golden_set().to_bytes(), GOLDEN_ANSWERS_FILE: body}


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"patient": b"no network"}, "E-103|cannot load"),
        ({"profile_sha256": "0" * 64}, "preprocessing"),
        ({"image": image_network(scale=-40.0), "extra": answers()}, "golden patient"),
        ({"extra": {GOLDEN_FILE: b"noise", GOLDEN_ANSWERS_FILE: b"{}"}}, "golden set cannot be read"),
    ],
)
def test_a_bundle_that_fails_its_self_test_is_refused_and_the_old_one_runs_again(
    bench: Bench, parts: dict[str, Any], named: str
) -> None:
    first = bench.ask_for("1.0")
    bench.restart()
    bench.ask_for("2.0", **parts)
    bench.changeover.take_up()
    assert (bench.version, bench.store.name("current")) == ("1.0", first)
    assert not bench.store.has("next") and not bench.store.has("trial")
    refusal = bench.store.refusal
    assert refusal is not None
    assert any(word in refusal["why"] for word in named.split("|"))
    assert bench.audited()[-1] == "bundle_refused"
    bench.restart()
    assert bench.version == "1.0"


def test_golden_answers_that_come_out_as_they_should_let_it_in(bench: Bench) -> None:
    bench.ask_for("1.0", patient_bias=(0.0, 0.0, 0.0), image=image_network(scale=40.0), extra=answers())
    bench.restart()
    assert bench.version == "1.0", bench.store.refusal


def test_a_worker_that_died_while_it_tried_a_bundle_does_not_try_it_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.ask_for("1.0")
    bench.restart()
    bench.ask_for("2.0")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(changeover_module, "try_bundle", die)
    with pytest.raises(KeyboardInterrupt):
        bench.changeover.take_up()
    monkeypatch.undo()
    assert bench.store.has("trial")
    bench.restart()
    assert (bench.version, bench.store.name("current")) == ("1.0", first)
    assert bench.store.refusal is not None and "died" in bench.store.refusal["why"]


def test_a_bundle_that_is_damaged_later_gives_way_to_the_one_before(bench: Bench) -> None:
    first = bench.ask_for("1.0")
    bench.restart()
    second = bench.ask_for("2.0")
    bench.changeover.take_up()
    (bench.store.root / second / IMAGE_FILE).write_bytes(b"a bad block")
    bench.restart()
    assert (bench.version, bench.store.name("current")) == ("1.0", first)
    assert bench.audited()[-1] == "bundle_rolled_back"


def test_without_one_before_the_problem_is_told_and_no_demo_model_steps_in(bench: Bench) -> None:
    name = bench.ask_for("1.0")
    bench.restart()
    (bench.store.root / name / IMAGE_FILE).write_bytes(b"a bad block")
    bench.restart()
    assert bench.changeover.models is None and IMAGE_FILE in bench.changeover.problem


def test_a_bundle_in_the_settings_is_kept_to(bench: Bench, tmp_path: Path) -> None:
    fixed = write_tiny_bundle(tmp_path / "fixed", version="9.0")
    bench.settings = bench.settings.replaced(analysis={"bundle": str(fixed)})
    bench.ask_for("1.0")
    bench.restart()
    assert bench.version == "9.0" and not bench.changeover.due(1e9)


def test_an_untrusted_bundle_is_not_tried_at_all(bench: Bench, tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "foreign", key=Ed25519PrivateKey.generate())
    with pytest.raises(BundleError, match="not trusted"):
        try_bundle(folder, bench.settings)
    strict = bench.settings.replaced(analysis={"development_key": False})
    with pytest.raises(BundleError, match="DEVELOPMENT KEY"):
        try_bundle(write_tiny_bundle(tmp_path / "ours"), strict)


def test_engines_that_are_built_while_the_cpu_runs_are_taken_up_between_cases(bench: Bench) -> None:
    name = bench.ask_for("1.0")
    folder = engines_folder(bench.store.root / name, load_bundle(bench.store.root / name).sha256)
    folder.mkdir(parents=True)
    passport_path(folder, "image").write_text("of a build that did not end well")
    bench.restart()
    first = bench.changeover.models
    assert first is not None and first.remarks and not bench.changeover.due(1e9)
    passport_path(folder, "patient").write_text("one more")
    assert bench.changeover.due(1e9) and not bench.changeover.due(1.0)
    bench.changeover.take_up()
    assert bench.changeover.models is not first and bench.version == "1.0"
    assert not bench.changeover.due(1e9), "again and again"
