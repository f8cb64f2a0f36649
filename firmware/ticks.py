"""Time on the device: microseconds modulo 2^30, compared by signed difference.

2^30 because a small int of a 32-bit MicroPython has 31 bits: every intermediate below stays within them, so neither
comparing nor adding times allocates. Two times can be compared while they lie less than 2^29 us (9 minutes) apart.
"""

from micropython import const

_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)


def diff(later_us, earlier_us):
    """later - earlier; negative when `later_us` is in truth the earlier one."""
    return (((later_us - earlier_us) & _MASK) ^ _HALF) - _HALF


def add(start_us, duration_us):
    """start + duration, for a duration below 2^29; the two halves taken off are one full period."""
    return (start_us - _HALF + duration_us - _HALF) & _MASK
