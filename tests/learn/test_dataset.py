import json

import numpy as np
import pytest

from jepa_bridge.errors import BridgeError
from jepa_bridge.learn.dataset import Drive, Windows, load, mask


def drive(steps, base):
    vectors = np.full((steps + 1, 11), 0.5, np.float32)
    vectors[:, 8] = base + np.arange(steps + 1)
    actions = np.repeat(base + np.arange(steps, dtype=np.float32)[:, None], 2, axis=1)
    contact = np.zeros(steps + 1, np.bool_)
    return Drive(vectors, actions, np.full((steps + 1, 2), 0.25, np.float32), contact)


def test_windows_never_cross_from_one_drive_into_the_next():
    windows = Windows([drive(5, 0), drive(2, 100), drive(4, 200)], horizon=3)
    batch = windows.batch(np.arange(len(windows)))
    assert batch.vectors[:, 0, 8].tolist() == [0, 1, 2, 200, 201]
    np.testing.assert_array_equal(np.diff(batch.vectors[:, :, 8], axis=1), 1)
    np.testing.assert_array_equal(batch.actions[:, :, 0], batch.vectors[:, :-1, 8])


def test_motion_says_whether_it_is_known():
    known, unknown = drive(4, 0), drive(4, 0)
    unknown.speeds[:] = np.nan
    assert Windows([known], 3).batch(np.array([0])).motion.tolist() == [[1.0, 0.25, 0.25]]
    assert Windows([unknown], 3).batch(np.array([0])).motion.tolist() == [[0.0, 0.0, 0.0]]


def test_masking_spares_x_and_y_and_the_targets():
    windows = Windows([drive(300, 0)], horizon=10)
    batch = windows.batch(np.arange(250), np.random.default_rng(0))
    assert (batch.start == -1).any()
    assert (batch.start[:, 8:10] != -1).all()
    assert (batch.vectors != -1).all()


def test_masking_makes_pose_only_goals_and_single_dropouts():
    vectors = np.full((20_000, 11), 0.5, np.float32)
    mask(vectors, np.random.default_rng(0))
    unknown = (vectors[:, :8] == -1).sum(axis=1)
    assert 0.01 < (unknown == 8).mean() < 0.04
    assert (unknown == 1).mean() > 0.02
    assert 0.01 < (vectors[:, 10] == -1).mean() < 0.03


def test_held_out_drives_are_not_trained_on(shards):
    train, test, about = load(shards, 10)
    assert about["episodes"] == {"flat": 24}
    assert about["transitions"] == train.transitions == 22 * 41
    assert test.transitions == 2 * 41


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense"])
def test_a_broken_shard_is_named(tmp_path, content):
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(BridgeError, match=r"broken\.npz is not a readable shard") as caught:
        load([path], 10)
    assert caught.value.hint


def test_no_data_is_told():
    with pytest.raises(BridgeError, match="expected drives of at least 10 steps"):
        load([], 10)


def test_shards_of_logs_mix_with_the_twins(shards, tmp_path):
    """As record/export.py writes them: no true pose, no wheel speeds, no arena."""
    with np.load(shards[0], allow_pickle=False) as shard:
        arrays = {name: shard[name] for name in ("ranges_m", "pose", "actions", "contact")}
    arrays["true_pose"] = np.full_like(arrays["pose"], np.nan)
    path = tmp_path / "log.npz"
    np.savez(path, meta=np.array(json.dumps({"source": "log", "log": "run.mcap", "step_s": 0.2})), **arrays)
    train, _, about = load([*shards, path], 10)
    assert about["episodes"] == {"flat": 24, "log": 12}
    assert np.isfinite(train.vectors).all()
    assert train.vectors[:, 8:10].max() <= 1.0
