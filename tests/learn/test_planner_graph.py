"""The compiled planner against the readable one: rounding is all that may differ.

One iteration weighs samples by exp(-cost / (0.1 spread)), so it magnifies what rounding does to a cost a hundredfold,
and the next iteration starts from there. Each iteration by itself must agree everywhere; five in a row must in all
situations but those few on an edge between two ways to go, where rounding decides in the reference too.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from jepa_bridge.learn.compile import add_planners
from jepa_bridge.learn.export import export
from jepa_bridge.learn.model import TIERS, Lift
from jepa_bridge.learn.restore import module_from_bundle
from jepa_bridge.learn.train import TrainConfig, Trainer
from jepa_bridge.learn.wayfinding import WayToGo, attach
from jepa_bridge.plan import mppi
from jepa_bridge.plan.compiled import CompiledPlanner, make_planner
from jepa_bridge.plan.mppi import MppiConfig
from jepa_bridge.resources import shipped
from jepa_bridge.types import Goal, Observation
from jepa_bridge.world.bundle import World, load_named
from jepa_bridge.world.card import CARD

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """One of each tier, and a tiny one with a place; weights are random, biases too."""
    folder = tmp_path_factory.mktemp("bundles")
    made = {tier: made_up(tier, folder / tier) for tier in TIERS}
    made["lived"] = made_up("tiny", folder / "lived")
    torch.manual_seed(2)
    attach(made["lived"], module_from_bundle(made["lived"]), WayToGo().eval(), Lift().eval(), {})
    return {name: World.load(path) for name, path in made.items()}


def made_up(tier, folder):
    trainer = Trainer(TrainConfig(tier=tier, steps=0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trainer.module.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape, generator=generator))
    folder.mkdir()
    trainer.save(folder / "checkpoint.pt", {})
    export(folder / "checkpoint.pt", folder / "bundle")
    return folder / "bundle"


def situations(count):
    rng = np.random.default_rng(5)
    for index in range(count):
        ranges = tuple(None if rng.random() < 0.1 else float(metres) for metres in rng.uniform(0, 2, 8))
        speeds = rng.uniform(-0.5, 0.5, 2) if index % 4 else (0.0, 0.0)
        seen = Observation(index, 0, ranges, *rng.uniform(0, 5, 2), float(rng.uniform(-3, 3)), *speeds)
        goal = Goal(
            *rng.uniform(0, 5, 2),
            heading_rad=float(rng.uniform(-3, 3)) if index % 2 else None,
            ranges_m=tuple(float(metres) for metres in rng.uniform(0, 2, 8)) if index % 3 == 0 else None,
            radius_m=float(rng.uniform(0.1, 0.4)),
        )
        if index % 5 == 0:  # nearly there
            goal = dataclasses.replace(goal, x_m=seen.x_m + 0.1, y_m=seen.y_m - 0.2)
        warm_start = rng.uniform(-1, 1, (10, 2)).astype(np.float32) if index % 3 else None
        yield seen, goal, index, warm_start


@pytest.mark.parametrize("cost", ["default", "embedding"])
@pytest.mark.parametrize("name", [*TIERS, "lived"])
def test_the_compiled_planner_says_what_the_reference_says(bundles, name, cost):
    # weights that nobody trained hardly tell samples apart: a higher temperature stands in for their larger spread
    compare(bundles[name], MppiConfig(cost=cost, temperature=0.5))


@pytest.mark.parametrize("cost", ["default", "embedding"])
@pytest.mark.parametrize("name", sorted(path.name for path in shipped("models").iterdir() if path.is_dir()))
def test_the_shipped_models_plan_as_the_reference_does(name, cost):
    world = load_named(name)
    if not isinstance(make_planner(world, MppiConfig(cost=cost)), CompiledPlanner):
        pytest.skip(f"{name} was exported before its planner was compiled as it is now")
    compare(world, MppiConfig(cost=cost))


def compare(world, config):
    compiled, reference = make_planner(world, config, seed=3), mppi.Planner(world, config, seed=3)
    assert isinstance(compiled, CompiledPlanner)
    gaps = []
    for seen, goal, index, begin in situations(12):
        warm_start = begin
        for iteration in range(config.iterations):
            arguments = seen, goal, 100 * index + iteration, warm_start, 1
            found, expected = compiled.plan(*arguments), reference.plan(*arguments)
            assert gap(found, expected) < TOLERANCE
            rest = {"actions": found.actions, "cost": found.cost, "confidence": found.confidence}
            assert found == dataclasses.replace(expected, **rest)
            warm_start = np.array(expected.actions, np.float32)
        arguments = seen, goal, index, begin
        gaps.append(gap(compiled.plan(*arguments), reference.plan(*arguments)))
    assert sorted(gaps)[-3] < TOLERANCE, gaps


def gap(found, expected):
    """The largest difference between two plans."""
    actions = np.abs(np.subtract(found.actions, expected.actions)).max()
    return max(actions, abs(found.cost - expected.cost), abs(found.confidence - expected.confidence))


@pytest.mark.parametrize(
    "change", [{"samples": 2}, {"samples": 15}, {"samples": 128}, {"temperature": 1.0}, {"slew": 2.0}, {"slew": 0.1}]
)
def test_all_but_cost_and_horizon_is_free(bundles, change):
    config = MppiConfig(**{"temperature": 0.5, **change})
    compiled, reference = (make(bundles["tiny"], config) for make in (make_planner, mppi.Planner))
    arguments = next(situations(1))
    found, expected = (planner.plan(*arguments, 1) for planner in (compiled, reference))
    np.testing.assert_allclose(found.actions, expected.actions, atol=TOLERANCE)


def test_fewer_iterations_are_the_same_search_cut_short(bundles):
    compiled, reference = (make(bundles["tiny"], MppiConfig(temperature=0.5)) for make in (make_planner, mppi.Planner))
    arguments = next(situations(1))
    for iterations in (1, 3):
        found, expected = (planner.plan(*arguments, iterations) for planner in (compiled, reference))
        assert found.iterations == expected.iterations == iterations
        np.testing.assert_allclose(found.actions, expected.actions, atol=TOLERANCE)


def test_the_same_inputs_give_the_same_bits_whatever_was_planned_before(bundles):
    world = bundles["small"]
    used, fresh = (make_planner(World.load(world.path), seed=3) for _ in range(2))
    for arguments in situations(4):
        used.plan(*arguments)
    arguments = next(situations(1))
    plan = used.plan(*arguments)
    assert [used.plan(*arguments), fresh.plan(*arguments)] == [plan, plan]


def test_what_was_not_compiled_is_planned_by_the_reference(bundles):
    assert isinstance(make_planner(bundles["tiny"], MppiConfig(horizon=8)), mppi.Planner)
    assert isinstance(make_planner(bundles["lived"], MppiConfig(cost="clearance")), mppi.Planner)
    assert isinstance(make_planner(bundles["lived"], MppiConfig(cost="waytogo")), CompiledPlanner)


def test_a_graph_of_other_weights_is_left_alone(tmp_path):
    bundle = made_up("tiny", tmp_path / "b")
    card = json.loads((bundle / CARD).read_text())
    card["planners"]["planner.onnx"]["weights"]["doubt"] = 7.0
    (bundle / CARD).write_text(json.dumps(card))
    assert isinstance(make_planner(World.load(bundle)), mppi.Planner)
    add_planners(bundle)
    assert isinstance(make_planner(World.load(bundle)), CompiledPlanner)


def test_all_of_equal_cost_weigh_the_same():
    from jepa_bridge.learn.planner_graph import order, weigh

    temperature = torch.tensor(0.1)
    np.testing.assert_allclose(weigh(torch.ones(1, 5), order(5), temperature), 0.2, rtol=1e-6)
    for costs in ([1, 1, 1, 9], [2, 1], [3, 1, 2, 50], [4, 1, 7]):
        given = np.array(costs, np.float32)
        np.testing.assert_allclose(
            weigh(torch.from_numpy(given[None]), order(len(given)), temperature)[0], mppi.weigh(given, 0.1), atol=1e-6
        )
