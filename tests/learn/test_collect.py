import json

import numpy as np
import pytest

from jepa_bridge.learn.collect import collect, write_shard
from jepa_bridge.learn.explore import BEHAVIOURS, Explorer

from .flat_sim import flat_sim

SETTINGS = {"seed": 5, "steps": 12, "shard_episodes": 2, "randomised": 0.0, "make_sim": flat_sim}


def contents(path):
    with np.load(path, allow_pickle=False) as shard:
        return {name: shard[name].tobytes() for name in shard.files}


def test_the_format_is_the_architectures(shards):
    with np.load(shards[0], allow_pickle=False) as shard:
        found = {name: (shard[name].shape, shard[name].dtype) for name in shard.files if name != "meta"}
        meta = json.loads(str(shard["meta"]))
        assert np.abs(shard["actions"]).max() <= 1.0
    assert found == {
        "ranges_m": ((12, 41, 8), np.float32),
        "pose": ((12, 41, 3), np.float32),
        "true_pose": ((12, 41, 3), np.float32),
        "wheels_m_s": ((12, 41, 2), np.float32),
        "actions": ((12, 40, 2), np.float32),
        "contact": ((12, 41), np.bool_),
    }
    assert (meta["arena"], meta["seed"], meta["shard"], meta["step_s"]) == ("flat", 0, 0, 0.2)
    assert "numpy" in meta["versions"]


def test_a_shard_is_a_function_of_seed_and_number_on_any_number_of_cores(tmp_path):
    one = collect("flat", 6, tmp_path / "one", **SETTINGS)
    two = collect("flat", 6, tmp_path / "two", workers=2, **SETTINGS)
    assert [path.name for path in one] == [path.name for path in two]
    assert [contents(path) for path in one] == [contents(path) for path in two]
    assert contents(one[0]) != contents(one[1])


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    class StoppedError(Exception):
        pass

    def stop(done, total, message):
        if done >= 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        collect("flat", 6, tmp_path, progress=stop, **SETTINGS)
    (first,) = tmp_path.glob("*.npz")
    written = first.stat().st_mtime_ns
    seen = []
    paths = collect("flat", 6, tmp_path, progress=lambda *now: seen.append(now), **SETTINGS)
    assert len(paths) == 3
    assert all(path.exists() for path in paths)
    assert first.stat().st_mtime_ns == written
    assert [done for done, _, _ in seen] == [2, 4, 6]


def test_a_killed_writer_leaves_no_shard(tmp_path):
    from jepa_bridge.learn.collect import ShardJob

    class BrokenError(Exception):
        pass

    def broken_sim(arena, seed, randomisation):
        raise BrokenError

    job = ShardJob(tmp_path / "a.npz", "flat", 0, 0, 1, 4, 0.0, broken_sim)
    with pytest.raises(BrokenError):
        write_shard(job)
    assert not list(tmp_path.glob("*.npz"))


def test_other_settings_are_other_shards(tmp_path):
    first = collect("flat", 2, tmp_path, **SETTINGS)
    other = collect("flat", 2, tmp_path, **{**SETTINGS, "steps": 13})
    assert set(first).isdisjoint(other)


def test_exploration_covers_what_a_plan_may_ask_for():
    explorer = Explorer(np.random.default_rng(0))
    ranges = np.full(8, 1.0)
    ranges[2] = 0.3
    actions = np.array([explorer.action(ranges) for _ in range(5000)])
    grid, _, _ = np.histogram2d(*actions.T, bins=5, range=[[-1, 1], [-1, 1]])
    assert (grid > 25).all()  # every pair of wheel speeds
    changes = np.abs(np.diff(actions, axis=0)).max(axis=1)
    assert np.mean(changes < 0.05) > 0.25  # long straight drives and arcs
    assert np.mean(changes > 0.5) > 0.1
    assert set(BEHAVIOURS) >= {"straight", "spin", "approach", "escape"}


def test_the_twin_collects(tmp_path):
    pytest.importorskip("mujoco")
    (path,) = collect("cluttered", 2, tmp_path, seed=0, steps=20, shard_episodes=2, randomised=1.0)
    with np.load(path, allow_pickle=False) as shard:
        assert np.isfinite(shard["wheels_m_s"]).all()
        assert len(json.loads(str(shard["meta"]))["robots"]) == 2
        moved = np.linalg.norm(np.diff(shard["true_pose"][..., :2], axis=1), axis=-1)
        assert 0 < moved.max() < 0.15
