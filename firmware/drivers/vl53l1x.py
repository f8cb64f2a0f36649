"""VL53L1X time-of-flight sensor, in its long mode with a range each 35 ms, asked whether it has a new one.

The part has no public register map; the values below are what its maker's ultra-lite software writes. Not measured on
hardware.
"""

import time
from micropython import const

from drivers.registers import Registers

ADDRESS = const(0x29)
_START_MS = const(500)
_IDENTITY = const(0xEACC)
_MODEL_ID = const(0x010F)
_BOOTED = const(0x00E5)
_PERIOD_MS = const(35)  # between starts; the measurement itself takes 33

_INTERRUPT = const(0x0031)  # lowest bit: 1 without news where the line is active low
_POLARITY = const(0x0030)  # bit 4: active low
_CLEAR = const(0x0086)
_MODE = const(0x0087)
_RUN = const(0x40)
_RESULT = const(0x0089)  # 15 bytes: status first, range at 13 and 14

# 0x2D to 0x87; the two last, which clear and start, are 0 here
_DEFAULTS = (
    b"\x00\x00\x00\x01\x02\x00\x02\x08\x00\x08\x10\x01\x01\x00\x00\x00\x00\xff\x00\x0f\x00\x00\x00\x00\x00\x20\x0b\x00"
    b"\x00\x02\x0a\x21\x00\x00\x05\x00\x00\x00\x00\xc8\x00\x00\x38\xff\x01\x00\x08\x00\x00\x01\xdb\x0f\x01\xf1\x0d\x01"
    b"\x68\x00\x80\x08\xb8\x00\x00\x00\x00\x0f\x89\x00\x00\x00\x00\x00\x00\x00\x01\x0f\x0d\x0e\x0e\x00\x00\x02\xc7\xff"
    b"\x9b\x00\x00\x00\x01\x00\x00"
)


class VL53L1X:
    def __init__(self, bus, address=ADDRESS):
        self._registers = Registers(bus, address, 16)
        self._result = bytearray(15)
        self._idle = 1

    def move_to(self, address):
        """Another address, until its power or XSHUT goes: how several live on one bus."""
        self._registers.put(0x0001, address)
        self._registers.address = address

    def start(self):
        """Set it up and let it range; takes some 100 ms. OSError if it is not there, or is another part."""
        r = self._registers
        self._await(_BOOTED, 1, 1)
        identity = r.get16(_MODEL_ID)
        if identity != _IDENTITY:
            raise OSError("no VL53L1X: %x" % identity)
        r.put_all(0x002D, _DEFAULTS)
        self._idle = r.get(_POLARITY) >> 4 & 1
        # a first measurement finds the laser's voltage; later ones start from what it found
        r.put(_MODE, _RUN)
        self._await(_INTERRUPT, 1, 1 - self._idle)
        r.put(_CLEAR, 1)
        r.put(_MODE, 0)
        r.put(0x0008, 0x09)
        r.put(0x000B, 0)
        r.put16(0x005E, 0x0060)  # 33 ms in the long mode
        r.put16(0x0061, 0x006E)
        clock = r.get16(0x00DE) & 0x3FF
        period = clock * _PERIOD_MS * 43 // 40
        r.put16(0x006C, period >> 16)
        r.put16(0x006E, period & 0xFFFF)
        r.put(_CLEAR, 1)
        r.put(_MODE, _RUN)

    def ready(self):
        return self._registers.get(_INTERRUPT) & 1 != self._idle

    def range_mm(self, range_max_mm):
        """The range that is ready; -1 where the part itself is in trouble."""
        result = self._result
        self._registers.get_into(_RESULT, result)
        self._registers.put(_CLEAR, 1)
        status = result[0] & 0x1F
        if status in (9, 8, 6):  # good; clipped at its nearest; noisy
            return min(range_max_mm, result[13] << 8 | result[14])
        if status in (4, 5, 7):  # too little light came back, or from beyond its reach
            return range_max_mm
        return -1

    def _await(self, register, mask, value):
        start_ms = time.ticks_ms()
        while self._registers.get(register) & mask != value:
            if time.ticks_diff(time.ticks_ms(), start_ms) > _START_MS:
                raise OSError("VL53L1X does not get ready")
