"""`bench plan` measures what it says it measures; how fast anything is, is not for a test to say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from jepa_bridge.cli.bench import command
from jepa_bridge.learn.baselines import GruModel, StatelessModel, TorchMppi, library_mppi
from jepa_bridge.learn.bench import PLANNERS, bench_plan, estimates
from jepa_bridge.learn.export import export
from jepa_bridge.learn.floor import Product, gflop, measure_floor, plan_products
from jepa_bridge.learn.model import WorldModule
from jepa_bridge.learn.train import TrainConfig, Trainer
from jepa_bridge.plan.mppi import MppiConfig

ROW = {"planner", "tier", "samples", "horizon", "iterations", "median_ms", "p99_ms", "gflop"}
VECTOR, GOAL = np.full(11, 0.4, np.float32), np.full(11, 0.6, np.float32)
SMALL_BUDGET = MppiConfig(samples=4, iterations=2, horizon=3)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    Trainer(TrainConfig(tier="tiny", steps=0)).save(folder / "checkpoint.pt", {})
    export(folder / "checkpoint.pt", folder / "bundle")
    return folder / "bundle"


def test_the_json_is_what_the_issue_asks_for(bundle, tmp_path):
    picture = tmp_path / "plan.png"
    options = ["plan", "--json", "--model", str(bundle), "--rounds", "2", "--no-scaling", "--no-footprint"]
    ran = CliRunner().invoke(command, [*options, "--plot", str(picture)])
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)
    assert report["threads"] == 1
    assert report["floor_gflops"] > 0
    assert [row["planner"] for row in report["rows"]] == list(PLANNERS)
    assert all(set(row) >= ROW and 0 < row["median_ms"] <= row["p99_ms"] for row in report["rows"])
    budgets = {row["planner"]: (row["samples"], row["horizon"], row["iterations"]) for row in report["rows"]}
    assert {budgets[name] for name in PLANNERS if name != "ours_sampling"} == {(64, 10, 5)}
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_only_what_was_asked_for_runs(bundle):
    report = bench_plan([str(bundle)], rounds=2, planners=["ours"], scaling=False)
    assert [row["planner"] for row in report["rows"]] == ["ours"]
    assert "scaling" not in report


def test_an_unknown_planner_is_refused(bundle):
    ran = CliRunner().invoke(command, ["plan", "--model", str(bundle), "--only", "theirs"])
    assert ran.exit_code == 2


def test_a_plans_products_are_counted_from_the_graphs(bundle):
    config = MppiConfig(samples=7, iterations=3)
    module = WorldModule("tiny")
    weights = [item.numel() for item in module.predictor.parameters() if item.dim() == 2]
    rollouts = [item for item in plan_products(bundle, config, readout=False) if item.rows == 7]
    assert sum(item.inner * item.columns for item in rollouts) == sum(weights)
    assert {item.count for item in rollouts} == {3 * 10}
    assert gflop([Product(2, 3, 5, 4)]) == pytest.approx(2e-9 * 2 * 3 * 5 * 4)


def test_the_floor_is_that_of_the_faster_library():
    floor = measure_floor([Product(8, 16, 32, 10), Product(1, 16, 8)], threads=1)
    assert floor.gflops >= 0.999 * max(floor.onnxruntime_gflops, floor.torch_gflops)


def test_the_gru_is_of_the_size_that_it_is_compared_by():
    assert GruModel().multiply_adds() == pytest.approx(218_000, rel=0.001)


@pytest.mark.parametrize("model", [GruModel(), StatelessModel(WorldModule("tiny"))])
def test_the_baselines_plan(model):
    actions, cost, confidence = TorchMppi(model, SMALL_BUDGET).plan(VECTOR, GOAL)
    assert actions.shape == (3, 2)
    assert cost > 0
    assert 0 < confidence < 1
    assert library_mppi(model, SMALL_BUDGET)(VECTOR, GOAL).shape == (3, 2)


def test_an_estimate_scales_with_the_machines_peak():
    told = estimates({"planner": "ours", "gflop": 0.3, "median_ms": 3.0}, peak_gflops=200.0)
    assert told["efficiency"] == 0.5
    for name, peak in told["assumed_peak_gflops"].items():
        assert told["ms"][name] == pytest.approx(1e3 * 0.3 / (0.5 * peak), abs=0.1)
