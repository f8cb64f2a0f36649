from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import Writer
from record_helpers import CDDL, REPOSITORY, create, held_disk, plain_messages, sensor, wait_until

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link.codec import encode
from jepa_bridge.record import Recorder, read_log
from jepa_bridge.record.backlog import Backlog

# the ends of what the clock can say, and values that floating point would round
TIMES_US = [0, 1, 999, 1_000_001, 2**30 - 1, 2**30, 2**53 + 1, 10**15 + 7]


def test_round_trip_keeps_bytes_order_and_exact_times(tmp_path):
    expected = []
    with create(tmp_path, metadata={"uid": "a1b2c3d4", "model_hash": "beef"}) as recorder:
        for index, t_us in enumerate(TIMES_US):
            body = encode(sensor(index, t_us))
            recorder.frame("device", body, t_us)
            recorder.frame("host", body[::-1], t_us + 1)
            recorder.event("plan", {"index": index}, t_us + 2)
            recorder.rejected(b"\x00\xff", "crc", t_us + 3)
            rejected = {"hex": "00ff", "bytes": 2, "reason": "crc"}
            expected += [
                ("wire/device", t_us, body),
                ("wire/host", t_us + 1, body[::-1]),
                ("plan", t_us + 2, {"index": index}),
                ("wire/rejected", t_us + 3, rejected),
            ]
        recorder.metadata("robot", {"board": "sim"})
    log = read_log(recorder.path)
    got = [
        (r.channel, r.t_us, r.data if r.channel in ("wire/device", "wire/host") else log.json(r)) for r in log.records()
    ]
    assert got == expected
    assert not log.torn
    assert log.bytes_lost == log.refused == 0
    assert log.metadata["run"] == {"uid": "a1b2c3d4", "model_hash": "beef"}
    assert log.metadata["robot"] == {"board": "sim"}
    assert log.metadata["closed"] == {"written": str(len(expected)), "dropped_wire": "0", "dropped_derived": "0"}


def test_a_plain_reader_finds_index_schemas_and_wall_time(tmp_path):
    with create(tmp_path, now_us=5_000_000) as recorder:
        recorder.frame("device", b"\x81\x01", 5_000_000)
        recorder.event("a channel of its own", {"value": 1}, 5_000_001)
    with recorder.path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics.message_count == 2
        assert len(summary.chunk_indexes) == 1
        by_topic = {channel.topic: channel for channel in summary.channels.values()}
        wire = by_topic["wire/device"]
        assert wire.message_encoding == "cbor"
        assert summary.schemas[wire.schema_id].encoding == "cddl"
        assert summary.schemas[wire.schema_id].data.decode() == CDDL
        for topic in ("observation", "plan", "command", "health", "goal", "drive", "wire/rejected"):
            assert by_topic[topic].message_encoding == "json"
            schema = summary.schemas[by_topic[topic].schema_id]
            assert schema.encoding == "jsonschema"
            assert json.loads(schema.data)["properties"]
        assert {record.name for record in reader.iter_metadata()} == {"recorder", "run", "closed"}
        first = next(iter(reader.iter_messages()))[2]
    assert abs(first.log_time / 1e9 - recorder.path.stat().st_mtime) < 60


def test_json_takes_what_driving_code_holds(tmp_path):
    value = {"nan": math.nan, "list": [1.5, -math.inf], "numpy": np.float32(0.5), "array": np.array([1.0, np.nan])}
    circular: dict[str, object] = {}
    circular["self"] = circular
    with create(tmp_path) as recorder:
        recorder.event("health", value, 1)
        recorder.event("health", circular, 2)
        recorder.event("health", {(1, 2): 3}, 3)
    log = read_log(recorder.path)
    assert [log.json(r) for r in log.records(["health"])] == [
        {"nan": None, "list": [1.5, None], "numpy": 0.5, "array": [1.0, None]}
    ]
    assert recorder.stats.dropped_derived == 2


def test_never_overwrites_and_keeps_its_name(tmp_path):
    names = []
    for index in range(3):
        with create(tmp_path, name="../run 1") as recorder:
            names.append(recorder.path.name)
            recorder.frame("device", bytes([index]), index)
    assert names == ["-run-1.mcap", "-run-1-2.mcap", "-run-1-3.mcap"]
    assert [next(iter(read_log(tmp_path / name).records())).data for name in names] == [b"\0", b"\1", b"\2"]
    with create(tmp_path) as recorder:
        assert recorder.path.name[8] == "-"
        assert recorder.path.name.endswith("-a1b2c3d4.mcap")


@pytest.mark.parametrize("kind", ["file-in-the-way", "no-such-device"])
def test_a_directory_that_cannot_be_made_is_told(tmp_path, kind):
    (tmp_path / "file").write_text("")
    directory = tmp_path / "file" / "logs" if kind == "file-in-the-way" else type(tmp_path)("/proc/logs")
    with pytest.raises(BridgeError) as caught:
        create(directory)
    assert caught.value.code == "log-directory"
    assert caught.value.status == Exit.LOG
    assert caught.value.hint


def test_overflow_drops_derived_first_and_wire_last():
    backlog = Backlog(max_messages=4)
    for index in range(3):
        backlog.put("observation", index, b"", derived=True)
    for index in range(3):
        backlog.put("wire/device", 10 + index, b"", derived=False)
    assert (backlog.dropped_wire, backlog.dropped_derived) == (0, 2)  # the two oldest derived made room
    backlog.put("observation", 20, b"", derived=True)
    assert (backlog.dropped_wire, backlog.dropped_derived) == (0, 3)
    backlog.put("wire/device", 21, b"", derived=False)
    backlog.put("wire/device", 22, b"", derived=False)
    assert (backlog.dropped_wire, backlog.dropped_derived) == (1, 4)
    entries = backlog.take_all()
    assert [(e.channel, e.log_time_ns, e.sequence) for e in entries] == [
        ("wire/device", 10, 0), ("wire/device", 11, 1), ("wire/device", 12, 2), ("wire/device", 21, 3),
    ]  # fmt: skip
    backlog.put("wire/device", 30, b"", derived=False)
    assert backlog.take_all()[0].sequence == 5  # the gap shows the frame that was dropped


def test_overflow_by_bytes_and_impossible_times():
    backlog = Backlog(max_bytes=100)
    backlog.put("plan", 0, bytes(60), derived=True)
    backlog.put("wire/device", 1, bytes(60), derived=False)
    assert (backlog.dropped_wire, backlog.dropped_derived) == (0, 1)
    backlog.put("wire/device", -1, b"", derived=False)
    assert backlog.dropped_wire == 1
    assert len(backlog.take_all()) == 1


def test_a_slow_disk_never_holds_up_the_caller_and_drops_are_in_the_file(tmp_path):
    recorder = create(tmp_path, max_messages=100)
    with held_disk() as tried:
        recorder.frame("device", b"first", 0)
        assert tried.wait(60)
        for index in range(300):  # would hang here if a call waited for the disk
            recorder.event("observation", {"index": index}, index)
            recorder.frame("device", bytes([index % 256]), index)
        stats = recorder.stats
        assert (stats.dropped_wire, stats.dropped_derived) == (200, 300)
    wait_until(lambda: recorder.stats.written == 101)
    recorder.frame("device", b"last", 1000)
    recorder.close()
    log = read_log(recorder.path)
    records = list(log.records())
    wire = [r.data for r in records if r.channel == "wire/device"]
    assert wire == [b"first", *(bytes([i]) for i in range(100)), b"last"]
    assert [log.json(r) for r in records if r.channel == "recorder"] == [{"dropped_wire": 200, "dropped_derived": 300}]
    assert log.metadata["closed"] == {"written": "102", "dropped_wire": "200", "dropped_derived": "300"}


def test_after_close_calls_are_counted_and_harmless(tmp_path):
    recorder = create(tmp_path)
    recorder.close()
    recorder.close()
    recorder.frame("device", b"late", 1)
    recorder.event("plan", {}, 1)
    assert (recorder.stats.dropped_wire, recorder.stats.dropped_derived) == (1, 1)
    assert plain_messages(recorder.path) == []


def test_a_mistake_in_the_writing_thread_is_told_and_does_not_stop_it(tmp_path, monkeypatch):
    problems: list[str] = []
    add_message = Writer.add_message
    failures = iter([RuntimeError("boom")])

    def failing(self, *args, **kwargs):
        for error in failures:
            raise error
        return add_message(self, *args, **kwargs)

    monkeypatch.setattr(Writer, "add_message", failing)
    recorder = create(tmp_path, on_problem=lambda what: (problems.append(what), 1 / 0))
    recorder.frame("device", b"lost", 0)
    wait_until(lambda: problems)
    recorder.frame("device", b"kept", 1)
    recorder.close()
    assert len(problems) == 1
    assert "boom" in problems[0]
    assert plain_messages(recorder.path)[-1][2] == b"kept"


def test_importing_the_room_is_cheap():
    code = (
        "import sys, jepa_bridge.record as r; "
        "assert not {'mcap', 'numpy', 'zstandard', 'cbor2'} & set(sys.modules), sorted(sys.modules); "
        "assert all(getattr(r, name) for name in r.__all__)"
    )
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "host")}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    assert Recorder.__name__ == "Recorder"
