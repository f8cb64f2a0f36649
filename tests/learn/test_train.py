import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import jepa_bridge
from jepa_bridge.errors import BridgeError
from jepa_bridge.learn.dataset import load
from jepa_bridge.learn.export import export, rollout_gap
from jepa_bridge.learn.model import LOCAL, TIERS, WorldModule, join, parameter_counts, split, with_motion
from jepa_bridge.learn.page import update_metrics
from jepa_bridge.learn.train import (
    CHECKPOINT,
    TrainConfig,
    Trainer,
    collapse_alarm,
    load_module,
    read_checkpoint,
    train,
)
from jepa_bridge.learn.validate import auroc, expected_calibration_error
from jepa_bridge.world.bundle import World

TINY = {"tier": "tiny", "batch": 32, "warmup": 5, "checkpoint_every": 10}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("tier", "dim", "parameters"), [("tiny", 64, 50e3), ("small", 128, 200e3), ("medium", 256, 800e3)]
)
def test_tiers_have_the_size_they_promise(tier, dim, parameters):
    counts = parameter_counts(WorldModule(tier))
    assert TIERS[tier].embedding_dim == dim
    assert counts["encoder"] + counts["predictor"] == pytest.approx(parameters, rel=0.25)


def test_split_undoes_join():
    parts = [torch.randn(3, width) for width in (2, 2, 8, 8, 64 - LOCAL)]
    for part, back in zip(parts, split(join(*parts)), strict=True):
        torch.testing.assert_close(back, part)


def test_motion_touches_nothing_else():
    embedding = torch.randn(2, 64)
    moved = with_motion(embedding, torch.ones(2, 3))
    assert (moved != embedding).any(dim=0).nonzero().flatten().tolist() == [4, 5, 6]


def test_what_is_predicted_does_not_depend_on_where_and_which_way():
    module = WorldModule("tiny").eval()
    vectors = torch.rand(1, 11).repeat(2, 1)
    vectors[0, 8:], vectors[1, 8:] = torch.tensor([0.2, 0.3, 0.0]), torch.tensor([0.6, 0.1, 0.25])
    embeddings, _ = module.rollout(module.encoder(vectors), torch.rand(1, 10, 2).repeat(2, 1, 1))
    position, _, _, _, code = split(embeddings[-1])
    here, there = position - vectors[:, 8:10] * 5
    torch.testing.assert_close(there, torch.stack((-here[1], here[0])))  # turned by a quarter
    torch.testing.assert_close(code[0], code[1])


def test_training_learns_in_seconds(shards, tmp_path):
    config = TrainConfig(**TINY, steps=150)
    windows, _, _ = load(shards, config.horizon)
    trainer = Trainer(config)
    parts = [trainer.advance(windows) for _ in range(config.steps)]
    first, last = (np.mean([part["loss"] for part in some]) for some in (parts[:10], parts[-10:]))
    assert last < 0.7 * first
    assert all(name in parts[0] for name in ("position", "code", "inverse", "confidence", "variance"))


def test_a_resumed_run_is_the_same_run(shards, tmp_path, monkeypatch):
    config = TrainConfig(**TINY, steps=25)
    whole = train(shards, tmp_path / "whole", config)

    advance = Trainer.advance

    def interrupted(self, windows):
        if self.step == 13:
            raise KeyboardInterrupt
        return advance(self, windows)

    monkeypatch.setattr(Trainer, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(shards, tmp_path / "parts", config)
    assert read_checkpoint(tmp_path / "parts" / CHECKPOINT)["step"] == 13
    monkeypatch.undo()
    resumed = train(shards, tmp_path / "parts", config)
    one, two = load_module(whole)[0].state_dict(), load_module(resumed)[0].state_dict()
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


def test_a_checkpoint_of_another_run_is_refused(shards, tmp_path):
    train(shards, tmp_path, TrainConfig(**TINY, steps=2))
    with pytest.raises(BridgeError, match="belongs to another run"):
        train(shards, tmp_path, TrainConfig(**TINY, steps=2, seed=1))


def test_a_checkpoint_cannot_run_code(tmp_path):
    import pickle

    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(pytest.fail))
    with pytest.raises(BridgeError, match="cannot be read"):
        read_checkpoint(path)


def test_an_unknown_tier_is_refused():
    with pytest.raises(BridgeError, match="tiny, small, medium"):
        TrainConfig(tier="huge")


@pytest.mark.parametrize("tier", ["tiny", "small"])
def test_torch_and_onnxruntime_roll_out_alike(shards, tmp_path, tier):
    config = TrainConfig(**{**TINY, "tier": tier}, steps=5)
    checkpoint = train(shards, tmp_path / "run", config)
    card = export(checkpoint, tmp_path / "bundle", metrics={"note": 1}, commands=["train"])
    world = World.load(tmp_path / "bundle")
    assert rollout_gap(load_module(checkpoint)[0], world, batch=64) < 1e-4
    assert world.hash == card.hash
    assert card.metrics["prediction"]["windows"] > 0
    assert card.data["episodes"] == {"flat": 24}
    assert update_metrics(tmp_path / "bundle", {"open": {"reached": 1}}).hash == card.hash
    assert World.load(tmp_path / "bundle").card.metrics["open"] == {"reached": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "run"]


def test_auroc_and_calibration_on_cases_known_by_hand():
    right = np.array([True, True, False, False])
    assert auroc(np.array([0.9, 0.8, 0.2, 0.1]), right) == 1.0
    assert auroc(np.array([0.1, 0.2, 0.8, 0.9]), right) == 0.0
    assert auroc(np.full(4, 0.5), right) == 0.5
    assert expected_calibration_error(np.full(4, 0.5), right) == pytest.approx(0.0)
    assert expected_calibration_error(np.full(4, 0.95), right) == pytest.approx(0.45)


def test_a_killed_run_goes_on_exactly(shards, tmp_path):
    """A real process, killed without a chance to save: what it had not saved is done again."""
    code = (
        "import sys; from pathlib import Path; from jepa_bridge.learn.train import TrainConfig, train\n"
        f"config = TrainConfig(**{TINY!r}, steps=60)\n"
        "if __name__ == '__main__': train([Path(p) for p in sys.argv[2:]], Path(sys.argv[1]), config)\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(jepa_bridge.__file__).parents[1])}
    command = [sys.executable, str(script)]
    arguments = [str(path) for path in shards]
    run = subprocess.Popen([*command, str(tmp_path / "killed"), *arguments], env=environment)
    checkpoint = tmp_path / "killed" / CHECKPOINT
    until = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < until and run.poll() is None:
        time.sleep(0.005)
    run.kill()
    assert run.wait() == -9
    assert 10 <= read_checkpoint(checkpoint)["step"] < 60
    for name in ("killed", "whole"):
        subprocess.run([*command, str(tmp_path / name), *arguments], env=environment, check=True)
    one, two = (read_checkpoint(tmp_path / name / CHECKPOINT) for name in ("killed", "whole"))
    for part in ("module", "target"):
        assert all(torch.equal(value, two[part][name]) for name, value in one[part].items())
    histories = [json.loads(state["about"])["history"] for state in (one, two)]
    assert histories[0] == histories[1]
    assert [point["step"] for point in histories[0]] == list(range(1, 61))


def test_a_collapsed_code_is_told_in_progress_and_card(shards, tmp_path, monkeypatch):
    def collapsed(self, ranges):
        code = self.mlp(torch.zeros(*ranges.shape[:-1], 24))
        return torch.nn.functional.layer_norm(code, (self.width,))

    monkeypatch.setattr("jepa_bridge.learn.model.Encoder.local", collapsed)
    monkeypatch.setattr("jepa_bridge.learn.train.CHECK_EVERY", 10)
    monkeypatch.setattr("jepa_bridge.learn.train.CHECK_FROM", 10)
    monkeypatch.setattr("jepa_bridge.learn.train.SHOW_EVERY", 10)
    told = []
    config = TrainConfig(**TINY, steps=20)
    checkpoint = train(shards, tmp_path / "run", config, progress=lambda *now: told.append(now[2]))
    assert [message.startswith("WARNING the code collapses: deviation 0.00") for message in told] == [True, True]
    card = export(checkpoint, tmp_path / "bundle")
    alarms = card.training["collapse_alarms"]
    assert [alarm["step"] for alarm in alarms] == [10, 20]
    assert alarms[0]["deviation"] == 0.0


def test_a_healthy_code_raises_no_alarm():
    alarms = []
    assert collapse_alarm(0.65, 16.6, 500, alarms) == ""
    assert "rank 3.1" in collapse_alarm(0.65, 3.1, 500, alarms)
    assert alarms == [{"step": 500, "deviation": 0.65, "rank": 3.1}]
