import json

import numpy as np
import pytest

from jepa_bridge.errors import BridgeError
from jepa_bridge.learn.dataset import Drive, Windows
from jepa_bridge.learn.export import export
from jepa_bridge.learn.page import PLOTS, SAMPLING_PLOT
from jepa_bridge.learn.report import held_out, report
from jepa_bridge.learn.train import TrainConfig, train
from jepa_bridge.learn.validate import Forecast, band, plan_confidence, reliability, spearman
from jepa_bridge.world.bundle import World

TINY = {"tier": "tiny", "batch": 32, "warmup": 5, "checkpoint_every": 10}


def test_bands_cover_what_they_promise():
    rng = np.random.default_rng(0)
    errors = rng.exponential(np.arange(1, 4)[:, None], (3, 8000))
    radius = band(errors[:, ::2], 0.9)
    np.testing.assert_allclose((errors[:, 1::2] <= radius[:, None]).mean(axis=1), 0.9, atol=0.01)
    assert band(np.arange(9.0)[None], 0.9).tolist() == [8.0]  # with nine errors only the largest promises 90 %


def test_rank_correlation_and_reliability_on_cases_known_by_hand():
    assert spearman(np.array([1, 2, 3]), np.array([1, 10, 100])) == pytest.approx(1.0)
    assert spearman(np.array([1, 2, 3]), np.array([3, 2, 1])) == pytest.approx(-1.0)
    said = np.array([0.05, 0.95, 0.95, 0.95])
    bins = reliability(said, np.array([False, True, True, False]))
    assert bins == [pytest.approx((0.05, 0.0, 0.25)), pytest.approx((0.95, 2 / 3, 0.75))]


def test_a_plans_confidence_is_its_least_and_trouble_stays_trouble():
    good = np.array([[True, True, False], [True, False, False]])
    confidence = np.array([[0.9, 0.8, 0.1], [0.7, 0.3, 0.9]])
    zeros = np.zeros((2, 3))
    seen = Forecast(zeros, zeros, np.zeros((2, 3, 8)), good, ~good, good, confidence)
    found = plan_confidence(seen)
    assert found["auroc"] == 1.0
    assert found["event_share"] == pytest.approx(0.6667)
    assert found["auroc_all_horizons_horizon_only"] == pytest.approx(0.6667, abs=1e-4)


def test_leaving_a_wall_is_no_contact_but_staying_is():
    def windows(contact):
        contact = np.array(contact)
        steps = len(contact) - 1
        return Windows(
            [Drive(np.zeros((steps + 1, 11)), np.zeros((steps, 2)), np.zeros((steps + 1, 2)), contact)], horizon=steps
        )

    zero = np.array([0])
    assert windows([True, True, False]).batch(zero).touched.tolist() == [[False, False]]
    assert windows([True, True, True]).batch(zero).touched.tolist() == [[False, True]]
    assert windows([False, True, False]).batch(zero).touched.tolist() == [[True, False]]


def test_the_report_fills_the_card_and_draws(shards, tmp_path):
    checkpoint = train(shards, tmp_path / "run", TrainConfig(**TINY, steps=10))
    bundle = tmp_path / "bundle"
    card = export(checkpoint, bundle)
    assert (bundle / "loss.png").exists()
    findings = report(checkpoint, shards, bundle)
    assert {path.name for path in bundle.glob("*.png")} == set(PLOTS) - {SAMPLING_PLOT}
    after = World.load(bundle).card
    assert after.hash == card.hash
    metrics = json.loads(json.dumps(findings.metrics))
    assert after.metrics == {**card.metrics, **metrics}
    assert len(metrics["bands"]["position_coverage"]) == 10
    assert set(metrics["way_to_go"]) == {"open", "cluttered", "doorway"}
    export(checkpoint, bundle)
    assert [path.name for path in bundle.glob("*.png")] == ["loss.png"]  # the others judged another export


def test_a_report_of_another_run_is_refused(shards, tmp_path):
    checkpoint = train(shards, tmp_path / "run", TrainConfig(**TINY, steps=2))
    other = train(shards, tmp_path / "other", TrainConfig(**TINY, steps=2, seed=1))
    export(other, tmp_path / "bundle")
    with pytest.raises(BridgeError, match="predict different futures"):
        report(checkpoint, shards, tmp_path / "bundle")


def test_shards_that_were_not_trained_on_count_wholly(shards):
    assert len(held_out(shards, {path.name for path in shards})) == 2
    assert len(held_out(shards, {shards[0].name})) == 1 + 12
    with pytest.raises(BridgeError, match="at least 2 drives"):
        held_out(shards[:1], {shards[0].name})
