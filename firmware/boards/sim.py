"""The twin's board: the firmware as a process, its line on standard input and output, its body behind two pipes.

ARCHITECTURE.md, "The sim board's second channel", describes packets and keys. The clock runs `speed` times faster
than the wall's; `ticks_start` is added to it, so that a test can have it wrap at once.
"""

import sys
import time
from array import array
from binascii import unhexlify
from micropython import const

import micropython

import ticks
from robot import Robot
from schema import CAPABILITY_BATTERY_SENSOR, CAPABILITY_BUMP_SENSOR

try:
    from cpython_files import open_descriptor, poll_input
except ImportError:
    import select

    def open_descriptor(descriptor, mode):
        return open(descriptor, mode)

    def poll_input(stream):
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        return poll


_PACKET_BYTES = const(32)  # body to board
_MOTOR_US = const(100000)  # a motor packet at least so often
_HANG_UP = const(0x10)  # POLLHUP
_REBOOT_STATUS = const(42)
_INJECT_HANG = const(2)  # last byte of a body packet; any other but 0 is an exception
_CLOCK_MASK = const(0x3FFFFFFF)


@micropython.viper
def _append(packet_buffer, filled: int, chunk_buffer, n: int) -> int:
    """Move a packet along a stream of bytes: returns bytes of the unfinished packet, 64 more if one was completed.

    The finished one, the newest in the chunk, lies in packet[:32]; the unfinished one is built at packet[32:].
    """
    packet = ptr8(packet_buffer)
    chunk = ptr8(chunk_buffer)
    done = 0
    i = 0
    while i < n:
        packet[32 + filled] = chunk[i]
        filled += 1
        i += 1
        if filled == 32:
            filled = 0
            done = 64
            j = 0
            while j < 32:
                packet[j] = packet[32 + j]
                j += 1
    return done + filled


def _small(low, high):
    """Two 16-bit halves as a signed number modulo 2^30."""
    return (((high & 0x3FFF) << 16 | low) ^ 0x20000000) - 0x20000000


class _Settings:
    """The keys that settings.py has too, as numbers; lists are separated by commas."""

    NAMES = (
        "TRACK_UM", "TICKS_PER_METRE", "RANGE_MAX_MM", "LEFT_MOTOR_SIGN", "RIGHT_MOTOR_SIGN", "LEFT_ENCODER_SIGN",
        "RIGHT_ENCODER_SIGN", "LEFT_DEAD_PERMILLE", "RIGHT_DEAD_PERMILLE", "LEFT_GAIN_PERMILLE", "RIGHT_GAIN_PERMILLE",
    )

    def __init__(self, keys):
        for name in self.NAMES:
            if name.lower() in keys:
                setattr(self, name, int(keys.pop(name.lower())))
        if "range_offsets_mm" in keys:
            self.RANGE_OFFSETS_MM = tuple([int(part) for part in keys.pop("range_offsets_mm").split(",")])


def _inject(what):
    """What a test of the firmware's own failures asks for."""
    if what == _INJECT_HANG:
        while True:
            time.sleep_us(1000)
    raise RuntimeError("injected")


class Board:
    NAME = "sim"

    def __init__(self, options):
        keys = {}
        for option in options:
            key, _, value = option.partition("=")
            keys[key] = value
        self._line_in = open_descriptor(0, "rb")
        self._line_out = open_descriptor(1, "wb")
        self._body_in = open_descriptor(3, "rb")
        self._body_out = open_descriptor(4, "wb")
        self._motor = bytearray(4)
        self._motor_at_us = 0
        self._motor_count = 0
        self._motor_sent = False
        self.uid = unhexlify(keys.pop("uid", "73696d00"))
        self.boot_id = int(keys.pop("boot_id", "1"))
        self.reset_cause = int(keys.pop("reset_cause", "1"))
        self.capabilities = CAPABILITY_BUMP_SENSOR | CAPABILITY_BATTERY_SENSOR
        self.start_pose = (
            int(keys.pop("x_mm", "0")), int(keys.pop("y_mm", "0")), int(keys.pop("heading_mrad", "0"))
        )
        self._robot = Robot(_Settings(keys))
        self.geometry = self._robot.geometry
        self.battery_low_mv = 6800  # two lithium cells
        self.battery_empty_mv = 6200
        self._speed_milli = round(float(keys.pop("speed", "1")) * 1000)
        self._ticks_start = int(keys.pop("ticks_start", "0"))
        if keys:
            raise ValueError("unknown keys for the sim board: " + " ".join(sorted(keys)))
        self._wall_start_us = time.ticks_us()
        self.ranges_mm = array("i", [-1] * 8)
        self.range_stamps_us = array("i", [self._ticks_start & _CLOCK_MASK] * 8)
        self._chunk = bytearray(8 * _PACKET_BYTES)
        self._packet = bytearray(2 * _PACKET_BYTES)
        self._filled = 0
        self._ticks = array("i", [0, 0])
        self._battery_mv = -1
        self._bump = 0
        self._poll = poll_input(self._line_in)
        self.set_wheels(0, 0)

    def ticks_us(self):
        # the wall's clock has 62 bits here, so the product is still no big integer
        elapsed_us = time.ticks_us() - self._wall_start_us
        return (elapsed_us * self._speed_milli // 1000 + self._ticks_start) & _CLOCK_MASK

    def wait(self, duration_us):
        """Until a byte comes from the host, or for this time on the firmware's clock."""
        wall_us = duration_us * 1000 // self._speed_milli
        if wall_us < 1000:
            time.sleep_us(wall_us)  # poll counts in milliseconds
            return
        for event in self._poll.ipoll(wall_us // 1000):
            if event[1] & _HANG_UP:
                time.sleep_us(1000)  # nobody holds the line's other end, and poll no longer waits

    def read_into(self, buffer):
        return self._line_in.readinto(buffer) or 0

    def write(self, buffer, n):
        return self._line_out.write(buffer, n) or 0

    def poll_ranges(self, now_us):
        n = self._body_in.readinto(self._chunk)
        while n:
            self._filled = _append(self._packet, self._filled & 63, self._chunk, n)
            if self._filled >= 64:
                self._take_packet(now_us)
            n = self._body_in.readinto(self._chunk)
        if n == 0:
            sys.exit(0)  # end of file: the body is gone

    def _take_packet(self, now_us):
        for i in range(8):
            range_mm = self._half(4 + 2 * i)
            self.ranges_mm[i] = self._robot.range_mm(i, -1 if range_mm == 0xFFFF else range_mm)
            self.range_stamps_us[i] = now_us
        self._ticks[0] = _small(self._half(20), self._half(22))
        self._ticks[1] = _small(self._half(24), self._half(26))
        self._battery_mv = self._half(28)
        self._bump = self._packet[30]
        if self._packet[31]:
            _inject(self._packet[31])

    def _half(self, at):
        return self._packet[at] | self._packet[at + 1] << 8

    def encoders(self, out):
        out[0] = self._robot.left_encoder_sign * self._ticks[0]
        out[1] = self._robot.right_encoder_sign * self._ticks[1]

    def set_wheels(self, left, right):
        now_us = self.ticks_us()
        motor = self._motor
        left = (self._robot.left_permille(left) + 5) // 10 & 0xFF
        right = (self._robot.right_permille(right) + 5) // 10 & 0xFF
        if (
            self._motor_sent
            and left == motor[0]
            and right == motor[1]
            and ticks.diff(now_us, self._motor_at_us) < _MOTOR_US
        ):
            return
        motor[0] = left
        motor[1] = right
        motor[2] = self._motor_count & 0xFF
        motor[3] = self._motor_count >> 8
        self._motor_at_us = now_us
        # a packet of 4 bytes goes into a pipe whole or not at all; if not, the next pass tries again
        try:
            self._motor_sent = self._body_out.write(motor, 4) == 4
        except OSError:
            sys.exit(0)  # the body is gone
        if self._motor_sent:
            self._motor_count = (self._motor_count + 1) & 0xFFFF

    def battery_mv(self):
        return self._battery_mv

    def bump(self):
        return self._bump

    def motor_fault(self):
        return 0

    def watchdog_start(self):
        pass

    def watchdog_feed(self):
        pass

    def reboot(self):
        sys.exit(_REBOOT_STATUS)
