"""The one loop. It never waits on a sensor and never on the line; between SENSOR ticks it serves the host's frames.

One pass: read and serve the port, let time pass in the safety state machine, move the wheels, every 20 ms look at the
sensors and report. An exception anywhere in it cuts the wheels and latches; the loop goes on, so that the host can
see why and clear or reboot.
"""

import gc
from array import array

from micropython import const

import ticks
from frame import Receiver, Sender
from monitor import Monitor
from odometry import Odometry
from outbox import Outbox
from ramp import Ramp
from safety import Safety
from schema import FAULT_LOOP_EXCEPTION
from session import Session

_PERIOD_US = const(20000)  # 50 Hz
_BATTERY_PASSES = const(10)  # of the 50 Hz: 5 Hz
_WAIT_MAX_US = const(2000)  # the wheels' deadlines are looked at least this often
_UPTIME_MAX_MS = const(0x3FFFFFFF)


class Loop:
    def __init__(self, board):
        self.board = board
        self.safety = Safety()
        self.odometry = Odometry(
            board.geometry, board.start_pose, getattr(board, "gyro", None), getattr(board, "gyro_share_16ths", 15)
        )
        self.monitor = Monitor(board.battery_low_mv, board.battery_empty_mv, board.geometry[2])
        self.receiver = Receiver()
        self.sender = Sender(board)
        self.outbox = Outbox(board, self.safety, self.odometry, self.monitor, self.receiver, self.sender)
        self.safety.started()
        self.session = Session(board, self.safety, self.odometry, self.receiver, self.outbox)
        self.overruns = 0
        self.max_us = 0
        self._left = Ramp()
        self._right = Ramp()
        self._encoders = array("i", [0, 0])
        self._battery_mv = board.battery_mv()
        self._battery_in = _BATTERY_PASSES
        self._uptime_ms = 0
        self._uptime_rest_us = 0
        self._last_us = board.ticks_us()
        self._tick_us = self._last_us

    def run(self):
        """For ever, or until the board ends the program."""
        gc.collect()  # the last garbage there is: a pass makes none
        try:
            while True:
                try:
                    self.step()
                except Exception as error:
                    self._fail(error)
        finally:
            self.board.set_wheels(0, 0)

    def step(self):
        """One pass, and the wait for the next byte or deadline."""
        board = self.board
        started_us = board.ticks_us()
        self.work(started_us)
        now_us = board.ticks_us()
        took_us = ticks.diff(now_us, started_us)
        if took_us > self.max_us:
            self.max_us = took_us
        board.watchdog_feed()
        wait_us = min(ticks.diff(self._tick_us, now_us), _WAIT_MAX_US)
        if wait_us > 0:
            board.wait(wait_us)

    def work(self, now_us):
        elapsed_us = ticks.diff(now_us, self._last_us)
        self._last_us = now_us
        self._count_uptime(elapsed_us)
        self.session.receive()
        self.safety.tick(now_us)
        self._move_wheels(elapsed_us)
        self.board.poll_ranges(now_us)
        late_us = ticks.diff(now_us, self._tick_us)
        if late_us >= 0:
            if late_us >= _PERIOD_US:
                self.overruns += 1
                self._tick_us = now_us  # a tick was missed: go on from here instead of catching up
            self._tick_us = ticks.add(self._tick_us, _PERIOD_US)
            self._sense(now_us)
        self.session.report(
            now_us, self._uptime_ms, self._left.output(), self._right.output(), self.overruns, self.max_us
        )
        self.sender.flush()
        if self.session.reboot_due(now_us):
            self.board.set_wheels(0, 0)
            self.board.reboot()

    def _move_wheels(self, elapsed_us):
        if self.safety.cut():
            self._left.cut()
            self._right.cut()
        self.board.set_wheels(
            self._left.step(self.safety.left, elapsed_us), self._right.step(self.safety.right, elapsed_us)
        )

    def _sense(self, now_us):
        self.board.encoders(self._encoders)
        self.odometry.update(self._encoders, now_us)
        self._battery_in -= 1
        if self._battery_in <= 0:
            self._battery_in = _BATTERY_PASSES
            self._battery_mv = self.board.battery_mv()
        self.safety.condition(
            self.monitor.update(
                self.board, self.odometry, self._left.output(), self._right.output(), self._battery_mv
            )
        )
        if self.safety.session:
            self.outbox.sensor(self._battery_mv)

    def _count_uptime(self, elapsed_us):
        rest_us = self._uptime_rest_us + elapsed_us
        self._uptime_rest_us = rest_us % 1000
        self._uptime_ms = min(_UPTIME_MAX_MS, self._uptime_ms + rest_us // 1000)

    def _fail(self, error):
        self._left.cut()
        self._right.cut()
        self.safety.fail(FAULT_LOOP_EXCEPTION)
        self.session.log_exception(type(error).__name__.encode())
        # last, because it may be the board that failed
        self.board.set_wheels(0, 0)
