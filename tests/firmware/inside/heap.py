"""Run the firmware's loop over a board in memory with the heap locked, for test_firmware_heap.py.

Given a list of [pass, hex of host frames], print what each part of the work allocated. Any allocation under
heap_lock raises MemoryError, which ends this program with a traceback.
"""

# ruff: noqa: PTH123 - MicroPython is told its path first, and has no pathlib

import gc
import json
import sys
from array import array
from binascii import unhexlify

sys.path.insert(1, sys.argv[1])

import micropython
from loop import Loop

with open(sys.argv[2]) as given:
    ARRIVALS = {at: unhexlify(data) for at, data in json.load(given)}


class Board:
    NAME = "memory"
    uid = b"heap"
    boot_id = 5
    reset_cause = 1
    capabilities = 3
    geometry = (160000, 3000, 2000)
    start_pose = (0, 0, 0)
    battery_low_mv = 6800
    battery_empty_mv = 6200

    def __init__(self):
        self.now = 0x3FFFFFFF - 100000  # the clock wraps while the heap is locked
        self.passes = 0
        self.frames = 0
        self.ranges_mm = array("i", [1000, -1, 2000, 300, 1, 2, 3, 4])
        self.range_stamps_us = array("i", [self.now] * 8)
        self.wheels = array("i", [0, 0])

    def ticks_us(self):
        self.now = (self.now + 50) & 0x3FFFFFFF
        return self.now

    def wait(self, duration_us):
        self.now = (self.now + duration_us) & 0x3FFFFFFF

    def read_into(self, buffer):
        self.passes += 1
        data = ARRIVALS.get(self.passes)
        if data is None:
            return 0
        for i in range(len(data)):
            buffer[i] = data[i]
        return len(data)

    def write(self, buffer, n):
        self.frames += 1
        return n if self.frames % 5 else n // 2

    def poll_ranges(self, now_us):
        pass

    def encoders(self, out):
        out[0] = self.passes
        out[1] = -self.passes

    def set_wheels(self, left, right):
        self.wheels[0] = left
        self.wheels[1] = right

    def battery_mv(self):
        return 7400

    def bump(self):
        return 0

    def motor_fault(self):
        return 0

    def watchdog_start(self):
        pass

    def watchdog_feed(self):
        pass


board = Board()
loop = Loop(board)
states = array("i", [0] * 6)


def passes():
    for _ in range(1200):
        loop.step()
        states[loop.safety.state] += 1


gc.collect()
before = gc.mem_alloc()
micropython.heap_lock()
passes()
micropython.heap_unlock()
after = gc.mem_alloc()
print(
    json.dumps(
        {
            "bytes": after - before,
            "states": list(states),
            "frames": board.frames,
            "ok": loop.session.frames_ok,
            "bad": loop.receiver.frames_bad,
            "refused": loop.safety.frames_refused,
            "dropped": loop.sender.frames_dropped,
        }
    )
)
