"""The whole loop over a board in memory, walked at random: what reaches the motors, against what was permitted.

test_safety_model.py holds safety.py and session.py to the model state by state; here frames go in at one end and wheel
outputs come out at the other, through the ramp, with the monitor and exceptions between them.
"""

import random
from array import array

import pytest
from running_firmware import ARM, CLEAR, CMD, OPEN, STOP, TIME_SYNC, host_frame

PERIOD = 1 << 30
RAMP_MS = 100
PASS_MS = 2


class Board:
    NAME = "memory"
    uid = b"walk"
    boot_id = 5
    reset_cause = 1
    capabilities = 3
    geometry = (160_000, 3000, 2000)
    start_pose = (0, 0, 0)
    battery_low_mv = 6800
    battery_empty_mv = 6200

    def __init__(self, now_us):
        self.now_us = now_us
        self.line = b""
        self.ranges_mm = array("i", [1000] * 8)
        self.range_stamps_us = array("i", [now_us] * 8)
        self.wheels = (0, 0)
        self.driver = 0
        self.breaks = False

    def ticks_us(self):
        return self.now_us

    def wait(self, duration_us):
        pass

    def read_into(self, buffer):
        data, self.line = self.line[: len(buffer)], self.line[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def write(self, buffer, n):
        return n

    def poll_ranges(self, now_us):
        if self.breaks:
            self.breaks = False
            raise OSError

    def encoders(self, out):
        pass

    def set_wheels(self, left, right):
        self.wheels = (left, right)

    def battery_mv(self):
        return 7400

    def bump(self):
        return 0

    def motor_fault(self):
        return self.driver

    def watchdog_start(self):
        pass

    def watchdog_feed(self):
        pass


class Walk:
    """A loop, a host that speaks to it at random, and what the host's words permit."""

    def __init__(self, seed):
        from loop import Loop

        self.draw = random.Random(seed)
        self.board = Board(self.draw.choice([0, PERIOD - 700_000]))
        self.loop = Loop(self.board)
        self.session = self.seq = self.cmd_seq = 0
        self.armed = False
        self.live_ms = 0  # how long the newest fresh command still holds
        self.idle_ms = RAMP_MS  # since nothing permitted movement
        self.moved = 0

    def send(self, type_, *fields, session=None, seq=None):
        if seq is None:
            self.seq = (self.seq + 1) % 65536
            seq = self.seq
        self.board.line += host_frame(type_, seq, self.session if session is None else session, 5, *fields)

    def cmd(self, left, right, expires_in_us, **header):
        self.send(CMD, left, right, (self.board.now_us + expires_in_us) % PERIOD, **header)
        if not header:
            self.cmd_seq = self.seq

    def forbid(self, passes=0):
        """Whatever was permitted is so no more; let it be noticed."""
        self.armed, self.live_ms = False, 0
        self.walk(passes)

    def say(self):
        """One thing that a host, a line or a body may do, and the account of what is permitted from then on."""
        draw = self.draw
        what = draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if what == "cmd":
            expires_ms = draw.choice([10, 50, 150, 500])  # it is read one pass later: not too late for any
            self.cmd(draw.randint(-80, 80), draw.randint(-80, 80), expires_ms * 1000)
            if self.armed:
                self.live_ms = expires_ms
        elif what == "late":
            self.cmd(80, 80, -draw.randrange(1000))
        elif what == "early":
            self.cmd(80, 80, 510_000 + draw.randrange(100_000_000))
        elif what == "stale":
            self.cmd(80, 80, 100_000, seq=(self.cmd_seq - draw.randrange(9)) % 65536)
        elif what == "stranger":
            self.send(ARM, session=self.session + 1)
            self.cmd(80, 80, 100_000, session=self.session + 1)
            self.cmd(80, 80, 100_000, session=0)
        elif what == "noise":
            self.board.line += draw.randbytes(50).replace(b"\0", b"\1") + b"\0"
        elif what == "open":
            self.session = draw.randint(1, PERIOD - 2)
            self.send(OPEN, 1)
            self.cmd_seq = self.seq
            self.forbid()
        elif what == "arm":
            self.send(ARM)
            self.armed = self.armed or (self.session != 0 and not self.loop.safety.latched)
        elif what == "stop":
            self.send(STOP, 0)
            self.forbid()
        elif what == "fault":
            self.board.driver = 1 - self.board.driver
            self.forbid(12)
        elif what == "break":
            self.board.breaks = True
            self.forbid(1)
        elif what == "pause":
            self.walk(300)
        elif what == "silence":
            self.walk(1050)
            self.session = 0
            self.forbid()
        else:
            self.send({"clear": CLEAR, "sync": TIME_SYNC}[what])

    def walk(self, passes):
        """Passes of the loop, each checked."""
        for _ in range(passes):
            before = self.board.wheels
            self.board.now_us = (self.board.now_us + PASS_MS * 1000) % PERIOD
            try:
                self.loop.step()
            except OSError as error:  # as Loop.run() does
                self.loop._fail(error)
            self.idle_ms = 0 if self.live_ms > 0 else self.idle_ms + PASS_MS
            self.live_ms -= PASS_MS
            after = self.board.wheels
            for old, new in zip(before, after, strict=True):
                assert abs(new) <= 80
                assert abs(new - old) <= PASS_MS + 1 or new == 0, "no jump, save to zero"
            if self.idle_ms > RAMP_MS:
                assert after == (0, 0), f"{after} though nothing permits it for {self.idle_ms} ms"
            self.moved += after != (0, 0)


WEIGHTS = {"cmd": 60, "arm": 12, "clear": 12, "sync": 8, "late": 4, "early": 4, "stale": 4, "stranger": 4, "noise": 2}
WEIGHTS.update(open=3, stop=1, fault=0.5, pause=2, silence=0.5)
WEIGHTS["break"] = 0.5


def walk(seed, steps=400):
    one = Walk(seed)
    for _ in range(steps):
        one.say()
        one.walk(one.draw.randint(1, 30))
    return one


@pytest.mark.parametrize("seed", range(6))
def test_no_wheel_moves_but_for_a_permitted_command(seed):
    assert walk(seed).moved > 500


@pytest.mark.parametrize("broken", ["no expiry", "no ramp", "no latch", "any session"])
def test_a_loop_that_moves_unasked_is_found(broken, monkeypatch):
    from ramp import Ramp
    from safety import Safety

    if broken == "no expiry":
        monkeypatch.setattr(Safety, "tick", lambda self, now_us: None)
    elif broken == "no ramp":
        monkeypatch.setattr(Ramp, "step", lambda self, target, elapsed_us: target)
    elif broken == "no latch":
        monkeypatch.setattr(Safety, "fail", lambda self, fault: None)
    else:
        command = Safety.command
        monkeypatch.setattr(Safety, "command", lambda self, session, *rest: command(self, self.session, *rest))
    with pytest.raises(AssertionError):
        list(map(walk, range(10)))
