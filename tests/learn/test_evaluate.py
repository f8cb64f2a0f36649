import json

import pytest

from jepa_bridge.learn.collect import EVALUATION_SEEDS
from jepa_bridge.learn.evaluate import evaluate, wilson
from jepa_bridge.plan.mppi import MppiConfig
from jepa_bridge.world.bundle import load_named

from .flat_sim import flat_sim


def test_wilson_intervals():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-3)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    low, high = wilson(450, 500)
    assert low == pytest.approx(0.8706, abs=1e-3)
    assert high == pytest.approx(0.9234, abs=1e-3)


def test_all_planners_drive_the_same_held_out_episodes():
    config = MppiConfig(samples=16, iterations=2)
    seen = []
    report = evaluate(
        load_named("small"),
        "flat",
        3,
        7,
        config=config,
        costs=("clearance", "embedding"),
        make_sim=flat_sim,
        progress=lambda *now: seen.append(now),
    )
    told = json.loads(json.dumps(report.to_json()))
    assert [row["planner"] for row in told["rows"]] == ["model", "contract_cost", "straight", "random"]
    rows = {row.planner: row for row in report.rows}
    assert rows["straight"].reached == 1.0
    assert rows["random"].reached < 1.0
    assert rows["model"].reached_low <= rows["model"].reached <= rows["model"].reached_high
    assert rows["straight"].path_ratio == pytest.approx(1.0, abs=0.3)
    assert [done for done, _, _ in seen] == list(range(1, 13))
    assert report.model_hash == load_named("small").hash


def test_evaluation_is_a_function_of_its_arguments_and_of_no_collected_arena():
    seeds = []

    def noting(arena, seed, randomisation=None):
        seeds.append(seed)
        return flat_sim(arena, seed, randomisation)

    arguments = (load_named("small"), "flat", 2, 1)
    reports = [evaluate(*arguments, floors=("random",), costs=("clearance",), make_sim=noting) for _ in range(2)]
    rows = [[(row.planner, row.reached, row.steps, row.jerk) for row in report.rows] for report in reports]
    assert rows[0] == rows[1]
    assert min(seeds) >= EVALUATION_SEEDS


def test_the_shipped_model_reaches_goals_in_the_twin():
    pytest.importorskip("mujoco")
    report = evaluate(load_named("small"), "open", 6, 100, floors=())
    assert report.rows[0].reached == 1.0
