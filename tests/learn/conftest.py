import pytest

from jepa_bridge.learn.collect import collect

from .flat_sim import flat_sim


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """24 drives of 40 steps in the stand-in."""
    folder = tmp_path_factory.mktemp("shards")
    return collect("flat", 24, folder, seed=0, steps=40, shard_episodes=12, randomised=0.0, make_sim=flat_sim)
