import pytest

from jepa_bridge.learn.collect import collect
from jepa_bridge.learn.export import export
from jepa_bridge.learn.train import TrainConfig, Trainer

from .flat_sim import flat_sim


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """24 drives of 40 steps in the stand-in."""
    folder = tmp_path_factory.mktemp("shards")
    return collect("flat", 24, folder, seed=0, steps=40, shard_episodes=12, randomised=0.0, make_sim=flat_sim)


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """An untrained bundle of the tiny tier."""
    folder = tmp_path_factory.mktemp("base")
    Trainer(TrainConfig(tier="tiny", steps=0)).save(folder / "checkpoint.pt", {})
    export(folder / "checkpoint.pt", folder / "tiny")
    return folder / "tiny"
