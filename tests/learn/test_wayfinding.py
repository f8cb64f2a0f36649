import itertools
import shutil

import numpy as np
import pytest
import torch

from jepa_bridge.errors import BridgeError
from jepa_bridge.learn.restore import module_from_bundle
from jepa_bridge.learn.wayfinding import WayToGo, attach, learn_lift, learn_way
from jepa_bridge.learn.ways import solve_ways
from jepa_bridge.plan.costs import ClearanceCost, WayCost, make_cost
from jepa_bridge.types import Goal
from jepa_bridge.world.bundle import World
from jepa_bridge.world.card import WAY_FILE


def drive(*corners, room_m=1.0):
    """[T + 1, 3] along straight legs in steps of 5 cm."""
    legs = []
    for a, b in itertools.pairwise(corners):
        count = round(float(np.hypot(b[0] - a[0], b[1] - a[1])) / 0.05)
        legs.append(np.linspace(a, b, count, endpoint=False))
    places = np.concatenate(legs)
    return np.column_stack((places, np.full(len(places), room_m))).astype(np.float32)


# a wall at x = 2.5 with a door at y = 4: nobody ever drove straight from (2, 1) to (3, 1)
AROUND = [drive((2.0, 1.0), (2.0, 4.0), (3.0, 4.0), (3.0, 1.0)), drive((3.0, 1.0), (2.9, 2.0), (3.0, 4.0))]


def between(ways, a, b):
    nearest = [int(np.linalg.norm(ways.centres - place, axis=1).argmin()) for place in (a, b)]
    return ways.metres[nearest[0], nearest[1]]


def test_a_way_leads_around_what_nobody_drove_through():
    ways = solve_ways(AROUND)
    assert between(ways, (2.0, 1.0), (3.0, 1.1)) == pytest.approx(6.9, abs=0.4)
    assert between(ways, (2.0, 1.0), (2.0, 2.0)) == pytest.approx(1.0, abs=0.1)
    assert np.array_equal(ways.metres, ways.metres.T)
    assert ways.connected == 1.0


def test_places_that_no_drive_joins_have_no_way():
    ways = solve_ways([drive((1.0, 1.0), (1.0, 2.0)), drive((4.0, 1.0), (4.0, 2.0))])
    assert np.isinf(between(ways, (1.0, 1.0), (4.0, 1.0)))
    assert ways.connected == pytest.approx(0.5, abs=0.1)


def test_a_narrow_way_counts_longer_than_a_roomy_one():
    narrow, roomy = (drive((1.0, 1.0), (1.0, 3.0), (2.0, 3.0), room_m=room) for room in (0.05, 1.0))
    lengths = [between(solve_ways([path]), (1.0, 1.0), (2.0, 3.0)) for path in (narrow, roomy)]
    assert lengths[0] > 2.0 * lengths[1]


def test_one_place_is_no_place():
    with pytest.raises(BridgeError, match="cells") as caught:
        solve_ways([np.ones((5, 3), np.float32)])
    assert caught.value.code == "place-size"


@pytest.fixture(scope="module")
def way():
    return learn_way(solve_ways(AROUND), steps=300)


@pytest.fixture(scope="module")
def lived(way, base, tmp_path_factory):
    """The base's bundle, with the way to go."""
    folder = tmp_path_factory.mktemp("lived") / "bundle"
    shutil.copytree(base, folder)
    attach(folder, module_from_bundle(base), way, learn_lift(solve_ways(AROUND), steps=300), {"places": 1})
    return folder


def at(x_m, y_m, dim=64):
    embedding = np.zeros((1, dim), np.float32)
    embedding[0, :2] = x_m, y_m
    return embedding


def test_the_network_knows_the_detour(way):
    here, near, beyond = (torch.from_numpy(at(x, y)) for x, y in ((2.0, 1.2), (2.0, 2.2), (3.0, 1.2)))
    with torch.no_grad():
        assert way(here, near).item() == pytest.approx(1.0, abs=0.3)
        assert way(here, beyond).item() == pytest.approx(6.6, abs=1.0)
        assert way(here, beyond).item() == pytest.approx(way(beyond, here).item(), abs=1e-4)


def test_the_bundle_answers_as_torch_does(way, lived, base):
    world = World.load(lived)
    rng = np.random.default_rng(0)
    here, there = rng.uniform(0.0, 5.0, (7, 64)).astype(np.float32), at(3.0, 1.0)
    with torch.no_grad():
        wanted = way(torch.from_numpy(here), torch.from_numpy(there).expand(7, -1))[:, 0].numpy()
    assert np.abs(world.way_to_go(here, there) - wanted).max() < 1e-4
    assert world.hash != World.load(base).hash  # another model


def test_the_lift_moves_the_floor_and_nothing_else(lived, base):
    here, there = np.array([2.0, 1.2]), np.array([3.0, 1.2])  # on two sides of the wall
    vectors = np.full((2, 11), 0.5, np.float32)
    vectors[:, 8:10] = np.stack((here, there)) / 5.0
    lifted, plain = (World.load(bundle).encode(vectors) for bundle in (lived, base))
    assert np.linalg.norm(plain[0] - plain[1]) == pytest.approx(1.0, abs=0.01)
    assert np.linalg.norm(lifted[0] - lifted[1]) > 4.0
    place = slice(12, 20)
    assert np.array_equal(np.delete(lifted, place, axis=1), np.delete(plain, place, axis=1))
    assert not plain[:, place].any()


def test_a_rollout_carries_its_place_along(lived):
    world = World.load(lived)
    start = world.encode(np.full((1, 11), 0.5, np.float32))
    after, _ = world.predict(start, np.ones((1, 2), np.float32))
    assert not np.array_equal(after[:, 12:20], start[:, 12:20])
    again = np.full((1, 11), 0.5, np.float32)
    again[0, 8:10] = after[0, :2] / 5.0
    assert np.abs(world.encode(again)[:, 12:20] - after[:, 12:20]).max() < 1e-4


def test_a_lived_bundle_gives_its_modules_back(lived):
    module = module_from_bundle(lived)
    assert module.encoder.lift is module.predictor.lift is not None


def test_a_bundle_with_a_changed_way_is_refused(lived, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(lived, copy)
    (copy / WAY_FILE).write_bytes(b"\0" + (copy / WAY_FILE).read_bytes()[1:])
    with pytest.raises(BridgeError, match=WAY_FILE) as caught:
        World.load(copy)
    assert caught.value.code == "model-corrupt"


def test_the_default_cost_takes_the_way_where_there_is_one(lived, base):
    goal = Goal(3.0, 1.0)
    assert type(make_cost("default", World.load(lived), goal)) is WayCost
    assert type(make_cost("default", World.load(base), goal)) is ClearanceCost
    with pytest.raises(BridgeError) as caught:
        make_cost("waytogo", World.load(base), goal)
    assert caught.value.code == "cost-unknown"


def test_an_untrained_way_is_nearly_the_straight_line():
    with torch.no_grad():
        metres = WayToGo()(torch.from_numpy(at(1.0, 1.0)), torch.from_numpy(at(4.0, 5.0)))
    assert metres.shape == (1, 1)
    assert metres.item() == pytest.approx(5.0, abs=0.5)
