import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest

from jepa_bridge.cli.drive_options import COSTS as CHOICES
from jepa_bridge.errors import BridgeError
from jepa_bridge.plan.costs import COSTS, ClearanceCost, EmbeddingCost, Rollout
from jepa_bridge.plan.mppi import MppiConfig, Planner, shift, weigh
from jepa_bridge.types import Goal, Observation
from jepa_bridge.world.vector import observation_vector


class FlatWorld:
    """A robot on an endless plane with perfect wheels; the embedding is x, y, cosine, sine. A wall stands at x = 3."""

    embedding_dim = 4

    def __init__(self, wall_x=math.inf):
        self.wall_x = wall_x

    def encode(self, vectors):
        turn = vectors[:, 10] * 2 * np.pi
        known = vectors[:, 10] >= 0
        parts = (vectors[:, 8] * 5, vectors[:, 9] * 5, 0.1 * known * np.cos(turn), 0.1 * known * np.sin(turn))
        return np.stack(parts, axis=1).astype(np.float32)

    def start(self, observation):
        return self.encode(observation_vector(observation)[None])

    def predict(self, embeddings, actions):
        x, y, cosine, sine = embeddings.T
        forward = 0.05 * (actions[:, 0] + actions[:, 1])
        heading = np.arctan2(sine, cosine) + 0.625 * (actions[:, 1] - actions[:, 0])
        x, y = x + 10 * forward * cosine, y + 10 * forward * sine
        after = np.stack((np.minimum(x, self.wall_x), y, 0.1 * np.cos(heading), 0.1 * np.sin(heading)), axis=1)
        return after.astype(np.float32), np.full((len(after), 1), 0.9, np.float32)

    def readout(self, embeddings):
        ranges = np.ones((len(embeddings), 8), np.float32)
        if math.isfinite(self.wall_x):
            ranges[:, 0] = np.clip((self.wall_x - embeddings[:, 0]) / 2, 0, 1)
        pose = embeddings[:, :2] / 5, embeddings[:, 2:] * 10
        return np.concatenate((ranges, *pose), axis=1).astype(np.float32)


def observed(x=1.0, y=1.0, heading=0.0, wheels=(0.0, 0.0)):
    return Observation(7, 1_400_000, (2.0,) * 8, x, y, heading, 0.5 * wheels[0], 0.5 * wheels[1])


def drive(goal, steps, cost="clearance", world=None, heading=2.5):
    world = world or FlatWorld()
    planner = Planner(world, MppiConfig(cost=cost), seed=3)
    x, y, warm, left, right = 1.0, 1.0, None, 0.0, 0.0
    path = []
    for index in range(steps):
        plan = planner.plan(observed(x, y, heading, (left, right)), goal, index, warm)
        warm = shift(np.array(plan.actions, np.float32), 1)
        left, right = plan.actions[0]
        x += 0.05 * (left + right) * math.cos(heading)
        y += 0.05 * (left + right) * math.sin(heading)
        heading = math.remainder(heading + 0.625 * (right - left), 2 * math.pi)
        path.append((x, y, heading, left, right))
    return path


@pytest.mark.parametrize("cost", ["clearance", "embedding"])
def test_reaches_a_goal_behind_it(cost):
    path = drive(Goal(3.0, 1.5), 40, cost)
    assert math.hypot(path[-1][0] - 3.0, path[-1][1] - 1.5) < 0.15


def test_stands_still_at_the_goal():
    path = drive(Goal(1.5, 1.5), 30)
    assert max(abs(wheel) for *_, left, right in path[-5:] for wheel in (left, right)) < 0.35


def test_takes_the_goals_heading():
    path = drive(Goal(2.0, 1.5, heading_rad=-1.0), 60)
    assert abs(math.remainder(path[-1][2] + 1.0, 2 * math.pi)) < 0.5


def test_drives_smoothly():
    path = drive(Goal(3.0, 1.5), 40)
    wheels = np.array([(0.0, 0.0), *((left, right) for *_, left, right in path)])
    assert np.abs(np.diff(wheels, axis=0)).max() <= MppiConfig().slew + 1e-5


def test_keeps_off_the_wall():
    path = drive(Goal(2.98, 1.0), 40, world=FlatWorld(wall_x=3.0))
    assert 2.7 < max(x for x, *_ in path) < 2.97


def test_a_plan_says_what_it_was_made_from():
    plan = Planner(FlatWorld(), seed=0).plan(observed(), Goal(3, 3), 5, None)
    assert (plan.index, plan.observation_seq, plan.observation_t_us, plan.step_s) == (5, 7, 1_400_000, 0.2)
    assert len(plan.actions) == 10
    assert plan.confidence == pytest.approx(0.9)
    assert all(-1 <= wheel <= 1 for action in plan.actions for wheel in action)


def test_the_same_inputs_give_the_same_bits_whatever_was_planned_before():
    fresh, used = (Planner(FlatWorld(), seed=1) for _ in range(2))
    warm = np.linspace(-1, 1, 20, dtype=np.float32).reshape(10, 2)
    used.plan(observed(3, 3), Goal(0, 0), 8, None)
    arguments = (observed(), Goal(3, 2), 9, warm)
    assert fresh.plan(*arguments) == used.plan(*arguments)
    assert fresh.plan(*arguments) != fresh.plan(*arguments[:2], 10, warm)
    assert fresh.plan(*arguments) != Planner(FlatWorld(), seed=2).plan(*arguments)


def test_the_shipped_model_plans_the_same_in_another_process():
    code = """
import hashlib
from jepa_bridge.plan.mppi import Planner
from jepa_bridge.types import Goal, Observation
from jepa_bridge.world.bundle import load_named
planner = Planner(load_named("small"), seed=4)
plan = planner.plan(Observation(0, 0, (1.0, None, 0.3, 2.0, 2.0, 0.1, 1.5, 2.0), 1.0, 1.2, 0.3), Goal(4, 4), 17, None)
print(hashlib.sha256(repr(plan).encode()).hexdigest())
"""
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="host").stdout
        for _ in range(2)
    ]
    assert len(runs[0].strip()) == hashlib.sha256().digest_size * 2
    assert runs[0] == runs[1]


def test_a_pose_only_goal_and_a_blind_robot_make_a_finite_plan():
    from jepa_bridge.world.bundle import load_named

    planner = Planner(load_named("small"), seed=4)
    plan = planner.plan(Observation(0, 0, (None,) * 8, 1.0, 1.0, 0.0), Goal(4, 4), 0, None)
    assert math.isfinite(plan.cost)
    assert 0 <= plan.confidence <= 1


def test_a_blind_robot_is_doubted():
    from jepa_bridge.world.bundle import load_named

    planner = Planner(load_named("small"), seed=4)
    seeing = planner.plan(Observation(0, 0, (2.0,) * 8, 2.5, 2.5, 0.0), Goal(4, 4), 0, None)
    blind = planner.plan(Observation(0, 0, (None,) * 8, 2.5, 2.5, 0.0), Goal(4, 4), 0, None)
    assert blind.confidence < seeing.confidence


def test_a_warm_start_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"expected a warm start of shape \(10, 2\), got \(9, 2\)"):
        Planner(FlatWorld()).plan(observed(), Goal(3, 3), 0, np.zeros((9, 2), np.float32))


@pytest.mark.parametrize(
    "wrong", [{"horizon": 0}, {"samples": 1}, {"temperature": 0.0}, {"cost": "love"}, {"correlation": 1.0}]
)
def test_a_config_that_cannot_plan_is_refused(wrong):
    with pytest.raises(BridgeError) as caught:
        MppiConfig(**wrong)
    assert caught.value.code == "planner-config"


def test_shift_drops_what_was_driven_and_holds_the_end():
    actions = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert shift(actions, 1).tolist() == [[2, 3], [4, 5], [4, 5]]
    assert shift(actions, 0).tolist() == actions.tolist()
    assert shift(actions, 9).tolist() == [[4, 5]] * 3


def test_weights_depend_on_order_and_shape_but_not_on_the_costs_unit():
    costs = np.array([1.0, 2.0, 3.0, 50.0], np.float32)
    weights = weigh(costs, 0.1)
    assert weights.sum() == pytest.approx(1.0)
    assert list(np.argsort(-weights)) == [0, 1, 2, 3]
    np.testing.assert_allclose(weigh(costs * 1000 + 7, 0.1), weights, rtol=1e-3)


def test_weights_of_equal_costs_are_equal():
    np.testing.assert_allclose(weigh(np.ones(4, np.float32), 0.1), 0.25)
    np.testing.assert_allclose(weigh(np.array([1, 1, 1, 9], np.float32), 0.1)[:3], 1 / 3, atol=1e-3)


def test_the_contracts_cost_is_the_contracts_formula():
    world = FlatWorld()
    goal = Goal(2.0, 1.0)
    embeddings = np.zeros((2, 1, 4), np.float32)
    embeddings[:, 0, :2] = (1.0, 1.0), (1.5, 1.0)
    rollout = Rollout(embeddings, np.ones((2, 1), np.float32), np.zeros((1, 2, 2), np.float32))
    assert EmbeddingCost(world, goal)(rollout) == pytest.approx(0.5 * 1.0 + 1.0 * 0.5)


def test_clearance_prefers_room_among_equally_near_places():
    world = FlatWorld(wall_x=3.0)
    embeddings = np.zeros((1, 2, 4), np.float32)
    embeddings[0, :, 0] = 2.0, 2.95
    rollout = Rollout(embeddings, np.ones((1, 2), np.float32), np.zeros((2, 1, 2), np.float32))
    free, squeezed = ClearanceCost(world, Goal(2.475, 0.0))(rollout)
    assert free < squeezed


def test_every_cost_can_be_chosen_on_the_command_line():
    assert sorted(CHOICES) == sorted(COSTS)
