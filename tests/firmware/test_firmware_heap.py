"""A packet costs no heap, in real MicroPython with the heap locked: any allocation is a MemoryError there."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import INSIDE
from running_firmware import (
    ARM,
    ARMED,
    CLEAR,
    CMD,
    DRIVING,
    FIRMWARE,
    IDLE,
    LOG,
    MICROPYTHON,
    OPEN,
    OPENED,
    POSE,
    SENSOR,
    STATUS,
    STOP,
    STOPPED,
    TIME_SYNC,
    Robot,
    host_frame,
)

pytestmark = pytest.mark.skipif(not Path(MICROPYTHON).exists(), reason="no MicroPython for this machine")

START_US = (1 << 30) - 1 - 100_000


@pytest.mark.parametrize("interpreter", ["micropython"], indirect=True)
def test_a_whole_session_allocates_nothing(run_inside):
    def cmd(at_pass, seq):
        # a pass takes 2 ms or less on that board's clock; far enough ahead and below the cap
        return host_frame(CMD, seq, 7, 1, 60, -60, (START_US + at_pass * 2000 + 200_000) % (1 << 30))

    arrivals = [
        [20, host_frame(OPEN, 10, 7, 1, 1)],
        [30, host_frame(TIME_SYNC, 11, 7, 1)],
        [40, host_frame(POSE, 12, 7, 1, 4000, -5000, -3142)],
        [50, host_frame(ARM, 13, 7, 1)],
        *([60 + 20 * i, cmd(60 + 20 * i, 14 + i)] for i in range(10)),
        [300, host_frame(CMD, 40, 7, 1, 1, 1, START_US)],  # expired
        [310, host_frame(STOP, 41, 7, 1, 2) + b"\x01garbage\0"],
        [320, host_frame(CLEAR, 42, 7, 1)],
        [330, host_frame(TIME_SYNC, 43, 8, 1)],
    ]
    result = run_inside("heap.py", [[at, data.hex()] for at, data in arrivals])
    assert result["bytes"] == 0
    assert all(result["states"][state] for state in (IDLE, OPENED, ARMED, DRIVING, STOPPED)), result
    assert (result["ok"], result["bad"], result["refused"]) == (18, 1, 1)
    assert result["frames"] > 60


def test_the_sim_boards_loop_allocates_nothing():
    with Robot(program=INSIDE / "locked_sim.py") as robot:
        robot.open()
        assert robot.ask(ARM) == 0
        robot.drive(30, 30, 0.3)
        assert robot.ask(STOP, 0) == 0
        robot.pump(0.5)
        assert robot.process.poll() is None, "it ended: something was allocated"
        assert len(robot.of(SENSOR)) > 20
        assert robot.of(STATUS)
        assert len(robot.of(LOG)) >= 2


def test_the_bench_compares_three_ways_to_the_same_bytes():
    command = [MICROPYTHON, "bench_encode.py", "--json"]
    result = json.loads(subprocess.check_output(command, cwd=FIRMWARE, timeout=60))
    ways = result["ways"]
    assert ways["viper"]["heap_bytes"] == ways["bytecode"]["heap_bytes"] == 0
    assert ways["general"]["heap_bytes"] > 1000
