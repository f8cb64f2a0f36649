from __future__ import annotations

import pytest

from jepa_bridge.learn.compile import add_planners
from jepa_bridge.learn.export import export
from jepa_bridge.learn.precision import reduce
from jepa_bridge.learn.train import TrainConfig, Trainer
from jepa_bridge.plan.compiled import CompiledPlanner, make_planner
from jepa_bridge.plan.device import GOAL, OBSERVATION
from jepa_bridge.world.bundle import World, read_card
from jepa_bridge.world.card import PLANNER_FILES


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    Trainer(TrainConfig(tier="tiny", steps=0)).save(folder / "checkpoint.pt", {})
    for precision in ("fp32", "int8"):
        export(folder / "checkpoint.pt", folder / precision, precision=precision)
    return folder


def test_int8_plans_nearly_the_same(bundles):
    planners = [make_planner(World.load(bundles / precision)) for precision in ("fp32", "int8")]
    assert all(isinstance(planner, CompiledPlanner) for planner in planners)
    exact, rough = (planner.plan(OBSERVATION, GOAL, 0, None) for planner in planners)
    assert rough != exact
    assert rough.cost == pytest.approx(exact.cost, abs=0.2)
    assert rough.confidence == pytest.approx(exact.confidence, abs=0.2)
    assert planners[1].plan(OBSERVATION, GOAL, 0, None) == rough


def test_only_the_planners_differ_and_the_card_says_so(bundles):
    exact, rough = read_card(bundles / "fp32"), read_card(bundles / "int8")
    assert (exact.precision, rough.precision) == ("fp32", "int8")
    assert {name for name in exact.files if exact.files[name] != rough.files[name]} == set(PLANNER_FILES)
    assert exact.planners == rough.planners


def test_planners_made_anew_keep_their_precision_unless_told(bundles):
    assert add_planners(bundles / "int8").precision == "int8"
    assert add_planners(bundles / "int8", "fp32").files == read_card(bundles / "fp32").files


def test_an_unknown_precision_is_refused(bundles):
    with pytest.raises(ValueError, match="int7"):
        reduce(bundles / "fp32" / PLANNER_FILES[0], "int7")
