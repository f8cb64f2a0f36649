import dataclasses

import numpy as np
import pytest
import torch

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn.collect import collect
from jepa_bridge.learn.export import rollout_gap
from jepa_bridge.learn.identify import Like, identify
from jepa_bridge.learn.live import live
from jepa_bridge.learn.restore import module_from_bundle
from jepa_bridge.learn.retrain import Outcome, RetrainConfig, _worse, publish, refusal, retrain
from jepa_bridge.twin.randomise import Randomisation
from jepa_bridge.world.bundle import World, read_card
from jepa_bridge.world.card import WAY_FILE

from .flat_sim import flat_sim

QUICK = RetrainConfig(steps=4, episodes=2, place=True, arena="flat")


@pytest.fixture(scope="module")
def own(base, tmp_path_factory):
    """Four drives, half of them to goals, in the stand-in."""
    folder = tmp_path_factory.mktemp("own")
    return live(World.load(base), "flat", 4, folder, map_seed=1, steps=25, explore=0.5, make_sim=flat_sim)


@pytest.fixture(scope="module")
def outcome(base, own, shards, tmp_path_factory):
    return retrain(own, base, tmp_path_factory.mktemp("work"), QUICK, mix=shards, make_sim=flat_sim, commands=["c"])


def test_a_bundle_is_enough_to_go_on_training(base):
    module = module_from_bundle(base)
    assert rollout_gap(module, World.load(base)) < 1e-5


def test_the_base_weights_are_where_training_begins(base, own, shards, tmp_path):
    """With a learning rate of nothing, the candidate is its base."""
    still = dataclasses.replace(QUICK, learning_rate=0.0, place=False)
    found = retrain(own, base, tmp_path, still, mix=shards, make_sim=flat_sim)
    assert read_card(found.bundle).files.keys() == read_card(base).files.keys()
    assert rollout_gap(module_from_bundle(base), World.load(found.bundle)) < 1e-5
    assert found.worse == ()
    assert found.facts["closed_loop"]["base"] == found.facts["closed_loop"]["candidate"]


def test_the_card_tells_base_data_and_both_evaluations(outcome, base, own):
    card = read_card(outcome.bundle)
    told = card.metrics["retrained"]
    assert told["base"] == card.data["base"] == read_card(base).hash
    assert {path.name for path in own} <= set(card.data["names"])
    assert set(told["closed_loop"]) == set(told["prediction_held_out"]) == {"base", "candidate"}
    assert card.commands == ["c"]
    assert WAY_FILE in card.files


def test_a_finished_retraining_is_not_trained_again(outcome, base, own, shards):
    work = outcome.bundle.parent
    stamp = (work / "run" / "checkpoint.pt").stat().st_mtime_ns
    again = retrain(own, base, work, QUICK, mix=shards, make_sim=flat_sim)
    assert read_card(again.bundle).files == read_card(outcome.bundle).files
    assert torch.load(work / "run" / "checkpoint.pt", weights_only=True)["step"] == QUICK.steps
    assert stamp


def test_published_bundles_load_and_replace_older_ones(outcome, base, tmp_path):
    out = tmp_path / "out"
    publish(base, out)
    publish(outcome.bundle, out)
    assert World.load(out).hash == World.load(outcome.bundle).hash
    assert World.load(out).knows_the_way


def measured(reached=0.9, low=0.82, high=0.95, contacts=0.1):
    return {"reached": reached, "reached_low": low, "reached_high": high, "contacts_per_episode": contacts}


def predicted(position_m=0.05, heading_deg=4.0):
    return {"position_m": position_m, "heading_deg": heading_deg, "ranges_m": 0.1}


@pytest.mark.parametrize(
    ("loop", "prediction", "says"),
    [
        (measured(0.83), predicted(), ""),  # within the base's interval
        (measured(0.81), predicted(), "81.0 %"),
        (measured(contacts=0.15), predicted(), ""),
        (measured(contacts=0.30), predicted(), "0.30 times"),
        (measured(), predicted(position_m=0.054), ""),
        (measured(), predicted(position_m=0.056), "0.056 m"),
        (measured(), predicted(heading_deg=4.5), "4.500 degrees"),
    ],
)
def test_a_candidate_is_worse_only_beyond_chance(loop, prediction, says, tmp_path):
    worse = _worse(
        {"base": predicted(), "candidate": prediction}, {"base": measured(), "candidate": loop}, episodes=100
    )
    assert len(worse) == bool(says)
    if worse:
        error = refusal(Outcome(tmp_path, worse, {}))
        assert (error.code, error.status) == ("retrain-worse", Exit.MODEL_WORSE)
        assert says in error.message
        assert str(tmp_path) in error.hint


def test_a_bundle_of_other_graphs_is_told(base, tmp_path, monkeypatch):
    monkeypatch.setattr("jepa_bridge.learn.restore.rollout_gap", lambda *_: 0.5)
    with pytest.raises(BridgeError, match="differs") as caught:
        module_from_bundle(base)
    assert caught.value.code == "base-unlike"


def test_a_weak_wheel_and_a_slow_motor_are_found_in_the_drives(tmp_path):
    pytest.importorskip("mujoco")
    weak = Randomisation(left_gain=0.75, motor_lag_s=0.18)
    found = identify(collect("open", 6, tmp_path, seed=1, steps=60, randomised=0.0, make_sim=Like(weak)))
    assert found.left_gain == pytest.approx(0.75, abs=0.04)
    assert found.right_gain == pytest.approx(1.0, abs=0.04)
    assert found.motor_lag_s == pytest.approx(0.18, abs=0.03)


def test_drives_without_wheel_speeds_identify_nobody(shards):
    assert identify(shards) is None


def test_lived_shards_are_kept(base, own):
    before = [path.stat().st_mtime_ns for path in own]
    live(World.load(base), "flat", 4, own[0].parent, map_seed=1, steps=25, explore=0.5, make_sim=flat_sim)
    assert [path.stat().st_mtime_ns for path in own] == before
    with np.load(own[0], allow_pickle=False) as shard:
        assert shard["ranges_m"].shape == (4, 26, 8)
