"""Training data from a log: a synthetic drive whose right answer is known."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from record_helpers import cmd, create, hello, sensor

from jepa_bridge.drive.observe import observation_from
from jepa_bridge.errors import BridgeError
from jepa_bridge.link.codec import encode
from jepa_bridge.link.schema import Ack, Arm, Fault, Pose, Result, State, Status, Stop, StopReason
from jepa_bridge.record import export_shard, read_log, transitions

HOST_START_US = 50_000_000
DEVICE_START_US = 2**30 - 1_500_000  # the device's clock wraps 1.5 s into the drive
LATENCY_US = 2000


class Drive:
    """Writes the frames of a drive: SENSOR at 50 Hz, CMD at 20 Hz; times are microseconds since the start."""

    def __init__(self, recorder):
        self.recorder = recorder
        self.seq = 0
        self.session = 7

    def device(self, message, at_us):
        self.recorder.frame("device", encode(message), HOST_START_US + at_us + LATENCY_US)

    def host(self, message, at_us):
        self.recorder.frame("host", encode(message), HOST_START_US + at_us)

    def run(self, from_us, to_us, wheels, every_cmd_us=50_000):
        """`wheels(t_us)` gives the command in wheel units, None for none. x shows the time in ms."""
        for at_us in range(from_us, to_us, 10_000):
            if at_us % 20_000 == 0:
                flags = int(at_us // 200_000 % 2)
                message = sensor(
                    self.seq, DEVICE_START_US + at_us, session=self.session, x_mm=at_us // 1000, flags=flags
                )
                self.device(message, at_us)
                self.seq += 1
            if at_us % every_cmd_us == 0 and (command := wheels(at_us)) is not None:
                # the estimate of the offset makes a command reach the device LATENCY_US early; 150 ms expiry
                expires_us = DEVICE_START_US + at_us + 150_000
                self.host(cmd(self.seq, at_us, *command, expires_us, session=self.session), at_us + LATENCY_US)


@pytest.fixture
def drive(tmp_path):
    with create(tmp_path) as recorder:
        yield Drive(recorder)


def steps_of(drive, **options):
    drive.recorder.close()
    return list(transitions(read_log(drive.recorder.path), observation_from, **options))


def test_actions_are_the_mean_of_what_applied(drive):
    def wheels(t_us):  # full ahead for the first half of each second step, else a turn
        return (80, 80) if t_us % 400_000 < 100_000 else (-40, 20)

    drive.device(hello(), 0)
    drive.run(0, 4_010_000, wheels)
    got = steps_of(drive)
    assert len(got) == 20
    for index, step in enumerate(got):
        assert step.duration_s == 0.2
        assert step.before.x_m == pytest.approx(index * 0.2)
        assert step.after.x_m == pytest.approx(index * 0.2 + 0.2)
        expected = (0.25, 0.625) if index % 2 == 0 else (-0.5, 0.25)
        assert (step.action.left, step.action.right) == pytest.approx(expected, abs=1e-9)
    for one, two in itertools.pairwise(got):
        assert one.after is two.before
    times = [step.before.t_us for step in got]
    assert times == sorted(times)  # across the wrap of the device's clock


def test_an_expired_command_is_standing_still(drive):
    drive.run(0, 1_010_000, lambda t_us: (80, -80) if t_us == 200_000 else None)
    actions = [(s.action.left, s.action.right) for s in steps_of(drive)]
    assert actions == [(0, 0), pytest.approx((0.75, -0.75)), (0, 0), (0, 0), (0, 0)]


def test_a_command_that_the_robot_refuses_does_not_count(drive):
    drive.device(hello(expiry_max_ms=100), 0)  # each CMD asks for 150 ms
    drive.run(0, 610_000, lambda _: (80, 80))
    assert all(s.action.left == 0 for s in steps_of(drive))


@pytest.mark.parametrize("how", ["stop", "status"])
def test_commands_end_at_a_stop_until_armed_again(drive, how):
    drive.run(0, 300_000, lambda _: (80, 80))
    if how == "stop":
        drive.host(Stop(1, 7, 0, StopReason.OPERATOR), 300_000 + LATENCY_US)
    else:
        status = Status(1, 7, (DEVICE_START_US + 300_000) % 2**30, State.STOPPED, Fault.MOTOR_DRIVER, *([0] * 10))
        drive.device(status, 300_000)
    drive.run(300_000, 800_000, lambda _: (80, 80))  # a host that has not noticed yet
    drive.device(Ack(1, 7, 0, Arm.TYPE, 1, Result.OK, 0), 800_000)
    drive.run(800_000, 1_210_000, lambda _: (80, 80))
    assert [s.action.left for s in steps_of(drive)] == pytest.approx([1, 0.5, 0, 0, 1, 1], abs=1e-6)


def test_no_step_crosses_a_gap_a_session_or_a_new_pose(drive):
    drive.run(0, 1_010_000, lambda _: (80, 80))
    drive.run(1_400_000, 2_010_000, lambda _: (80, 80))  # 400 ms without SENSOR
    drive.session = 8
    drive.run(2_100_000, 2_510_000, lambda _: (80, 80))
    drive.host(Pose(0, 8, 0, 0, 0, 0), 2_520_000)
    drive.run(2_540_000, 3_000_000, lambda _: (80, 80))
    got = steps_of(drive)
    starts_ms = [round(s.before.x_m * 1000) for s in got]
    assert starts_ms == [0, 200, 400, 600, 800, 1400, 1600, 1800, 2100, 2300, 2540, 2740]
    breaks = [one.after is not two.before for one, two in itertools.pairwise(got)]
    assert [index for index, broken in enumerate(breaks) if broken] == [4, 7, 9]
    assert {s.duration_s for s in got} == {0.2}


def test_small_gaps_and_jitter_keep_steps_near_their_length(tmp_path):
    rng = np.random.default_rng(4)
    with create(tmp_path) as recorder:
        drive = Drive(recorder)
        at_us = 0
        while at_us < 20_000_000:
            drive.device(sensor(drive.seq, DEVICE_START_US + at_us, x_mm=at_us // 1000), at_us)
            drive.seq += 1
            at_us += int(rng.choice([20_000, 23_000, 60_000, 250_000], p=[0.6, 0.2, 0.17, 0.03]))
    got = list(transitions(read_log(recorder.path), observation_from))
    assert len(got) > 50
    assert all(0.1 <= s.duration_s <= 0.3 for s in got)
    assert abs(np.mean([s.duration_s for s in got]) - 0.2) < 0.01


def test_a_shard_has_the_training_format(drive, tmp_path):
    drive.device(hello(), 0)
    drive.run(0, 2_050_000, lambda _: (80, -40))
    drive.recorder.metadata("robot", {"uid": "a1b2c3d4"})
    drive.recorder.close()
    path = tmp_path / "shard.npz"
    summary = export_shard(read_log(drive.recorder.path), path, observation_from, steps=4)
    assert (summary.episodes, summary.transitions, summary.left_over) == (2, 8, 2)
    with np.load(path, allow_pickle=False) as shard:
        assert {name: (shard[name].shape, shard[name].dtype.name) for name in shard.files if name != "meta"} == {
            "ranges_m": ((2, 5, 8), "float32"),
            "pose": ((2, 5, 3), "float32"),
            "true_pose": ((2, 5, 3), "float32"),
            "actions": ((2, 4, 2), "float32"),
            "wheels_m_s": ((2, 5, 2), "float32"),
            "contact": ((2, 5), "bool"),
        }
        np.testing.assert_allclose(shard["wheels_m_s"], np.broadcast_to([0.25, -0.125], (2, 5, 2)))
        assert np.isnan(shard["true_pose"]).all()
        assert np.isnan(shard["ranges_m"][:, :, 2]).all()
        assert shard["ranges_m"][0, 0, 3] == np.float32(0.4)
        np.testing.assert_allclose(shard["pose"][1, :, 0], [0.8, 1.0, 1.2, 1.4, 1.6], atol=1e-6)
        np.testing.assert_allclose(shard["pose"][0, :, 2], 1.571, atol=1e-6)
        np.testing.assert_allclose(shard["actions"], np.broadcast_to([1.0, -0.5], (2, 4, 2)), atol=1e-6)
        assert shard["contact"][0].tolist() == [False, True, False, True, False]
        meta = json.loads(str(shard["meta"]))
    assert meta["step_s"] == 0.2
    assert meta["robot"] == {"uid": "a1b2c3d4"}
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".mcap", ".npz"]


def test_a_log_too_short_for_an_episode_is_told(drive, tmp_path):
    drive.run(0, 500_000, lambda _: None)
    drive.recorder.close()
    with pytest.raises(BridgeError) as caught:
        export_shard(read_log(drive.recorder.path), tmp_path / "shard.npz", observation_from)
    assert caught.value.code == "log-too-short"
    assert not (tmp_path / "shard.npz").exists()
