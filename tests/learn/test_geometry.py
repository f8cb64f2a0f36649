import numpy as np
import pytest

from jepa_bridge.learn.geometry import hidden, look, ways_m
from jepa_bridge.learn.waytogo import summary, way_to_go
from jepa_bridge.twin.arena import ARENAS, Arena, Cylinder, make_arena


@pytest.mark.parametrize("name", ARENAS)
def test_rays_are_the_physics_rays(name):
    pytest.importorskip("mujoco")
    from jepa_bridge.twin.episode import EpisodeSim

    sim = EpisodeSim(name, 5)
    rng = np.random.default_rng(0)
    poses = [sim.arena.sample_free_pose(rng) for _ in range(50)]
    ranges_m, _ = look(sim.arena, np.array(poses))
    np.testing.assert_allclose(ranges_m, [sim.reset(pose).ranges_m for pose in poses], atol=1e-9)


def test_ways_are_the_arenas():
    arena = make_arena("doorway", 5)
    rng = np.random.default_rng(0)
    poses = np.array([arena.sample_free_pose(rng) for _ in range(10)])
    np.testing.assert_allclose(
        ways_m(arena, (4.0, 4.0), poses), [arena.path_length((4.0, 4.0), pose) for pose in poses]
    )


def test_what_comes_into_view_is_hidden():
    """A cylinder ahead of the robot, a smaller one in its shadow."""
    arena = Arena("two", 0, (5.0, 5.0), (), (Cylinder(2.0, 2.0, 0.25), Cylinder(3.0, 2.0, 0.1)), (1.0, 2.0, 0.0))
    start = np.array([[1.0, 2.0, 0.0]])
    nearer, aside = [[1.2, 2.0, 0.0]], [[1.3, 2.85, -0.4636]]  # looks at the smaller one past the first
    ranges_m, ends_on = look(arena, np.array([nearer, aside]))
    assert ends_on[:, 0, 0].tolist() == [0, 1]
    assert ranges_m[0, 0, 0] == pytest.approx(0.45)
    found = hidden(arena, start, np.array([nearer, aside]))
    assert found[:, 0, 0].tolist() == [False, True]
    assert not found[0].any()


def test_the_far_side_of_a_known_obstacle_is_hidden_too():
    arena = Arena("one", 0, (5.0, 5.0), (), (Cylinder(2.0, 2.0, 0.25),), (1.0, 2.0, 0.0))
    start, behind = np.array([[1.0, 2.0, 0.0]]), np.array([[[3.0, 2.0, np.pi]]])
    assert hidden(arena, start, behind)[0, 0].tolist() == [True] + [False] * 7


def test_distance_that_is_the_way_has_rank_correlation_one():
    def encode(vectors):
        return vectors[:, 8:10]

    assert summary(way_to_go(encode, "open", arenas=1, goals=2, starts=10))["spearman"] == 1.0
    across = summary(way_to_go(encode, "doorway", [3], goals=4, starts=20))
    assert 0 < across["pairs_across_wall"] < across["pairs"]
    assert across["spearman_across_wall"] < 0.99
