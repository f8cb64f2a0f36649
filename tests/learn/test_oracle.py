import math

import numpy as np
import pytest

from jepa_bridge.learn.evaluate import evaluate
from jepa_bridge.learn.oracle import Geometry, Oracle
from jepa_bridge.plan.mppi import MppiConfig, Planner
from jepa_bridge.twin.arena import make_arena
from jepa_bridge.types import RANGE_BEARINGS_RAD, Goal, Observation
from jepa_bridge.world.bundle import load_named

episode = pytest.importorskip("jepa_bridge.twin.episode", exc_type=Exception)

from jepa_bridge.twin.randomise import Randomisation  # noqa: E402

OFF = Randomisation(left_gain=0.75, motor_lag_s=0.125, grip=0.675)


@pytest.mark.parametrize("randomisation", [None, OFF])
def test_two_seconds_of_random_driving_end_where_the_twin_ends(randomisation):
    rng = np.random.default_rng(0)
    off_m, off_rad = [], []
    for seed in range(25):
        sim = episode.EpisodeSim("open", seed, randomisation)
        state = sim.reset((2.5, 2.5, float(rng.uniform(-3, 3))))
        oracle = Oracle(sim)
        # drive in first: the rollout begins at moving wheels
        oracle.output = tuple(rng.uniform(-1, 1, 2))
        sim.step(*oracle.output)
        imagined = oracle.start(None)
        for action in np.clip(rng.normal(0, 0.7, 2) + rng.normal(0, 0.5, (10, 2)), -1, 1):
            state = sim.step(*action)
            imagined, _ = oracle.predict(imagined, action[None].astype(np.float32))
        x_m, y_m, heading_rad = state.true_pose
        off_m.append(math.hypot(imagined[0, 0] - x_m, imagined[0, 1] - y_m))
        off_rad.append(abs(math.remainder(imagined[0, 2] - heading_rad, 2 * math.pi)))
    assert np.mean(off_m) < 0.01
    assert max(off_m) < 0.04
    assert np.mean(off_rad) < math.radians(3)
    assert max(off_rad) < math.radians(10)


@pytest.mark.parametrize("arena", ["open", "cluttered", "doorway"])
def test_its_geometry_is_the_twins(arena):
    rng = np.random.default_rng(1)
    for seed in range(5):
        sim = episode.EpisodeSim(arena, seed)
        poses = [sim.arena.sample_free_pose(rng, 0.01) for _ in range(20)]
        x_m, y_m, heading_rad = np.array(poses).T
        geometry = Geometry(sim.arena)
        wanted = np.array([sim.reset(pose).ranges_m for pose in poses])
        assert geometry.ranges_m(x_m, y_m, heading_rad) == pytest.approx(wanted, abs=1e-4)
        gaps_m = [sim.arena.clearance(*pose[:2]) for pose in poses]
        assert geometry.nearest(x_m, y_m)[0] == pytest.approx(gaps_m, abs=1e-6)


def test_a_wall_stops_it_as_it_stops_the_twin():
    sim = episode.EpisodeSim("open", 0)
    sim.reset((0.3, 2.5, math.pi))
    oracle = Oracle(sim)
    state = oracle.start(None)
    for _ in range(5):
        state, _ = oracle.predict(state, np.ones((1, 2), np.float32))
    assert state[0, 0] == pytest.approx(0.1, abs=1e-3)
    assert oracle.readout(state)[0, :8].min() == pytest.approx(0.0, abs=1e-3)


def test_an_obstacle_between_two_rays_is_known():
    arena = make_arena("cluttered", 0)
    cylinder = arena.cylinders[0]
    between = (RANGE_BEARINGS_RAD[0] + RANGE_BEARINGS_RAD[1]) / 2
    oracle = Oracle(episode.EpisodeSim("cluttered", 0))
    gap_m = 0.15
    x_m = cylinder.x_m - cylinder.radius_m - 0.1 - gap_m
    state = np.array([[x_m, cylinder.y_m, -between, 0, 0, 0, 0]], np.float32)
    assert oracle.readout(state)[0, :8].min() * 2.0 == pytest.approx(gap_m, abs=1e-4)


def test_it_knows_the_way_through_the_door():
    sim = episode.EpisodeSim("doorway", 3)
    oracle, rng = Oracle(sim), np.random.default_rng(0)
    poses = [sim.arena.sample_free_pose(rng) for _ in range(30)]
    states = np.zeros((len(poses), 7), np.float32)
    states[:, :2] = [pose[:2] for pose in poses]
    goal = np.array([[4.0, 4.0, 0, 0, 0, 0, 0]], np.float32)
    wanted = [sim.arena.path_length(pose, (4.0, 4.0)) for pose in poses]
    assert oracle.knows_the_way
    assert oracle.way_to_go(states, goal) == pytest.approx(wanted, rel=0.12, abs=0.1)  # eight directions only
    assert not Oracle(episode.EpisodeSim("cluttered", 0)).knows_the_way


def test_it_reaches_goals_among_cylinders_without_contact():
    report = evaluate(load_named("small"), "cluttered", 3, 0, planners=("oracle",))
    assert report.rows[0].reached == 1.0
    assert report.rows[0].contacts_per_episode == 0.0


def test_it_drives_through_the_door_into_the_other_room():
    report = evaluate(load_named("small"), "doorway", 2, 0, planners=("oracle",), across=True)
    assert report.rows[0].reached == 1.0


def test_it_is_a_world_model_for_the_planner():
    sim = episode.EpisodeSim("doorway", 0)
    observation = Observation(0, 0, (None,) * 8, 9.0, 9.0, 0.0)  # it does not believe what it is told
    plan = Planner(Oracle(sim), MppiConfig(cost="clearance")).plan(observation, Goal(4.0, 4.0), 0, None)
    assert plan.confidence == 1.0
    assert Oracle(sim).encode(np.zeros((3, 11), np.float32)).shape == (3, 7)
