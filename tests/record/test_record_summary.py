from __future__ import annotations

import json

import pytest
from record_helpers import create, held_disk, hello, sensor

from jepa_bridge.link.codec import encode
from jepa_bridge.record import read_log, summarise


def test_summary_of_a_drive(tmp_path):
    metadata = {"uid": "unknown", "model_hash": "beef", "goals": json.dumps([{"x_m": 1}, {"x_m": 2}])}
    with create(tmp_path, metadata=metadata) as recorder:
        recorder.frame("device", encode(hello(seq=65530)), 1_000_000)
        for index in range(101):
            seq = 65531 + index + (3 if index > 50 else 0)  # wraps, and three frames are lost
            recorder.frame("device", encode(sensor(seq, index * 20_000)), 1_000_000 + index * 20_000)
        recorder.frame("host", b"not a message", 1_500_000)
        recorder.frame("device", b"not a message", 1_500_000)
        recorder.frame("device", encode(hello(seq=0, boot_id=2)), 3_000_000)  # a reboot counts anew: no loss
        recorder.rejected(b"\x00", "crc", 2_000_000)
        recorder.event("goal", {"state": "reached"}, 2_000_000)
    summary = summarise(read_log(recorder.path))
    assert summary.duration_s == 2.0
    assert summary.counts == {"wire/device": 104, "wire/host": 1, "wire/rejected": 1, "goal": 1}
    assert summary.device_frames_per_s == 52.0
    assert (summary.uid, summary.board, summary.firmware_version) == ("a1b2c3d4", "sim", "0.1.0")
    assert summary.model_hash == "beef"
    assert (summary.goals, summary.goals_reached) == (2, 1)
    assert summary.device_frames_lost == 3
    assert (summary.frames_rejected, summary.frames_undecodable) == (1, 1)
    assert (summary.dropped_wire, summary.dropped_derived) == (0, 0)
    assert not summary.torn


def test_summary_of_nothing(tmp_path):
    with create(tmp_path) as recorder:
        pass
    summary = summarise(read_log(recorder.path))
    assert (summary.duration_s, summary.counts, summary.device_frames_per_s) == (0.0, {}, 0.0)
    assert summary.uid == "a1b2c3d4"


@pytest.mark.parametrize("closed", [True, False])
def test_summary_counts_drops_also_of_a_torn_log(tmp_path, closed):
    recorder = create(tmp_path, max_messages=10)
    with held_disk() as tried:
        recorder.frame("device", encode(sensor(0, 0)), 0)
        assert tried.wait(60)
        for index in range(1, 41):
            recorder.frame("device", encode(sensor(index, 0)), index)
    recorder.close()
    dropped = 30
    path = recorder.path
    if not closed:
        path = tmp_path / "torn.mcap"
        path.write_bytes(recorder.path.read_bytes()[:-20])
    summary = summarise(read_log(path))
    assert summary.dropped_wire == dropped
    assert summary.torn is not closed
