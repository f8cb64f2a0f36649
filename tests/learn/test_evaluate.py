import json
from dataclasses import replace
from typing import ClassVar

import pytest

from jepa_bridge.errors import BridgeError
from jepa_bridge.learn.collect import EVALUATION_SEEDS
from jepa_bridge.learn.evaluate import PLANNERS, evaluate, wilson
from jepa_bridge.plan.mppi import MppiConfig
from jepa_bridge.world.bundle import load_named

from .flat_sim import flat_sim

QUICK = MppiConfig(samples=16, iterations=2)
FLAT = ("model", "model_no_gate", "contract_cost", "random", "straight")  # the oracle knows the twin only


def test_wilson_intervals():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-3)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    low, high = wilson(450, 500)
    assert low == pytest.approx(0.8706, abs=1e-3)
    assert high == pytest.approx(0.9234, abs=1e-3)


def test_all_planners_drive_the_same_held_out_episodes():
    seen, maps = [], []

    def noting(arena, seed, randomisation=None):
        maps.append(seed)
        return flat_sim(arena, seed, randomisation)

    arguments = {"planners": FLAT, "config": QUICK, "make_sim": noting, "progress": lambda *now: seen.append(now)}
    report = evaluate(load_named("small"), "flat", 3, 7, **arguments)
    rows = {row.planner: row for row in report.rows}
    assert rows["straight"].reached == 1.0
    assert rows["straight"].path_ratio == pytest.approx(1.0, abs=0.3)
    assert rows["random"].reached < 1.0
    assert rows["random"].jerk > rows["straight"].jerk
    assert rows["random"].missed
    assert [(done, total) for done, total, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert len(set(maps)) == 3
    assert min(maps) >= EVALUATION_SEEDS

    def told(report):
        return [{**row, "plan_ms": 0} for row in report.to_json()["rows"]]

    again = evaluate(load_named("small"), "flat", 3, 7, **arguments)
    assert told(again) == told(report)
    other = evaluate(load_named("small"), "flat", 3, 8, **{**arguments, "planners": ("random",)})
    assert other.rows[0].jerk != rows["random"].jerk


def test_the_report_has_the_shape_that_programs_read():
    pytest.importorskip("mujoco")
    report = evaluate(load_named("small"), "cluttered", 1, 0, config=QUICK)
    told = json.loads(json.dumps(report.to_json()))
    assert set(told) == {"arena", "episodes", "seed", "rows"}
    assert (told["arena"], told["episodes"], told["seed"]) == ("cluttered", 1, 0)
    assert [row["planner"] for row in told["rows"]] == list(PLANNERS)
    for row in told["rows"]:
        wanted = {"planner", "reached", "reached_low", "reached_high", "contacts_per_episode", "path_ratio", "jerk"}
        assert wanted <= set(row)
        assert row["reached_low"] <= row["reached"] <= row["reached_high"]


class Doubtful:
    """The shipped model, without any confidence; the reference plans through it, for its graphs are sure."""

    planners: ClassVar[dict[str, dict[str, object]]] = {}

    def __init__(self):
        self._world = load_named("small")
        self.card, self.path, self.embedding_dim = self._world.card, self._world.path, self._world.embedding_dim

    def __getattr__(self, name):
        return getattr(self._world, name)

    def predict(self, embeddings, actions):
        embeddings, confidence = self._world.predict(embeddings, actions)
        return embeddings, confidence * 0.0


def test_the_gate_has_a_row_of_its_own():
    planners = ("model", "model_no_gate")
    config = replace(QUICK, slew=2.0)  # the stand-in's wheels have no speed to begin from
    report = evaluate(Doubtful(), "flat", 2, 0, planners=planners, config=config, make_sim=flat_sim)
    gated, driven = report.rows
    assert gated.doubted == driven.doubted == 1.0
    assert driven.reached == 1.0
    assert gated.jerk != driven.jerk  # the fallback drove


def test_the_models_own_maps_are_refused():
    world = load_named("small")
    world.card = replace(world.card, data={"arena_seeds": {"flat": [7]}})
    arguments = {"planners": ("random",), "make_sim": flat_sim, "arena_seed": 7}
    with pytest.raises(BridgeError) as raised:
        evaluate(world, "flat", 1, 0, **arguments)
    assert raised.value.code == "not-held-out"
    assert evaluate(world, "flat", 1, 0, known_map=True, **arguments).episodes == 1


def test_workers_change_nothing():
    pytest.importorskip("mujoco")
    reports = [evaluate(load_named("small"), "open", 3, 5, planners=("random", "straight"), workers=n) for n in (1, 2)]
    told = [[replace(row, plan_ms=0.0) for row in report.rows] for report in reports]
    assert told[0] == told[1]


def test_the_shipped_model_reaches_goals_in_the_twin():
    pytest.importorskip("mujoco")
    report = evaluate(load_named("small"), "open", 4, 100, planners=("model",))
    assert report.rows[0].reached == 1.0
