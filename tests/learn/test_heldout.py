import numpy as np
import pytest

from jepa_bridge.errors import BridgeError
from jepa_bridge.learn.collect import EVALUATION_SEEDS, collect
from jepa_bridge.learn.heldout import arena_seeds, check_held_out, draw_task, episode_rng, trained_arena_seeds
from jepa_bridge.twin.arena import make_arena
from jepa_bridge.world.card import Card

from .flat_sim import flat_sim


def card(**data):
    return Card("small", 128, 0.2, {}, data=data)


def test_a_shards_name_tells_the_maps_it_was_collected_in(tmp_path):
    maps = []

    def noting(arena, seed, randomisation):
        maps.append(seed)
        return flat_sim(arena, seed)

    shards = collect("flat", 5, tmp_path, 3, steps=10, shard_episodes=3, randomised=0.0, make_sim=noting)
    names = [path.name for path in shards]
    assert trained_arena_seeds(card(names=[*names, "recording.npz"]), "flat") == set(maps)
    assert trained_arena_seeds(card(names=names), "open") == set()


def test_evaluation_draws_maps_that_collecting_cannot():
    seeds = arena_seeds("open", 0, 50, None)
    assert len(set(seeds)) == 50
    assert min(seeds) >= EVALUATION_SEEDS
    assert seeds != arena_seeds("open", 1, 50, None)
    assert arena_seeds("open", 0, 2, 9) == [9, 9]
    check_held_out(card(names=["open-s0-0000-50x100-r050.npz"]), "open", seeds)


def test_a_map_that_was_trained_in_is_refused():
    name = "open-s0-0000-50x100-r050.npz"
    trained = sorted(trained_arena_seeds(card(names=[name]), "open"))[0]
    with pytest.raises(BridgeError) as raised:
        check_held_out(card(names=[name]), "open", [1, trained])
    assert raised.value.code == "not-held-out"
    assert str(trained) in raised.value.message
    check_held_out(card(names=[name]), "cluttered", [trained])
    with pytest.raises(BridgeError):
        check_held_out(card(arena_seeds={"doorway": [7]}), "doorway", [7])


def test_evaluation_shares_no_random_stream_with_collecting():
    """numpy pads seeds with zeros, so the first episode of a shard once had the numbers of an evaluated one."""
    assert np.random.default_rng([1, 2, 3]).random() == np.random.default_rng([1, 2, 3, 0]).random()
    maps = arena_seeds("open", 1, 16, None)
    shards = [f"open-s1-{shard:04d}-1x100-r050.npz" for shard in range(16)]
    assert not {seed - EVALUATION_SEEDS for seed in maps} & trained_arena_seeds(card(names=shards), "open")


def test_across_puts_the_goal_into_the_other_room():
    arena = make_arena("doorway", 7)
    wall_m = arena.walls[-1].x_min_m
    for number in range(10):
        task = draw_task(arena, episode_rng("doorway", 0, number), across=True)
        assert (task.start[0] > wall_m) != (task.goal_m[0] > wall_m)
    with pytest.raises(BridgeError) as raised:
        draw_task(make_arena("cluttered", 7), episode_rng("cluttered", 0, 0), across=True)
    assert raised.value.code == "no-other-room"
