"""The proof measures every claim on one corpus and writes down what came out, whether it holds or not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.training.data.phantoms import SCANNER, phantom
from training.data import synth
from training.data.synth import patient_id
from training.features import pad
from training.proof import corpus
from training.proof.__main__ import prove
from training.proof.claim import Sizes
from training.proof.corpus import plan_corpus
from training.proof.plain import MaskedGRU
from training.published import BiGRUModel, PublishedPatient

TINY = Sizes(
    gru_epochs=1,
    gru_repeats=1,
    leak_epochs=1,
    leak_repeats=1,
    train=8,
    validation=3,
    test=3,
    image_epochs=1,
    patient_epochs=2,
    timed_steps=2,
)


def test_sides_share_neither_patient_nor_scanner_and_no_scanner_stands_for_a_class() -> None:
    orders = plan_corpus(Sizes())
    patients = [patient_id(layout, o) for side in orders.values() for layout, listed in side.items() for o in listed]
    assert len(patients) == len(set(patients)) == 3 * (72 + 16 + 24)
    parks = {
        side: {order.personality.name for listed in layouts.values() for order in listed}
        for side, layouts in orders.items()
    }
    assert parks["train"] == parks["validation"] and not parks["train"] & parks["test"]
    for layout, listed in orders["train"].items():
        for label in {order.label for order in listed}:
            assert {order.personality.name for order in listed if order.label == label} == parks["train"], layout


def test_the_masked_gru_is_the_published_one_without_its_padding() -> None:
    torch.manual_seed(0)
    net = BiGRUModel(7).eval()
    masked, published = MaskedGRU(net), PublishedPatient(net, 7)
    rows = [np.random.default_rng(i).normal(size=(length, 7)).astype(np.float32) for i, length in enumerate((80, 5))]
    batch = pad(rows, [np.zeros(len(part), np.float32) for part in rows], np.zeros(2, np.int64))
    with torch.no_grad():
        together = masked(batch.features, batch.position_mm, batch.mask).logits
        alone = masked(batch.features[1:, :5], batch.position_mm[1:, :5], batch.mask[1:, :5]).logits
        assert torch.allclose(together[1:], alone, atol=1e-6)
        state = net.gru(batch.features[1:, :5])[1]
        assert torch.allclose(alone, net.fc(torch.cat([state[-2], state[-1]], dim=1)), atol=1e-6)
        assert not torch.allclose(published(batch.features, batch.position_mm, batch.mask).logits[1:], alone, atol=1e-3)


@pytest.fixture
def small_park(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synth, "make_study", phantom)
    for name, count in (("TRAINING_PERSONALITIES", 2), ("UNSEEN_PERSONALITIES", 1)):
        park = tuple(replace(SCANNER, name=f"{name.lower()}_{number}") for number in range(count))
        monkeypatch.setattr(corpus, name, park)
        if count == 2:
            monkeypatch.setattr("training.proof.confounding.TRAINING_PERSONALITIES", park)


@pytest.mark.usefixtures("small_park")
def test_a_proof_writes_an_entry_for_each_claim(tmp_path: Path) -> None:
    claims = prove(tmp_path, TINY, 1)
    written = json.loads((tmp_path / "proof.json").read_text())
    assert [set(claim) for claim in written["claims"]] == [{"id", "claim", "measured", "goal", "ok"}] * 6
    assert [claim["id"] for claim in written["claims"]] == [
        "unseen-scanners-gru", "unseen-scanners-transformer", "masked-gru-short-studies", "split-leak", "source-probe",
        "throughput",
    ]  # fmt: skip
    assert written["synthetic"] and "SYNTHETIC" in (tmp_path / "proof.html").read_text()
    leak = next(claim for claim in claims if claim.id == "split-leak")
    assert leak.measured["stopped_by"].startswith("E-701") and "stack" in leak.measured["stopped_by"]
    assert not (tmp_path / "work" / "leaking").exists() and not (tmp_path / "work" / "raw").exists()
    timed = next(claim for claim in claims if claim.id == "throughput")
    assert timed.measured["steps"] == 2 and len(timed.measured["epoch_s"]) == 2
    sets = corpus.make_corpus(tmp_path / "work", TINY, corpus.Workers(processes=1)).open()
    part = sets["train"].subset_of_studies([3, 1])
    assert [study.key for study in part.studies] == [sets["train"].studies[i].key for i in (3, 1)]
    mine = np.flatnonzero(sets["train"].study_of_slice == 1)
    assert np.array_equal(part.inputs(np.flatnonzero(part.study_of_slice == 1)), sets["train"].inputs(mine))
