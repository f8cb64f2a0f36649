"""SIGKILL while recording: at most a second is lost, and readers that are not ours open what is left.

RECORD_KILLS=200 python -m pytest tests/record/test_record_kill.py -s    prints the worst loss of 200 kills
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from mcap.exceptions import EndOfFile
from mcap.stream_reader import StreamReader
from record_helpers import REPOSITORY, plain_messages

from jepa_bridge.record import read_log, recover

KILLS = int(os.environ.get("RECORD_KILLS", "10"))
AT_ONCE = 5
CHILD = Path(__file__).with_name("recording_child.py")
LOST_MAX_US = 1_000_000


def test_kill_loses_at_most_a_second(tmp_path):
    rng = random.Random(3)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY / "host"), str(CHILD.parent)))}
    losses_ms = []
    for batch in range(0, KILLS, AT_ONCE):
        directories = [tmp_path / str(index) for index in range(batch, min(batch + AT_ONCE, KILLS))]
        children = [
            subprocess.Popen([sys.executable, str(CHILD), str(d)], stdout=subprocess.PIPE, env=env) for d in directories
        ]
        for directory, child in zip(directories, children, strict=True):
            losses_ms.append(kill_and_check(directory, child, rng.uniform(0.05, 1.2)) / 1000)
    mean_ms = sum(losses_ms) / len(losses_ms)
    print(f"\n{len(losses_ms)} kills: lost at most {max(losses_ms):.0f} ms, {mean_ms:.0f} ms on average")
    assert len(losses_ms) == KILLS


def kill_and_check(directory: Path, child: subprocess.Popen[bytes], alive_s: float) -> int:
    """How many microseconds of frames that the recorder was given are not in the file."""
    assert child.stdout is not None
    given = child.stdout.read(8)  # it is recording now
    time.sleep(alive_s)
    child.kill()
    given += child.stdout.read()
    child.wait()
    child.stdout.close()
    times_us = [int.from_bytes(given[at : at + 8], "little") for at in range(0, len(given) - 7, 8)]
    (path,) = directory.iterdir()

    log = read_log(path)
    assert log.torn
    assert log.refused == 0
    recorded_us = [r.t_us for r in log.records(["wire/device"])]
    # a prefix, without holes; the child may have been killed between recording a frame and saying so
    assert recorded_us[: len(times_us)] == times_us[: len(recorded_us)]
    last_us = recorded_us[-1] if recorded_us else times_us[0]
    lost_us = max(0, times_us[-1] - last_us)
    assert lost_us <= LOST_MAX_US, f"{lost_us / 1000:.0f} ms lost"

    # mcap's own readers: the one that wants a file with an end, and the one that takes a stream
    messages = plain_messages(path)
    assert sum(topic == "wire/device" for topic, _, _ in messages) == len(recorded_us)
    assert stream_message_count(path) == len(messages)

    out = directory / "recovered.mcap"
    assert recover(path, out).messages == len(messages)
    assert plain_messages(out) == messages
    return lost_us


def stream_message_count(path: Path) -> int:
    count = 0
    with path.open("rb") as stream:
        try:
            for record in StreamReader(stream, validate_crcs=True).records:
                count += type(record).__name__ == "Message"
        except EndOfFile:
            pass
    return count
