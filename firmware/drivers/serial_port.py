"""The USB serial port of a board whose interpreter talks on it: standard input and output, as raw bytes.

Reading takes one byte at a time, because readinto() of a microcontroller's standard input waits until its buffer is
full. Writing never waits either: the port has a hardware buffer of 128 bytes and blocks beyond it, so what is still
in there is reckoned from the baud rate. Not measured on hardware.
"""

import select
import sys
import time

import micropython
from micropython import const

import ticks

_BUFFER_BYTES = const(120)  # of 128
_BYTE_US = const(87)  # 10 bits at 115200 baud
_USB_BYTES = const(64)  # one packet


class SerialPort:
    def __init__(self):
        micropython.kbd_intr(-1)  # byte 3 is data here, not Ctrl-C
        self._in = sys.stdin.buffer
        self._out = sys.stdout.buffer
        self._byte = bytearray(1)
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._unsent = 0
        self._sent_us = time.ticks_us()

    def wait(self, duration_ms):
        """Until a byte is here, at most for this time."""
        for _ in self._poll.ipoll(duration_ms):
            return True
        return False

    def read_into(self, buffer):
        n = 0
        while n < len(buffer) and self.wait(0):
            self._in.readinto(self._byte)
            buffer[n] = self._byte[0]
            n += 1
        return n

    def write(self, buffer, n):
        now_us = time.ticks_us()
        sent = ticks.diff(now_us, self._sent_us) // _BYTE_US
        if sent >= self._unsent:
            self._unsent = 0
            self._sent_us = now_us
        else:
            self._unsent -= sent
            self._sent_us = ticks.add(self._sent_us, sent * _BYTE_US)
        n = min(n, _BUFFER_BYTES - self._unsent)
        if n > 0:
            self._out.write(buffer, n)
            self._unsent += n
        return n


class UsbPort(SerialPort):
    """The chip's own USB instead of a UART: no baud rate to reckon with, and nothing is taken while no host listens.

    Each write is one packet at most, and only when the port says that it has room.
    """

    def __init__(self):
        super().__init__()
        self._room = select.poll()
        self._room.register(sys.stdout, select.POLLOUT)

    def write(self, buffer, n):
        for _ in self._room.ipoll(0):
            n = min(n, _USB_BYTES)
            self._out.write(buffer, n)
            return n
        return 0
