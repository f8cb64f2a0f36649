"""Up to eight time-of-flight sensors that range by themselves: one of them is asked a pass, in turns, and never waited for.

A look is one to four transfers, half a millisecond at 400 kHz. A sensor that is not there at boot, or goes silent, has
no reading; one that lost its power meanwhile stays without until the robot is started again. Not measured on hardware.
"""

import time
from array import array
from micropython import const

import ticks

_LOOK_US = const(3000)  # all eight are asked in 24 ms, less than they take for a range
_SILENT_US = const(200000)
_RETRY_US = const(500000)  # a sensor that did not answer costs a bus time-out: not in every turn
_XSHUT_MS = const(2)  # its boot
_FIRST_ADDRESS = const(0x30)


class TofRing:
    def __init__(self, sensors, mux, robot, ranges_mm, stamps_us):
        """sensors: one a channel; mux: None where each has an address of its own."""
        self._sensors = sensors
        self._mux = mux
        self._robot = robot
        self._ranges_mm = ranges_mm
        self._stamps_us = stamps_us
        self._turn = 0
        self.errors = 0
        now_us = time.ticks_us()
        self._looked_us = now_us
        self._heard_us = array("i", [now_us & 0x3FFFFFFF] * len(sensors))
        self._failed = bytearray(len(sensors))
        for channel, sensor in enumerate(sensors):
            try:
                if mux is not None:
                    mux.select(channel)
                sensor.start()
            except OSError:
                self._failed[channel] = 2  # never started: its registers would say nothing true

    def poll(self, now_us):
        if ticks.diff(now_us, self._looked_us) < _LOOK_US:
            return
        self._looked_us = now_us
        channel = self._turn
        self._turn = (channel + 1) % len(self._sensors)
        if self._failed[channel] == 2:
            return
        if self._failed[channel] and ticks.diff(now_us, self._heard_us[channel]) < _RETRY_US:
            return
        place = self._robot.places[channel]
        try:
            if self._mux is not None:
                self._mux.select(channel)
            sensor = self._sensors[channel]
            if sensor.ready():
                self._ranges_mm[place] = self._robot.range_mm(place, sensor.range_mm(self._robot.range_max_mm))
                self._stamps_us[place] = now_us
                self._heard_us[channel] = now_us
                self._failed[channel] = 0
            elif ticks.diff(now_us, self._heard_us[channel]) > _SILENT_US:
                self._ranges_mm[place] = -1
                self._heard_us[channel] = ticks.add(now_us, -_SILENT_US)  # else a silence of minutes would wrap
        except OSError:
            self.errors = min(self.errors + 1, 1000000)
            self._failed[channel] = 1
            self._ranges_mm[place] = -1
            self._heard_us[channel] = now_us


def wake_in_turn(sensors, xshut_pins):
    """All share one address after power-on: one after the other is let out of reset and moved to its own."""
    for pin in xshut_pins:
        pin.value(0)
    time.sleep_ms(_XSHUT_MS)
    for i, sensor in enumerate(sensors):
        # a module's own pull-up is to 2.8 V: let the line go instead of driving it high
        xshut_pins[i].init(xshut_pins[i].IN)
        time.sleep_ms(_XSHUT_MS)
        try:
            sensor.move_to(_FIRST_ADDRESS + i)
        except OSError:
            pass  # not there: start() will find that out too
