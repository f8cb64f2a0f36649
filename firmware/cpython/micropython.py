"""Stand-in for MicroPython's module, so that the firmware's files run under CPython where no MicroPython is built.

Put this folder on PYTHONPATH. viper and native code run as plain Python: pointers are the buffers themselves, and the
code masks wherever a machine word would have cut.
"""

import builtins
import time


def const(value):
    return value


def viper(function):
    return function


def native(function):
    return function


def heap_lock():
    pass


def heap_unlock():
    return 0


def kbd_intr(_character):
    pass


class _Pointer32:
    """An array('i') as a machine sees it: stores cut to 32 bits, loads unsigned, as ptr32 does on a 64-bit port."""

    __slots__ = ("_words", "_signed")

    def __init__(self, words):
        self._words = words
        self._signed = words.typecode == "i"

    def __getitem__(self, i):
        return self._words[i] & 0xFFFFFFFF

    def __setitem__(self, i, value):
        value &= 0xFFFFFFFF
        self._words[i] = value - (1 << 32) if self._signed and value >= 1 << 31 else value


builtins.ptr8 = lambda buffer: buffer
builtins.ptr32 = _Pointer32

time.ticks_us = lambda: time.monotonic_ns() // 1000
time.sleep_us = lambda duration_us: time.sleep(duration_us / 1e6)
time.ticks_ms = lambda: time.monotonic_ns() // 1000000
time.ticks_diff = lambda later, earlier: later - earlier
time.sleep_ms = lambda duration_ms: time.sleep(duration_ms / 1e3)
