"""MPU6050: the turn rate about the upright axis, summed up to a heading in 2^-28 turns. Integers, no heap.

Asked whether it has a sample, at most each 4 ms, and never waited for. Its zero drifts with temperature, so whenever
the wheels stand the mean rate becomes the new zero. Up to 500 degrees a second; the scale is good to 3 % by the data
sheet, so turns still need the wheels' share. Not measured on hardware.
"""

import time
from micropython import const

import ticks
from drivers.registers import Registers

ADDRESS = const(0x68)
_IDENTITY = const(0x68)
_WHO_AM_I = const(0x75)
_LOOK_US = const(4000)
_SILENT_US = const(100000)
_RETRY_US = const(500000)
_STEP_MAX_US = const(16384)  # times 2^15: the product stays below 2^30
_MASK = const(0x3FFFFFFF)
_TURN_MASK = const(0xFFFFFFF)  # 2^28 is a turn
_REST_SAMPLES = const(128)  # for a new zero: 0.6 s
_REST_BITS = const(7)
_REST_SPREAD = const(131)  # 2 degrees a second: more than its noise, so it is being turned by hand
# 2^28 / (360 * 65.5 * 10^6) turns in a unit and a microsecond, times 2^15
_PER_UNIT_32768 = const(373)


class Gyro:
    def __init__(self, bus, sign=1, address=ADDRESS):
        self._registers = Registers(bus, address)
        self._sign = sign
        self.phase = 0  # 0 .. 2^28 - 1, counter-clockwise
        self.valid = False
        self.errors = 0
        self._zero = 0
        self._rest_sum = 0
        self._rest_count = 0
        self._rest_low = 32767
        self._rest_high = -32768
        self._resting = True
        self._known = False  # whether a zero was found since power-on
        self._fraction = 0
        self._started = False
        self._sample_us = self._looked_us = time.ticks_us() & _MASK
        try:
            self._start()
        except OSError:
            pass

    def _start(self):
        r = self._registers
        if r.get(_WHO_AM_I) & 0x7E != _IDENTITY:
            raise OSError("no MPU6050")
        r.put(0x6B, 0x80)  # reset
        time.sleep_ms(100)
        r.put(0x6B, 0x01)  # awake, clocked by the gyro
        r.put(0x1A, 0x03)  # low pass at 42 Hz, samples at 1 kHz
        r.put(0x19, 4)  # divided by 5: 200 Hz
        r.put(0x1B, 0x08)  # 500 degrees a second, 65.5 units each
        r.put(0x38, 0x01)  # say when there is a sample
        self._started = True

    def rest(self, resting):
        """Told whether the wheels have been standing for a while."""
        if resting != self._resting:
            self._resting = resting
            self._forget()

    def poll(self, now_us):
        if not self._started or ticks.diff(now_us, self._looked_us) < _LOOK_US:
            return
        if self.errors and not self.valid and ticks.diff(now_us, self._looked_us) < _RETRY_US:
            return
        self._looked_us = now_us
        try:
            if self._registers.get(0x3A) & 1:
                self._take(self._registers.signed16(0x47), now_us)
            elif ticks.diff(now_us, self._sample_us) > _SILENT_US:
                self.valid = False
                self._sample_us = ticks.add(now_us, -_SILENT_US)
        except OSError:
            self.errors = min(self.errors + 1, 1000000)
            self.valid = False

    def _take(self, rate, now_us):
        elapsed_us = ticks.diff(now_us, self._sample_us)
        self._sample_us = now_us
        if self._resting:
            self._learn_zero(rate)
        self.valid = self._known
        if elapsed_us > _SILENT_US:
            return  # after a gap: what was turned meanwhile is not known
        rate = max(-32768, min(32767, rate - self._zero)) * self._sign
        while elapsed_us > 0:
            step_us = min(elapsed_us, _STEP_MAX_US)
            elapsed_us -= step_us
            turned = rate * step_us  # below 2^30
            # (turned * 373) >> 15 in two steps that stay small; what is cut off is kept
            low = (turned & 0x7FFF) * _PER_UNIT_32768 + self._fraction
            self._fraction = low & 0x7FFF
            self.phase = (self.phase + (turned >> 15) * _PER_UNIT_32768 + (low >> 15)) & _TURN_MASK

    def _learn_zero(self, rate):
        self._rest_low = min(self._rest_low, rate)
        self._rest_high = max(self._rest_high, rate)
        if self._rest_high - self._rest_low > _REST_SPREAD:
            self._forget()
            return
        self._rest_sum += rate
        self._rest_count += 1
        if self._rest_count == _REST_SAMPLES:
            self._zero = (self._rest_sum + _REST_SAMPLES // 2) >> _REST_BITS
            self._known = True
            self._forget()

    def _forget(self):
        self._rest_sum = 0
        self._rest_count = 0
        self._rest_low = 32767
        self._rest_high = -32768
