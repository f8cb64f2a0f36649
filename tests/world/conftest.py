import pytest


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """An untrained bundle of the tiny tier."""
    from jepa_bridge.learn.export import export
    from jepa_bridge.learn.train import TrainConfig, Trainer

    folder = tmp_path_factory.mktemp("bundle")
    trainer = Trainer(TrainConfig(tier="tiny", steps=0))
    trainer.save(folder / "checkpoint.pt", {})
    export(folder / "checkpoint.pt", folder / "tiny")
    return folder / "tiny"
