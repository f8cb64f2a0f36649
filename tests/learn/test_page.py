"""The page of a bundle says what its card says."""

from __future__ import annotations

import shutil

import pytest

from jepa_bridge.learn.evaluate import Report, Row
from jepa_bridge.learn.page import PAGE, evaluation, keep_evaluation, update_metrics
from jepa_bridge.world.bundle import World, read_card


@pytest.fixture
def bundle(base, tmp_path):
    shutil.copytree(base, tmp_path / "mine")
    return tmp_path / "mine"


def report(planner: str, reached: float, seed: int = 3) -> Report:
    row = Row(planner, reached, 0.9, 1.0, 0.01, 1.1, 0.2, 40.0, 3.0, 0.1, (1, 2))
    return Report("cluttered", 500, seed, (row,))


def keep(bundle, found: Report) -> str:
    keep_evaluation(bundle, *evaluation(found, dynamics=0.25, across=False, arena_seed=None))
    return (bundle / PAGE).read_text(encoding="utf-8")


def test_rows_of_the_same_episodes_come_into_one_table(bundle):
    keep(bundle, report("model", 0.981))
    page = keep(bundle, report("oracle", 1.0))
    assert "### cluttered, dynamics 25 % off: 500 held-out episodes, seed 3" in page
    assert "| model | 98.1 [90.0, 100.0] | 0.010 | 1.10 | 0.20 |" in page
    assert "| oracle | 100.0" in page


def test_other_episodes_replace_the_table(bundle):
    keep(bundle, report("model", 0.981))
    page = keep(bundle, report("oracle", 1.0, seed=4))
    assert "seed 4" in page
    assert "| model |" not in page


def test_ways_to_sample_have_their_table(bundle):
    row = {"way": "96 x 1", "samples": 96, "iterations": 1, "contacts_per_episode": 0.01, "jerk": 0.06, "plan_ms": None}
    row |= {"reached": 0.99, "reached_low": 0.97, "reached_high": 1.0}
    update_metrics(bundle, {"sampling": {"arena": "open", "episodes": 200, "seed": 1, "rows": [row]}})
    page = (bundle / PAGE).read_text(encoding="utf-8")
    assert "| 96 x 1 | 96 x 1 | 99.0 [97.0, 100.0] | 0.010 | 0.060 | - |" in page


def test_figures_do_not_change_the_model(bundle):
    before = World.load(bundle).hash
    update_metrics(bundle, {"confidence": None})
    assert World.load(bundle).hash == before
    assert all(name in (bundle / PAGE).read_text(encoding="utf-8") for name in read_card(bundle).files)
