"""VL53L0X time-of-flight sensor: started at boot into back-to-back ranging, then asked whether it has a new range.

The part has no public register map; the values below are what its maker's own software writes. The timing budget is
the part's default, about 30 ms a range. Not measured on hardware.
"""

import time
from micropython import const

from drivers.registers import Registers

ADDRESS = const(0x29)
_START_MS = const(500)
_STATUS = const(0x13)  # three lowest bits: a new sample is there
_RESULT = const(0x14)  # 12 bytes: status first, range at 10 and 11
_CLEAR = const(0x0B)
_SEQUENCE = const(0x01)
_PAGE = const(0xFF)
_IDENTITY = b"\xee\xaa\x10"  # at 0xC0

# register, value; 0xFF turns the page
_TUNING = (
    b"\xff\x01\x00\x00\xff\x00\x09\x00\x10\x00\x11\x00\x24\x01\x25\xff\x75\x00\xff\x01\x4e\x2c\x48\x00\x30\x20"
    b"\xff\x00\x30\x09\x54\x00\x31\x04\x32\x03\x40\x83\x46\x25\x60\x00\x27\x00\x50\x06\x51\x00\x52\x96\x56\x08"
    b"\x57\x30\x61\x00\x62\x00\x64\x00\x65\x00\x66\xa0\xff\x01\x22\x32\x47\x14\x49\xff\x4a\x00\xff\x00\x7a\x0a"
    b"\x7b\x00\x78\x21\xff\x01\x23\x34\x42\x00\x44\xff\x45\x26\x46\x05\x40\x40\x0e\x06\x20\x1a\x43\x40\xff\x00"
    b"\x34\x03\x35\x44\xff\x01\x31\x04\x4b\x09\x4c\x05\x4d\x04\xff\x00\x44\x00\x45\x20\x47\x08\x48\x28\x67\x00"
    b"\x70\x04\x71\x01\x72\xfe\x76\x00\x77\x00\xff\x01\x0d\x01\xff\x00\x80\x01\x01\xf8\xff\x01\x8e\x01\x00\x01"
    b"\xff\x00\x80\x00"
)
_OPEN_PRIVATE = b"\x80\x01\xff\x01\x00\x00"
_CLOSE_PRIVATE = b"\x00\x01\xff\x00\x80\x00"


class VL53L0X:
    def __init__(self, bus, address=ADDRESS):
        self._registers = Registers(bus, address)
        self._result = bytearray(12)

    def move_to(self, address):
        """Another address, until its power or XSHUT goes: how several live on one bus."""
        self._registers.put(0x8A, address)
        self._registers.address = address

    def start(self):
        """Set it up and let it range; takes some 10 ms. OSError if it is not there, or is another part."""
        r = self._registers
        identity = bytearray(3)
        r.get_into(0xC0, identity)
        if identity != _IDENTITY:
            raise OSError("no VL53L0X: %r" % bytes(identity))
        r.put(0x89, r.get(0x89) | 1)  # its lines are at 2.8 V, as on every breakout board
        self._write(b"\x88\x00" + _OPEN_PRIVATE)
        stop = r.get(0x91)
        self._write(_CLOSE_PRIVATE)
        r.put(0x60, r.get(0x60) | 0x12)  # without the signal limits of the first, coarse look
        r.put16(0x44, 32)  # return signal of at least 0.25 Mcps, in 128ths
        r.put(_SEQUENCE, 0xFF)
        self._reference_spads()
        self._write(_TUNING)
        r.put(0x0A, 0x04)  # interrupt on a new sample
        r.put(0x84, r.get(0x84) & ~0x10 & 0xFF)
        r.put(_CLEAR, 1)
        for sequence, start in ((0x01, 0x41), (0x02, 0x01)):  # voltage, then phase
            r.put(_SEQUENCE, sequence)
            r.put(0x00, start)
            self._await(_STATUS, 0x07)
            r.put(_CLEAR, 1)
            r.put(0x00, 0)
        r.put(_SEQUENCE, 0xE8)
        self._write(_OPEN_PRIVATE)
        r.put(0x91, stop)
        self._write(_CLOSE_PRIVATE)
        r.put(0x00, 0x02)  # back to back

    def ready(self):
        return self._registers.get(_STATUS) & 0x07 != 0

    def range_mm(self, range_max_mm):
        """The range that is ready; -1 where the part itself is in trouble."""
        result = self._result
        self._registers.get_into(_RESULT, result)
        self._registers.put(_CLEAR, 1)
        status = result[0] >> 3 & 0x0F
        if status == 11:
            return min(range_max_mm, result[10] << 8 | result[11])
        if status in (4, 6, 9):  # too little light came back, or from beyond its reach
            return range_max_mm
        if status in (8, 10):  # nearer than it can measure
            return 0
        return -1

    def _write(self, pairs):
        for i in range(0, len(pairs), 2):
            self._registers.put(pairs[i], pairs[i + 1])

    def _await(self, register, mask):
        start_ms = time.ticks_ms()
        while not self._registers.get(register) & mask:
            if time.ticks_diff(time.ticks_ms(), start_ms) > _START_MS:
                raise OSError("VL53L0X does not get ready")

    def _reference_spads(self):
        """Choose the reference diodes that the factory found good."""
        r = self._registers
        self._write(_OPEN_PRIVATE + b"\xff\x06")
        r.put(0x83, r.get(0x83) | 0x04)
        self._write(b"\xff\x07\x81\x01\x80\x01\x94\x6b\x83\x00")
        self._await(0x83, 0xFF)
        r.put(0x83, 0x01)
        info = r.get(0x92)
        self._write(b"\x81\x00\xff\x06")
        r.put(0x83, r.get(0x83) & ~0x04 & 0xFF)
        self._write(b"\xff\x01" + _CLOSE_PRIVATE)
        wanted = info & 0x7F
        first = 12 if info & 0x80 else 0  # those behind an aperture begin there
        good = bytearray(6)
        r.get_into(0xB0, good)
        self._write(b"\xff\x01\x4f\x00\x4e\x2c\xff\x00\xb6\xb4")
        for i in range(48):
            bit = 1 << i % 8
            if i < first or not wanted:
                good[i // 8] &= ~bit & 0xFF
            elif good[i // 8] & bit:
                wanted -= 1
        r.put_all(0xB0, good)
